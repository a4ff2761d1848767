use std::time::Duration;

use dayfly_engine::launch::claim;
use dayfly_records::{AfterInterruption, CheckRunKey, CheckSubject, CombinedPart, MessengerReport};
use dayfly_types::capacity::{FleetErrorKind, InstanceLifecycle, LaunchFailure, Pool};
use dayfly_types::ids::{InstanceType, Zone};
use dayfly_types::time::Timestamp;

use super::*;
use crate::fixtures::{event, now};

const WEB: &str = "https://github.com";

fn at(minutes: u64) -> Timestamp {
    now().after(Duration::from_mins(minutes))
}

fn pool(instance_type: &str, zone: &str) -> Pool {
    Pool {
        instance_type: InstanceType::new(instance_type),
        zone: Zone::new(zone),
    }
}

fn tried(kind: FleetErrorKind, code: &str, message: &str) -> LaunchFailure {
    LaunchFailure {
        lifecycle: InstanceLifecycle::Spot,
        pool: Some(pool("g5.xlarge", "eu-west-1a")),
        kind,
        code: code.to_owned(),
        message: message.to_owned(),
        times: 3,
        first: at(0),
        last: at(8),
    }
}

fn no_capacity() -> Vec<LaunchFailure> {
    let message = "There is no Spot capacity available that matches your request.";
    vec![
        tried(FleetErrorKind::Capacity, "InsufficientInstanceCapacity", message),
        LaunchFailure {
            pool: Some(pool("g4dn.xlarge", "eu-west-1b")),
            times: 1,
            last: at(0),
            ..tried(FleetErrorKind::Capacity, "UnfulfillableCapacity", message)
        },
        LaunchFailure {
            lifecycle: InstanceLifecycle::OnDemand,
            pool: None,
            last: at(24 * 60),
            ..tried(
                FleetErrorKind::Quota,
                "VcpuLimitExceeded",
                "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the instance bucket.",
            )
        },
    ]
}

fn check_run(content: CheckContent) -> CheckRun {
    CheckRun::of(None, &claim::new_job(&event(11)), content, now())
}

fn shown(check: &CheckRunBody) -> String {
    format!(
        "{} · {}\n{} {:?} {}\n{}\n\n{}\n{}",
        check.name,
        check.title,
        check.external_id,
        check.conclusion,
        check.head_sha,
        check.details_url,
        check.summary,
        check.text.as_deref().unwrap_or("-\n"),
    )
}

fn all(contents: Vec<CheckContent>) -> String {
    let shown: Vec<String> = contents
        .into_iter()
        .map(|content| shown(&render(&check_run(content), WEB)))
        .collect();
    shown.join("\n==========\n")
}

#[test]
fn waiting_job_sees_the_reason_and_the_next_try() {
    let kinds = [
        FleetErrorKind::Price,
        FleetErrorKind::BadRequest,
        FleetErrorKind::Throttled,
        FleetErrorKind::Unknown,
    ];
    let mut contents = vec![
        CheckContent::Waiting {
            next_at: at(10),
            tried: Vec::new(),
        },
        CheckContent::Waiting {
            next_at: at(10),
            tried: no_capacity(),
        },
    ];
    contents.extend(kinds.map(|kind| CheckContent::Waiting {
        next_at: at(10),
        tried: vec![tried(kind, "Code", "words")],
    }));
    insta::assert_snapshot!(all(contents));
}

#[test]
fn queued_job_sees_its_place_the_rule_and_the_outcome() {
    insta::assert_snapshot!(all(vec![
        CheckContent::Queued {
            place: 3,
            of: 20,
            words: "It waits for its turn, at place 3 of 20: the policy rule `limits.stack.runners` of the stack lets \
                    100 runners run at once in the stack"
                .to_owned(),
        },
        CheckContent::Launched {
            pool: pool("g6.xlarge", "eu-west-1c"),
            lifecycle: InstanceLifecycle::Spot,
            tried: Vec::new(),
        },
        CheckContent::Ended { tried: Vec::new() },
    ]));
}

