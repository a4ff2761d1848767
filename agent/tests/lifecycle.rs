//! The agent's binary, from its start to the power-off.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::time::Duration;

use dayfly_agent::processes;
use dayfly_types::checkin::{MESSAGE_DELIVERED, MESSAGE_MISTAKEN, START_REFUSED, START_UNANSWERED};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use support::{INSTANCE, JIT_CONFIG, PATIENT_LISTENER, SECRET_KEY, SESSION_TOKEN, WORKING_LISTENER, World, claim};

fn stage(name: &'static str) -> impl Fn(&Value) -> bool {
    move |body| body["stage"] == name
}

/// The claim's answer with these numbers replaced.
fn claim_with(changes: &[(&str, u64)]) -> Value {
    let mut answer = claim();
    for (name, value) in changes {
        answer[*name] = json!(value);
    }
    answer
}

#[tokio::test]
async fn job_is_claimed_run_reported_and_followed_by_power_off() {
    let mut world = World::new(
        r#"
        echo "listening as $jit"
        "$ACTIONS_RUNNER_HOOK_JOB_STARTED"
        bash -c 'env >job-env; cat /proc/[0-9]*/cmdline | tr "\0" "\n" >command-lines'
        setsid sleep 1000 &
        "$ACTIONS_RUNNER_HOOK_JOB_COMPLETED"
        "#,
    )
    .await;
    world.start();
    let claimed = world.next("claim").await;
    assert_eq!(claimed.body["instance"], INSTANCE);
    assert!(claimed.authorization.starts_with("AWS4-HMAC-SHA256 Credential=ASIA1/"));
    assert!(claimed.authorization.contains("/eu-west-1/lambda/aws4_request"));
    assert_eq!(claimed.session_token, SESSION_TOKEN);
    let goodbye = world.next("goodbye").await;
    assert_eq!(goodbye.body["reason"], "finished");
    world.powered_off().await;

    let calls = world.calls();
    let mut stages: Vec<&str> = calls.iter().filter_map(|call| call.body["stage"].as_str()).collect();
    stages.sort_unstable();
    assert_eq!(stages, ["agent_up", "job_finished", "job_started", "runner_started"]);
    let log = world.log();
    assert!(log.contains("listening as ***"), "{log}");
    let job_env = fs::read_to_string(world.runner_file("job-env")).unwrap();
    for variable in ["AWS_", "DAYFLY_"] {
        assert!(!job_env.lines().any(|line| line.starts_with(variable)), "{job_env}");
    }
    let command_lines = fs::read_to_string(world.runner_file("command-lines")).unwrap();
    for secret in [JIT_CONFIG, SECRET_KEY, SESSION_TOKEN] {
        for (place, text) in [("log", &log), ("job", &job_env), ("/proc", &command_lines)] {
            assert!(!text.contains(secret), "a secret in {place}: {text}");
        }
    }
}

#[tokio::test]
async fn job_starts_only_if_the_control_plane_permits_it() {
    let refused = json!({"refusal": "policy rule `forks` of the stack: it comes from a fork"});
    for (status, answer, detail, expected) in [
        (200, json!({}), None, "began"),
        (
            200,
            refused,
            Some(START_REFUSED),
            "::error::policy rule `forks` of the stack: it comes from a fork",
        ),
        (
            403,
            json!({"error": "not yours"}),
            Some(START_UNANSWERED),
            "::error::Dayfly did not answer in time",
        ),
    ] {
        let mut world = World::new(
            r#"
            export GITHUB_RUN_ID=22 GITHUB_RUN_ATTEMPT=3
            if sh -e "$ACTIONS_RUNNER_HOOK_JOB_STARTED" >output; then echo began >output; fi
            "$ACTIONS_RUNNER_HOOK_JOB_COMPLETED"
            "#,
        )
        .await;
        world.answer_start(status, answer);
        world.start();
        let asked = world.next("start").await.body;
        assert_eq!(asked, json!({"instance": INSTANCE, "run": 22, "attempt": 3}));
        let started = world.next_that("progress", stage("job_started")).await;
        assert_eq!(started.body["detail"].as_str(), detail);
        let left = world.next("goodbye").await;
        let unanswered = detail.filter(|detail| *detail == START_UNANSWERED);
        assert_eq!(left.body["detail"].as_str(), unanswered);
        world.powered_off().await;
        let text = fs::read_to_string(world.runner_file("output")).unwrap();
        assert!(text.starts_with(expected), "{text}");
    }
}

