//! A search of the logs for a job's id finds everything done for it.

use dayfly_ports::FleetErrorKind;
use dayfly_records::event::{Conclusion, Event};
use dayfly_types::ids::JobId;
use serde_json::Value;

use crate::metrics::logged;
use crate::stage::{Call, RUN, Stage};

/// A job id that occurs in no time and in no other name.
const JOB: u64 = 70_000_000_011;

/// Messages about the stack, and about no job.
const OF_NO_JOB: [&str; 4] = [
    "swept",
    "switched the minute schedule on",
    "nothing lives: switched the minute schedule off",
    "the stack policy is another",
];

/// Returns the lines for people that were logged meanwhile.
fn lines(happens: impl FnOnce()) -> Vec<Value> {
    let lines = logged(happens);
    lines.into_iter().filter(|line| line.get("message").is_some()).collect()
}

/// Whether a line concerns all jobs of a run.
fn is_of_a_run(line: &Value) -> bool {
    let event = &line["spans"][0];
    event["kind"] == "check_run.due" && event["job"].is_null() && !event["run"].is_null()
}

/// Checks that all lines contain the job's id, possibly in the name of its runner.
fn have_its_number(lines: &[Value]) {
    for line in lines {
        let words = line["message"].as_str().unwrap();
        let found = line.to_string().contains(&JOB.to_string());
        let of_no_job = OF_NO_JOB.contains(&words) || is_of_a_run(line);
        assert!(found || of_no_job, "it is not found: {line}");
    }
}

fn says(lines: &[Value], words: &str) -> bool {
    lines
        .iter()
        .any(|line| line["message"].as_str().unwrap().starts_with(words))
}

#[test]
fn each_line_of_a_job_has_its_id() {
    let stage = Stage::new();
    let lines = lines(|| {
        stage.queue(JOB);
        let instance = stage.instance();
        let runner = stage.boot(&instance);
        let body =
            serde_json::json!({ "instance": instance, "stage": "runner_started", "at": stage.now(), "detail": "" });
        stage.make(Call::CheckIn(instance.clone(), "progress", body));
        stage.start(runner, JOB);
        stage.minute();
        stage.heartbeat(&instance, "running");
        stage.complete(JOB, Conclusion::Success);
        stage.make(Call::JobEvents(stage.run_completed()));
        let goodbye = serde_json::json!({ "instance": instance, "reason": "finished" });
        stage.make(Call::CheckIn(instance.clone(), "goodbye", goodbye));
        stage.minutes(10);
    });
    assert_eq!(stage.left(), [""; 0]);
    for words in [
        "asked EC2",
        "the instance reached",
        "the instance says goodbye",
        "the job has started",
    ] {
        assert!(says(&lines, words), "{words}: {lines:?}");
    }
    have_its_number(&lines);
}

#[test]
fn each_line_of_a_batched_call_has_the_ids_of_all_jobs() {
    let stage = Stage::new();
    let lines = lines(|| {
        stage.world.hub().queue(RUN, JobId(JOB));
        stage.world.break_down("create_fleet");
        stage.make_fallible(Call::Launch(Event::JobQueued(stage.job(JOB))));
        stage.world.restore();
        // The sweep repeats it by the call's own name, without a job.
        let refused = (FleetErrorKind::Capacity, "InsufficientInstanceCapacity");
        stage.world.cloud().refuse([refused]);
        stage.minutes(10);
    });
    let by_its_name = |line: &Value| line["spans"][0]["kind"] == "queue.due";
    assert!(lines.iter().any(by_its_name), "{lines:?}");
    for words in ["it is not clear", "EC2 refused a launch"] {
        assert!(says(&lines, words), "{words}: {lines:?}");
    }
    have_its_number(&lines);
}