#[test]
fn job_that_waited_sees_which_instance_it_got() {
    insta::assert_snapshot!(all(vec![CheckContent::Launched {
        pool: pool("g6.xlarge", "eu-west-1c"),
        lifecycle: InstanceLifecycle::OnDemand,
        tried: no_capacity(),
    }]));
}

#[test]
fn given_up_job_sees_why_and_what_to_do() {
    let given_up = |reason: &str, tried: Vec<LaunchFailure>, messenger| CheckContent::GivenUp {
        reason: reason.to_owned(),
        tried,
        messenger,
    };
    let failed = |cancelled| MessengerReport::Failed {
        reason: "VcpuLimitExceeded: no vCPU left.".to_owned(),
        cancelled,
    };
    insta::assert_snapshot!(all(vec![
        given_up(
            "No instance was available for 15 minutes.",
            no_capacity(),
            MessengerReport::OnItsWay
        ),
        given_up(
            "No runner in `.dayfly.yml` has all of the labels `dayfly-gpu`, `big_one`: add one.",
            Vec::new(),
            MessengerReport::Off
        ),
        given_up(
            "`.dayfly.yml`: error: line 1\n  |\n1 | runners: 7\n  | ^ here",
            Vec::new(),
            failed(true)
        ),
        given_up(
            "No instance was available for 15 minutes.",
            no_capacity(),
            failed(false)
        ),
    ]));
}

#[test]
fn interrupted_job_sees_what_happens_next() {
    let interrupted = |next, ran_on| CheckContent::Interrupted {
        at: at(3),
        what: "EC2 took the instance back".to_owned(),
        ran_on,
        next,
    };
    let spot = Some((pool("g5.xlarge", "eu-west-1a"), InstanceLifecycle::Spot));
    let again = |with_failed| AfterInterruption::Rerun {
        attempt: RunAttempt(2),
        with_failed,
    };
    let not = AfterInterruption::NotRerun {
        reason: "it was run again 2 times, and `max_reruns` allows no more.".to_owned(),
    };
    insta::assert_snapshot!(all(vec![
        interrupted(AfterInterruption::WhenRunIsOver, spot.clone()),
        interrupted(again(false), spot.clone()),
        interrupted(again(true), spot.clone()),
        interrupted(not, spot),
        interrupted(AfterInterruption::AnotherInstance, None),
    ]));
}

#[test]
fn rerun_links_back_to_the_interrupted_attempt() {
    insta::assert_snapshot!(all(vec![CheckContent::Rerun {
        of: RunAttempt(1),
        lifecycle: InstanceLifecycle::OnDemand,
    }]));
}

#[test]
fn job_that_ended_while_waiting_is_no_longer_waiting() {
    let waiting = check_run(CheckContent::Waiting {
        next_at: at(10),
        tried: no_capacity(),
    });
    let over = waiting.ended(at(4)).unwrap();
    assert_eq!(over.due_at, Some(at(4)));
    assert_eq!(over.ended(at(5)), None);
    insta::assert_snapshot!(shown(&render(&over, WEB)));
}

#[test]
fn foreign_text_cannot_break_the_markdown() {
    let nasty = "a | b\n| c | `d` | <img src=x> [click](http://evil) \\| **bold** @octo/all";
    let mut check_run = check_run(CheckContent::GivenUp {
        reason: format!("{nasty} end"),
        tried: vec![tried(FleetErrorKind::Unknown, "Odd|Code", nasty)],
        messenger: MessengerReport::Failed {
            reason: nasty.replace('\n', " "),
            cancelled: false,
        },
    });
    check_run.job_name = "build (a|b,\n c)".to_owned();
    insta::assert_snapshot!(shown(&render(&check_run, WEB)));
}

#[test]
fn what_exceeds_githubs_limit_is_left_out_with_a_remark() {
    let many = vec![tried(FleetErrorKind::Capacity, "Code", &"|".repeat(5000)); 200];
    let check = render(
        &check_run(CheckContent::GivenUp {
            reason: "é".repeat(70_000),
            tried: many,
            messenger: MessengerReport::OnItsWay,
        }),
        WEB,
    );
    let text = check.text.unwrap();
    assert!(check.summary.len() <= MAX_TEXT && check.summary.ends_with("longer than GitHub accepts."));
    assert!(text.len() <= MAX_TEXT && text.ends_with(" more rows.\n"), "{text}");
    let rows = text.matches("g5.xlarge").count();
    assert!(text.contains(&format!("\nNot shown here: {} more rows", 200 - rows)));
}