#[tokio::test]
async fn refused_claim_powers_off_without_a_goodbye() {
    let mut world = World::new("touch ran").await;
    world.answer_claims([(403, json!({"error": "claimed already"}))]);
    world.start();
    world.powered_off().await;
    assert_eq!(world.count("claim"), 1);
    assert_eq!(world.count("goodbye"), 0);
    assert!(!world.runner_file("ran").exists());
}

#[tokio::test]
async fn claim_is_retried_until_the_control_plane_has_a_runner() {
    let mut world = World::new("exit 0").await;
    world.answer_claims([
        (409, json!({"error": "no record yet"})),
        (403, json!({"Message": "Forbidden"})),
        (503, json!({"error": "GitHub does not answer"})),
        (200, claim()),
    ]);
    world.start();
    assert_eq!(world.next("goodbye").await.body["reason"], "idle");
    world.powered_off().await;
    assert_eq!(world.count("claim"), 4);
}

#[tokio::test]
async fn ordered_drain_interrupts_the_listener_and_waits_for_it() {
    let mut world = World::new(PATIENT_LISTENER).await;
    world.start();
    world.next_that("progress", stage("job_started")).await;
    world.next_that("heartbeat", |body| body["phase"] == "running").await;
    world.order("drain");
    assert_eq!(world.next("goodbye").await.body["reason"], "drained");
    world.powered_off().await;
    assert!(world.runner_file("interrupted").exists());
    assert!(world.calls().iter().any(|call| call.body["stage"] == "drain_started"));
}

#[tokio::test]
async fn ordered_stop_ends_a_runner_that_ignores_signals() {
    let mut world =
        World::new("trap '' INT TERM; \"$ACTIONS_RUNNER_HOOK_JOB_STARTED\"; while :; do sleep 1000; done").await;
    world.start();
    world.next_that("progress", stage("job_started")).await;
    world.order("stop");
    assert_eq!(world.next("goodbye").await.body["reason"], "stopped");
    world.powered_off().await;
}

#[tokio::test]
async fn runner_that_ignores_its_drain_is_killed() {
    let mut world =
        World::new("trap '' INT TERM; \"$ACTIONS_RUNNER_HOOK_JOB_STARTED\"; while :; do sleep 1000; done").await;
    world.answer_claims([(200, claim_with(&[("drain_seconds", 1)]))]);
    world.start();
    world.next_that("progress", stage("job_started")).await;
    world.order("drain");
    world.next_that("heartbeat", |body| body["phase"] == "draining").await;
    assert_eq!(world.next("goodbye").await.body["reason"], "drained");
    world.powered_off().await;
}

#[tokio::test]
async fn spot_notice_drains_without_an_order_and_is_sent_on() {
    let mut world = World::new(PATIENT_LISTENER).await;
    world.start();
    world.next_that("progress", stage("job_started")).await;
    let notice = world.give_spot_notice(Duration::from_secs(120));
    assert_eq!(world.next("goodbye").await.body["reason"], "interrupted");
    world.powered_off().await;
    assert!(world.runner_file("interrupted").exists());
    assert!(world.calls().iter().any(|call| call.body["interruption"] == notice));
}

/// A hook that records its environment, and whether the job had been ended by then.
const HOOK: &str = r#"
pwd >saved
echo "$DAYFLY_INTERRUPTION_AT $DAYFLY_SECONDS_LEFT $DAYFLY_RUNNER $GITHUB_RUN_ID" >>saved
env >hook-env
[ ! -e ../interrupted ] || echo "too late" >>saved
echo "saving"
echo "as $(id -un)" >&2
sleep 1000 &
exit 3
"#;

fn claim_with_hook(hook: &str) -> Value {
    let mut answer = claim();
    answer["on_interruption"] = json!(hook);
    answer
}

