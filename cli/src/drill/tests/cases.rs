//! Cases of the decisions and the report.

use aws_sdk_fis::types::{ExperimentState, ExperimentStatus};
use dayfly_records::RunnerState;
use dayfly_types::ids::{InstanceId, InstanceType, JobId, JobKey, RunAttempt, RunId, RunKey, RunnerName, Zone};
use dayfly_types::time::Timestamp;

use super::super::fis::ExperimentProgress;
use super::super::minutes;
use super::super::refusal::{NotInterruptible, interruptible_placement};
use super::super::snapshot::{DrillProgress, Placement, RerunProgress, RunnerSnapshot, table};
use super::super::timeline::{Timeline, TimelineEntry};

const JOB: JobKey = JobKey {
    job: JobId(7),
    attempt: RunAttempt(1),
};

pub(super) const NOON: Timestamp = Timestamp::from_seconds(43_200);

/// A runner that runs a job on spot.
pub(super) fn busy() -> RunnerSnapshot {
    RunnerSnapshot {
        name: RunnerName::of(JOB, 1),
        repository: "octo/hello".to_owned(),
        state: RunnerState::Busy,
        placement: Some(Placement {
            instance: InstanceId::new("i-1"),
            instance_type: InstanceType::new("g4dn.xlarge"),
            zone: Zone::new("eu-west-1a"),
            spot: true,
        }),
        job: Some(JOB),
        run: Some(RunKey {
            run: RunId(5),
            attempt: RunAttempt(1),
        }),
        rebalance_at: None,
        interrupted_at: None,
        job_over_at: None,
        ended_at: None,
        ending: None,
    }
}

pub(super) fn on_demand() -> RunnerSnapshot {
    let placement = busy().placement.map(|placement| Placement {
        spot: false,
        ..placement
    });
    RunnerSnapshot { placement, ..busy() }
}

pub(super) fn gone() -> RunnerSnapshot {
    RunnerSnapshot {
        state: RunnerState::Gone,
        ended_at: Some(NOON),
        ending: Some("its job is over".to_owned()),
        ..busy()
    }
}

#[test]
fn only_a_live_runner_on_spot_can_be_interrupted() {
    let name = "dayfly-7-1-1";
    let ending = |state, because: &str| NotInterruptible::Ending {
        runner: name.to_owned(),
        state,
        because: because.to_owned(),
    };
    let with = |state| Some(RunnerSnapshot { state, ..busy() });
    let cases = [
        (with(RunnerState::Busy), None),
        (with(RunnerState::Launched), None),
        (with(RunnerState::Enrolled), None),
        (None, Some(NotInterruptible::Unknown(name.to_owned()))),
        (Some(gone()), Some(ending("is gone", "its job is over"))),
        (with(RunnerState::Draining), Some(ending("ends", "it was asked to end"))),
        (with(RunnerState::Done), Some(ending("ends", "it was asked to end"))),
        (with(RunnerState::Lost), Some(ending("ends", "it was asked to end"))),
        (
            Some(RunnerSnapshot {
                state: RunnerState::Requested,
                placement: None,
                ..busy()
            }),
            Some(NotInterruptible::NoInstance(name.to_owned())),
        ),
        (
            Some(on_demand()),
            Some(NotInterruptible::OnDemand {
                runner: name.to_owned(),
                instance: "i-1".to_owned(),
            }),
        ),
    ];
    for (runner, expected) in cases {
        assert_eq!(
            interruptible_placement(name, runner.as_ref()).err(),
            expected,
            "{runner:?}"
        );
    }
}

#[test]
fn minutes_are_limited_to_those_of_fis() {
    for (text, expected) in [("2m", 2), ("5", 5), ("15m", 15)] {
        assert_eq!(minutes(text), Ok(expected), "{text}");
    }
    for text in ["", "m", "1m", "16m", "120s", "-2m", "2.5m"] {
        assert!(minutes(text).is_err(), "{text}");
    }
}