#[test]
fn external_id_names_the_job() {
    let key = check_run(CheckContent::Ended { tried: Vec::new() }).key;
    for serial in [1, 2, 10] {
        assert_eq!(job_of_external_id(&external_id(RunId(500), key, serial)), key.job());
    }
    assert_eq!(external_id(RunId(500), key, 1), "11/1");
    assert_eq!(external_id(RunId(500), key, 2), "11/1/2");
    for other in ["", "11", "a/1", "11/b"] {
        assert_eq!(job_of_external_id(other), None, "{other}");
    }
}

fn combined(parts: Vec<(CheckContent, std::ops::Range<u64>)>) -> CheckRun {
    let parts = parts.into_iter().map(|(content, jobs)| CombinedPart {
        content,
        jobs: jobs.map(|job| (JobId(job), format!("train (seed=[{job}])"))).collect(),
    });
    CheckRun {
        key: CheckRunKey::new(CheckSubject::Jobs, RunAttempt(1)),
        content: CheckContent::Combined { parts: parts.collect() },
        ..check_run(CheckContent::Ended { tried: Vec::new() })
    }
}

fn given_up_for_capacity() -> CheckContent {
    CheckContent::GivenUp {
        reason: "No instance was available in 15 minutes.".to_owned(),
        tried: no_capacity(),
        messenger: MessengerReport::OnItsWay,
    }
}

#[test]
fn combined_check_run_names_each_job_and_shared_facts_once() {
    let waiting = CheckContent::Waiting {
        next_at: at(10),
        tried: no_capacity(),
    };
    let check = render(
        &combined(vec![(waiting, 21..24), (given_up_for_capacity(), 11..13)]),
        WEB,
    );
    insta::assert_snapshot!(shown(&check));
}

#[test]
fn largest_matrix_fits_into_one_check_run() {
    let mut check_run = combined(vec![(given_up_for_capacity(), 1_000_000_000_000..1_000_000_000_256)]);
    let CheckContent::Combined { parts } = &mut check_run.content else {
        panic!("it should be combined")
    };
    for (_, name) in &mut parts[0].jobs {
        *name = "[long]".repeat(50);
    }
    let text = render(&check_run, WEB).text.unwrap();
    assert!(text.len() <= MAX_TEXT);
    for job in 1_000_000_000_000u64..1_000_000_000_256 {
        assert!(text.contains(&format!("/job/{job})")), "{job} is not named");
    }
    let too_many = combined(vec![(given_up_for_capacity(), 0..2000)]);
    let text = render(&too_many, WEB).text.unwrap();
    assert!(text.len() <= MAX_TEXT && text.contains("Not shown here: "));
}

#[test]
fn job_log_ends_with_the_table_of_failed_launches() {
    let log = job_log("No instance was available. Name more types", &no_capacity());
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(
        lines[..4],
        ["No instance was available. Name more types", "", "Failed launches:", ""]
    );
    assert_eq!(
        lines[4..7],
        [
            "instance type  zone        purchase option  times  when (UTC)                                 EC2's answer",
            "g5.xlarge      eu-west-1a  spot             3      2027-01-15 08:00:00 – 08:08:00             \
             InsufficientInstanceCapacity: There is no Spot capacity available that matches your request.",
            "g4dn.xlarge    eu-west-1b  spot             1      2027-01-15 08:00:00                        \
             UnfulfillableCapacity: There is no Spot capacity available that matches your request.",
        ]
    );
    assert!(
        lines[7].starts_with("any            any         on-demand        3      2027-01-15"),
        "{log}"
    );
    assert_eq!(lines.len(), 8);
    assert_eq!(job_log("no runner has the label", &[]), "No runner has the label");
}