#[tokio::test]
async fn interruption_hook_runs_in_the_workspace_before_the_job_ends() {
    let mut world = World::new(WORKING_LISTENER).await;
    world.answer_claims([(200, claim_with_hook(HOOK))]);
    world.start();
    world.next_that("progress", stage("job_started")).await;
    let notice = world.give_spot_notice(Duration::from_secs(100));
    let heartbeat = world
        .next_that("heartbeat", |body| body["interruption"] == notice)
        .await;
    assert_eq!(heartbeat.body["phase"], "draining");
    let goodbye = world.next("goodbye").await;
    assert_eq!(goodbye.body["reason"], "interrupted");
    world.powered_off().await;

    assert!(world.runner_file("interrupted").exists());
    let workspace = world.runner_file("it's the workspace");
    let saved = fs::read_to_string(workspace.join("saved")).unwrap();
    let lines: Vec<&str> = saved.lines().collect();
    let [folder, details] = lines[..] else {
        panic!("{saved}")
    };
    assert_eq!(folder, fs::canonicalize(&workspace).unwrap().to_str().unwrap());
    let details: Vec<&str> = details.split(' ').collect();
    let [at, seconds, runner, run] = details[..] else {
        panic!("{saved}")
    };
    assert_eq!(
        (at, runner, run),
        (notice["at"].as_str().unwrap(), "dayfly-1-1-1", "22")
    );
    assert_eq!(seconds, "7", "a quarter of the drain; the listener needs the rest");
    let calls = world.calls();
    let result = calls.iter().find(|call| call.body["stage"] == "hook_finished").unwrap();
    let detail = result.body["detail"].as_str().unwrap();
    assert!(detail.starts_with("exit status 3, after "), "{detail}");
    for (place, text) in [
        ("the agent's log", world.log()),
        ("the step's", fs::read_to_string(world.runner_file("step-log")).unwrap()),
    ] {
        assert!(text.contains("saving") && text.contains("as "), "{place}: {text}");
    }
    let hook_env = fs::read_to_string(workspace.join("hook-env")).unwrap();
    for secret in [JIT_CONFIG, SECRET_KEY, SESSION_TOKEN, "AWS_"] {
        assert!(!hook_env.contains(secret), "{hook_env}");
    }
}

#[tokio::test]
async fn slow_interruption_hook_is_killed_with_its_children() {
    let mut world = World::new(WORKING_LISTENER).await;
    let hook = "trap '' INT TERM; setsid sleep 1000 & sleep 1000";
    world.answer_claims([(200, claim_with_hook(hook))]);
    world.start();
    world.next_that("progress", stage("job_started")).await;
    world.give_spot_notice(Duration::from_secs(9));
    let result = world.next_that("progress", stage("hook_finished")).await;
    let detail = result.body["detail"].as_str().unwrap();
    assert!(detail.starts_with("killed when its time was over"), "{detail}");
    assert_eq!(world.next("goodbye").await.body["reason"], "interrupted");
    world.powered_off().await;
    assert!(world.runner_file("interrupted").exists());
}

#[tokio::test]
async fn notice_through_the_control_plane_runs_the_hook_too() {
    let mut world = World::new(WORKING_LISTENER).await;
    world.answer_claims([(200, claim_with_hook("touch saved"))]);
    world.start();
    world.next_that("progress", stage("job_started")).await;
    world.order_drain_with_notice(Duration::from_secs(100));
    assert_eq!(world.next("goodbye").await.body["reason"], "interrupted");
    world.powered_off().await;
    assert!(world.runner_file("it's the workspace/saved").exists());
    assert_eq!(
        world
            .calls()
            .iter()
            .filter(|call| call.body["stage"] == "hook_finished")
            .count(),
        1
    );
}

#[tokio::test]
async fn drain_without_a_notice_runs_no_hook() {
    let mut world = World::new(WORKING_LISTENER).await;
    world.answer_claims([(200, claim_with_hook("touch saved"))]);
    world.start();
    world.next_that("progress", stage("job_started")).await;
    world.order("drain");
    assert_eq!(world.next("goodbye").await.body["reason"], "drained");
    world.powered_off().await;
    assert!(!world.runner_file("it's the workspace/saved").exists());
}

#[tokio::test]
async fn messenger_fails_its_job_with_the_reason_and_reports_which() {
    for (attempt, detail, words) in [
        ("1", MESSAGE_DELIVERED, "::error::No g5.xlarge can be had"),
        ("2", MESSAGE_MISTAKEN, "by mistake"),
    ] {
        let mut world = World::new(&format!(
            "GITHUB_RUN_ID=22 GITHUB_RUN_ATTEMPT={attempt} sh -e \"$ACTIONS_RUNNER_HOOK_JOB_STARTED\" || echo \"failed with $?\"
            \"$ACTIONS_RUNNER_HOOK_JOB_COMPLETED\""
        ))
        .await;
        let mut answer = claim();
        answer["message"] = json!({"run": 22, "attempt": 1, "text": "No g5.xlarge can be had\nin any zone"});
        world.answer_claims([(200, answer)]);
        world.start();
        let started = world.next_that("progress", stage("job_started")).await;
        assert_eq!(started.body["detail"], detail);
        assert_eq!(world.next("goodbye").await.body["reason"], "finished");
        world.powered_off().await;
        let log = world.log();
        assert!(log.contains(words) && log.contains("failed with 1"), "{log}");
    }
}