#[test]
fn stopped_experiment_has_failed() {
    let state =
        |status: ExperimentStatus, reason: &str| ExperimentState::builder().status(status).reason(reason).build();
    let cases = [
        (None, ExperimentProgress::Running),
        (
            Some(state(ExperimentStatus::Initiating, "")),
            ExperimentProgress::Running,
        ),
        (Some(state(ExperimentStatus::Running, "")), ExperimentProgress::Running),
        (Some(state("new".into(), "")), ExperimentProgress::Running),
        (Some(state(ExperimentStatus::Completed, "")), ExperimentProgress::Sent),
        (
            Some(state(ExperimentStatus::Failed, "Target resolution returned empty set")),
            ExperimentProgress::Failed("Target resolution returned empty set".to_owned()),
        ),
        (
            Some(state(ExperimentStatus::Stopped, "")),
            ExperimentProgress::Failed("it stopped".to_owned()),
        ),
    ];
    for (state, expected) in cases {
        assert_eq!(ExperimentProgress::from_state(state.as_ref()), expected, "{state:?}");
    }
}

fn progress(runner: RunnerSnapshot, rerun: RerunProgress) -> DrillProgress {
    DrillProgress {
        runner: Some(runner),
        rerun,
    }
}

#[test]
fn each_milestone_is_reported_once_in_order() {
    let mut timeline = Timeline::default();
    let later = Timestamp::from_seconds(43_260);
    let mut runner = busy();
    let mut update = |runner: &RunnerSnapshot, rerun: RerunProgress| -> Vec<String> {
        let entries = timeline.update(&progress(runner.clone(), rerun), later);
        entries.iter().map(|line| line.render(false)).collect()
    };

    assert_eq!(update(&runner, RerunProgress::NotRecorded), [""; 0]);
    runner.rebalance_at = Some(NOON);
    runner.interrupted_at = Some(NOON);
    assert_eq!(
        update(&runner, RerunProgress::Waiting),
        [
            "12:00:00  EC2 recommends leaving the instance",
            "12:00:00  EC2's notice has come: the runner ends its job",
            "12:01:00  the job is recorded as interrupted: it is handled once its run is over",
        ]
    );
    runner.job_over_at = Some(NOON);
    assert_eq!(
        update(&runner, RerunProgress::Waiting),
        ["12:00:00  the instance says that its job has ended"]
    );
    assert_eq!(
        update(&gone(), RerunProgress::Accepted),
        [
            "12:00:00  the runner is gone: its job is over",
            "12:01:00  GitHub runs the job again",
        ]
    );
    assert_eq!(update(&gone(), RerunProgress::Accepted), [""; 0]);
}

#[test]
fn drill_is_over_once_the_runner_is_gone_and_the_rerun_decided() {
    let idle = RunnerSnapshot {
        job: None,
        run: None,
        ..gone()
    };
    let cases = [
        (progress(busy(), RerunProgress::NotRecorded), false),
        (progress(busy(), RerunProgress::Accepted), false),
        (progress(gone(), RerunProgress::NotRecorded), false),
        (progress(gone(), RerunProgress::Waiting), false),
        (progress(gone(), RerunProgress::Accepted), true),
        (
            progress(gone(), RerunProgress::Declined("it was cancelled".to_owned())),
            true,
        ),
        (progress(idle, RerunProgress::NotRecorded), true),
        (
            DrillProgress {
                runner: None,
                rerun: RerunProgress::NotRecorded,
            },
            true,
        ),
    ];
    for (progress, expected) in cases {
        let mut timeline = Timeline::default();
        timeline.update(&progress, NOON);
        assert_eq!(timeline.is_over(), expected, "{progress:?}");
    }
}

#[test]
fn table_shows_runners_and_is_empty_without_any() {
    let shown = table(&[busy(), on_demand()]);
    assert_eq!(shown.lines().count(), 3, "{shown}");
    assert!(shown.contains("g4dn.xlarge in eu-west-1a"), "{shown}");
    assert!(shown.contains(" spot") && shown.contains(" on-demand"), "{shown}");
    assert_eq!(table(&[]), "");
}

#[test]
fn json_entry_has_its_time_and_json_runner_its_placement() {
    let line = TimelineEntry {
        at: NOON,
        text: "it is noon".to_owned(),
    };
    let json: serde_json::Value = serde_json::from_str(&line.render(true)).unwrap();
    assert!(json["at"].as_str().unwrap().ends_with("T12:00:00Z"), "{json}");
    assert_eq!(json["what"], "it is noon");
    let runner = serde_json::to_value(busy()).unwrap();
    assert!(runner["placement"]["zone"].is_string(), "{runner}");
}