/// Only root can become another user; otherwise there is nothing to check.
#[tokio::test]
async fn interruption_hook_runs_as_the_jobs_user() {
    if !nix::unistd::Uid::effective().is_root() {
        return;
    }
    let mut world = World::new("\"$ACTIONS_RUNNER_HOOK_JOB_STARTED\"; trap 'exit 0' INT; sleep 1000 & wait").await;
    world.answer_claims([(200, claim_with_hook("id; cat \"$0\" >/dev/null && echo its own file"))]);
    world.set("DAYFLY_RUNNER_USER", "nobody");
    world.start();
    world.next_that("progress", stage("job_started")).await;
    world.give_spot_notice(Duration::from_secs(100));
    world.next("goodbye").await;
    world.powered_off().await;
    let log = world.log();
    assert!(
        log.contains("uid=65534(nobody)") && log.contains("its own file"),
        "{log}"
    );
    assert!(!log.contains("0(root)"), "{log}");
}

#[tokio::test]
async fn unreachable_control_plane_ends_the_instance() {
    let mut world = World::new(PATIENT_LISTENER).await;
    world.set("DAYFLY_UNREACHABLE_SECONDS", "3");
    world.start();
    world.next_that("progress", stage("job_started")).await;
    world.cut_off();
    world.powered_off().await;
    assert!(world.runner_file("interrupted").exists());
}

#[tokio::test]
async fn unreachable_metadata_ends_the_instance() {
    let mut world = World::new("touch ran").await;
    let nowhere = format!("{}/nowhere", world.url());
    world.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", nowhere);
    world.set("DAYFLY_UNREACHABLE_SECONDS", "1");
    world.start();
    world.powered_off().await;
    assert!(!world.runner_file("ran").exists());
}

#[tokio::test]
async fn claimed_lifetime_ends_the_instance() {
    let mut world = World::new(PATIENT_LISTENER).await;
    world.answer_claims([(200, claim_with(&[("lifetime_seconds", 2)]))]);
    world.start();
    world.next_that("progress", stage("job_started")).await;
    assert_eq!(world.next("goodbye").await.body["reason"], "lifetime");
    world.powered_off().await;
    assert!(world.runner_file("interrupted").exists());
}

#[tokio::test]
async fn agents_own_lifetime_needs_no_claim() {
    let mut world = World::new("touch ran").await;
    world.answer_claims([(409, json!({"error": "no record yet"}))]);
    world.set("DAYFLY_MAX_LIFETIME_SECONDS", "1");
    world.start();
    assert_eq!(world.next("goodbye").await.body["reason"], "lifetime");
    world.powered_off().await;
}

#[tokio::test]
async fn killed_worker_is_followed_by_goodbye_and_power_off() {
    let mut world = World::new(PATIENT_LISTENER).await;
    world.start();
    world.next_that("progress", stage("job_started")).await;
    processes::signal(world.worker(), Signal::SIGKILL);
    let goodbye = world.next("goodbye").await;
    assert_eq!(goodbye.body["reason"], "runner_failed");
    assert_eq!(goodbye.body["detail"], "the agent ended: ended by SIGKILL");
    world.powered_off().await;
}

#[tokio::test]
async fn killed_supervisor_leaves_a_worker_that_powers_off() {
    let mut world = World::new(PATIENT_LISTENER).await;
    world.start();
    world.next_that("progress", stage("job_started")).await;
    processes::signal(world.supervisor(), Signal::SIGKILL);
    assert_eq!(world.next("goodbye").await.body["reason"], "stopped");
    world.next("poweroff").await;
    assert!(world.runner_file("interrupted").exists());
}

#[tokio::test]
async fn failure_of_the_runner_is_reported() {
    for (listener, reason, detail) in [
        ("echo 'too old'; exit 7", "runner_outdated", "too old"),
        ("echo broken >&2; exit 3", "runner_failed", "exit status 3: broken"),
        ("kill -9 $PPID", "runner_failed", "ended by a signal"),
        (
            "echo 'Listening for Jobs'; echo 'Exiting runner...'",
            "idle",
            "Listening for Jobs",
        ),
    ] {
        let mut world = World::new(listener).await;
        world.start();
        let goodbye = world.next("goodbye").await;
        assert_eq!(goodbye.body["reason"], reason, "{listener}");
        assert_eq!(goodbye.body["detail"], detail, "{listener}");
        world.powered_off().await;
    }
}

#[tokio::test]
async fn missing_runner_is_reported() {
    let mut world = World::new("exit 0").await;
    world.set("DAYFLY_RUNNER_DIR", "/nonexistent");
    world.start();
    assert_eq!(world.next("goodbye").await.body["reason"], "runner_failed");
    world.powered_off().await;
}

#[tokio::test]
async fn bad_settings_power_off_too() {
    let mut world = World::new("exit 0").await;
    world.set("DAYFLY_UNREACHABLE_SECONDS", "soon");
    world.start();
    world.powered_off().await;
    assert!(world.log().contains("`DAYFLY_UNREACHABLE_SECONDS` is `soon`"));
}

/// Only root can become another user; otherwise there is nothing to check.
#[tokio::test]
async fn runner_is_an_unprivileged_user() {
    if !nix::unistd::Uid::effective().is_root() {
        return;
    }
    let mut world =
        World::new("\"$ACTIONS_RUNNER_HOOK_JOB_STARTED\"; echo \"user $(id -un), groups $(id -Gn), home $HOME\"").await;
    world.set("DAYFLY_RUNNER_USER", "nobody");
    world.start();
    assert_eq!(world.next("goodbye").await.body["reason"], "finished");
    world.powered_off().await;
    assert!(
        world.log().contains("user nobody, groups nogroup, home /nonexistent"),
        "{}",
        world.log()
    );
}

#[tokio::test]
async fn startup_script_runs_before_the_runner_with_the_jobs_variables() {
    const SCRIPT_SECRET: &str = "c2NyaXB0LWluLXNlY3JldA";
    let mut world = World::new(
        r#"
        "$ACTIONS_RUNNER_HOOK_JOB_STARTED"
        env >job-env
        "$ACTIONS_RUNNER_HOOK_JOB_COMPLETED"
        "#,
    )
    .await;
    let mut answer = claim();
    answer["startup_script"] = json!(format!(
        "# {SCRIPT_SECRET}\nsleep 2\nenv >\"$PWD/startup-env\"\nsetsid sleep 1000 &\n"
    ));
    answer["startup_seconds"] = json!(60);
    answer["env"] = json!({
        "HF_HOME": "/mnt/models of \"mine\"",
        "ACTIONS_RUNNER_HOOK_JOB_STARTED": "/bin/true",
    });
    world.answer_claims([(200, answer)]);
    world.start();
    world.next_that("progress", stage("startup_started")).await;
    world.next_that("heartbeat", |body| body["phase"] == "listening").await;
    let finished = world.next_that("progress", stage("startup_finished")).await;
    let detail = finished.body["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("exit status 0, after "), "{detail}");
    world.next_that("progress", stage("job_started")).await;
    assert_eq!(world.next("goodbye").await.body["reason"], "finished");
    world.powered_off().await;
    for file in ["startup-env", "job-env"] {
        let env = fs::read_to_string(world.runner_file(file)).unwrap();
        assert!(
            env.lines().any(|line| line == "HF_HOME=/mnt/models of \"mine\""),
            "{file}: {env}"
        );
        assert!(!env.contains("DAYFLY_"), "{file}: {env}");
    }
    let log = world.log();
    for secret in [SCRIPT_SECRET, "HF_HOME", "/mnt/models", JIT_CONFIG] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[tokio::test]
async fn failed_or_slow_startup_script_ends_the_instance() {
    for (script, limit, words) in [
        (
            "echo begun\nfalse || echo 'no such package: ffmpegg' >&2\nexit 3",
            60,
            ["exit status 3, after ", "no such package: ffmpegg"],
        ),
        (
            "echo waiting for a lock\nsetsid sleep 1000 & sleep 1000",
            1,
            ["took too long and was killed, after ", "waiting for a lock"],
        ),
    ] {
        let mut world = World::new("touch ran").await;
        let mut answer = claim();
        answer["startup_script"] = json!(script);
        answer["startup_seconds"] = json!(limit);
        world.answer_claims([(200, answer)]);
        world.start();
        let goodbye = world.next("goodbye").await.body;
        assert_eq!(goodbye["reason"], "startup_failed");
        let detail = goodbye["detail"].as_str().unwrap();
        assert!(detail.starts_with(words[0]) && detail.contains(words[1]), "{detail}");
        world.powered_off().await;
        assert!(!world.runner_file("ran").exists());
        let reported = world
            .calls()
            .into_iter()
            .find(|call| call.body["stage"] == "startup_finished");
        assert_eq!(reported.unwrap().body["detail"], detail);
    }
}
