//! What is decided and told: tables of cases.

use aws_sdk_fis::types::{ExperimentState, ExperimentStatus};
use dayfly_records::RunnerState;
use dayfly_types::ids::{InstanceId, InstanceType, JobId, JobKey, RunAttempt, RunId, RunKey, RunnerName, Zone};
use dayfly_types::time::Timestamp;

use super::super::choose::{Refusal, choose};
use super::super::fis::Experiment;
use super::super::minutes;
use super::super::seen::{Again, Placed, Seen, Watched, table};
use super::super::timeline::{Line, Timeline};

const JOB: JobKey = JobKey {
    job: JobId(7),
    attempt: RunAttempt(1),
};

pub(super) const NOON: Timestamp = Timestamp::from_seconds(43_200);

/// A runner that runs a job on spot.
pub(super) fn busy() -> Seen {
    Seen {
        name: RunnerName::of(JOB, 1),
        repository: "octo/hello".to_owned(),
        state: RunnerState::Busy,
        placed: Some(Placed {
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

pub(super) fn on_demand() -> Seen {
    let placed = busy().placed.map(|placed| Placed { spot: false, ..placed });
    Seen { placed, ..busy() }
}

pub(super) fn gone() -> Seen {
    Seen {
        state: RunnerState::Gone,
        ended_at: Some(NOON),
        ending: Some("its job is over".to_owned()),
        ..busy()
    }
}

#[test]
fn only_a_runner_that_lives_on_spot_can_be_interrupted() {
    let name = "dayfly-7-1-1";
    let ending = |state, because: &str| Refusal::Ending {
        runner: name.to_owned(),
        state,
        because: because.to_owned(),
    };
    let with = |state| Some(Seen { state, ..busy() });
    let cases = [
        (with(RunnerState::Busy), None),
        (with(RunnerState::Launched), None),
        (with(RunnerState::Enrolled), None),
        (None, Some(Refusal::Unknown(name.to_owned()))),
        (Some(gone()), Some(ending("is gone", "its job is over"))),
        (with(RunnerState::Draining), Some(ending("ends", "it was told to"))),
        (with(RunnerState::Done), Some(ending("ends", "it was told to"))),
        (with(RunnerState::Lost), Some(ending("ends", "it was told to"))),
        (
            Some(Seen {
                state: RunnerState::Requested,
                placed: None,
                ..busy()
            }),
            Some(Refusal::NoInstance(name.to_owned())),
        ),
        (
            Some(on_demand()),
            Some(Refusal::OnDemand {
                runner: name.to_owned(),
                instance: "i-1".to_owned(),
            }),
        ),
    ];
    for (runner, expected) in cases {
        assert_eq!(choose(name, runner.as_ref()).err(), expected, "{runner:?}");
    }
}

#[test]
fn the_time_is_one_that_fis_takes() {
    for (text, expected) in [("2m", 2), ("5", 5), ("15m", 15)] {
        assert_eq!(minutes(text), Ok(expected), "{text}");
    }
    for text in ["", "m", "1m", "16m", "120s", "-2m", "2.5m"] {
        assert!(minutes(text).is_err(), "{text}");
    }
}

#[test]
fn an_experiment_that_was_cut_short_has_not_sent_it() {
    let state =
        |status: ExperimentStatus, reason: &str| ExperimentState::builder().status(status).reason(reason).build();
    let cases = [
        (None, Experiment::UnderWay),
        (Some(state(ExperimentStatus::Initiating, "")), Experiment::UnderWay),
        (Some(state(ExperimentStatus::Running, "")), Experiment::UnderWay),
        (Some(state("new".into(), "")), Experiment::UnderWay),
        (Some(state(ExperimentStatus::Completed, "")), Experiment::Sent),
        (
            Some(state(ExperimentStatus::Failed, "Target resolution returned empty set")),
            Experiment::Failed("Target resolution returned empty set".to_owned()),
        ),
        (
            Some(state(ExperimentStatus::Stopped, "")),
            Experiment::Failed("it stopped".to_owned()),
        ),
    ];
    for (state, expected) in cases {
        assert_eq!(Experiment::of(state.as_ref()), expected, "{state:?}");
    }
}

fn watched(runner: Seen, again: Again) -> Watched {
    Watched {
        runner: Some(runner),
        again,
    }
}

#[test]
fn each_thing_is_told_once_in_its_order() {
    let mut timeline = Timeline::default();
    let later = Timestamp::from_seconds(43_260);
    let mut runner = busy();
    let mut tell = |runner: &Seen, again: Again| -> Vec<String> {
        let news = timeline.news(&watched(runner.clone(), again), later);
        news.iter().map(|line| line.told(false)).collect()
    };

    assert_eq!(tell(&runner, Again::NotNoted), [""; 0]);
    runner.rebalance_at = Some(NOON);
    runner.interrupted_at = Some(NOON);
    assert_eq!(
        tell(&runner, Again::Waits),
        [
            "12:00:00  EC2 recommends to leave the instance",
            "12:00:00  EC2's notice has come: the runner is to end its job",
            "12:01:00  the job is noted as interrupted: it is looked after once its run is over",
        ]
    );
    runner.job_over_at = Some(NOON);
    assert_eq!(
        tell(&runner, Again::Waits),
        ["12:00:00  the instance says that its job has ended"]
    );
    assert_eq!(
        tell(&gone(), Again::Runs),
        [
            "12:00:00  the runner is gone: its job is over",
            "12:01:00  GitHub runs the job again",
        ]
    );
    assert_eq!(tell(&gone(), Again::Runs), [""; 0]);
}

#[test]
fn it_is_over_when_the_runner_is_gone_and_its_job_decided_on() {
    let idle = Seen {
        job: None,
        run: None,
        ..gone()
    };
    let cases = [
        (watched(busy(), Again::NotNoted), false),
        (watched(busy(), Again::Runs), false),
        (watched(gone(), Again::NotNoted), false),
        (watched(gone(), Again::Waits), false),
        (watched(gone(), Again::Runs), true),
        (watched(gone(), Again::Declined("it was cancelled".to_owned())), true),
        (watched(idle, Again::NotNoted), true),
        (
            Watched {
                runner: None,
                again: Again::NotNoted,
            },
            true,
        ),
    ];
    for (watched, expected) in cases {
        let mut timeline = Timeline::default();
        timeline.news(&watched, NOON);
        assert_eq!(timeline.is_over(), expected, "{watched:?}");
    }
}

#[test]
fn a_table_shows_who_is_where_and_none_is_no_table() {
    let shown = table(&[busy(), on_demand()]);
    assert_eq!(shown.lines().count(), 3, "{shown}");
    assert!(shown.contains("g4dn.xlarge in eu-west-1a"), "{shown}");
    assert!(shown.contains(" spot") && shown.contains(" on-demand"), "{shown}");
    assert_eq!(table(&[]), "");
}

#[test]
fn as_json_a_line_has_its_moment_and_a_runner_its_place() {
    let line = Line {
        at: NOON,
        what: "it is noon".to_owned(),
    };
    let told: serde_json::Value = serde_json::from_str(&line.told(true)).unwrap();
    assert!(told["at"].as_str().unwrap().ends_with("T12:00:00Z"), "{told}");
    assert_eq!(told["what"], "it is noon");
    let runner = serde_json::to_value(busy()).unwrap();
    assert!(runner["placed"]["zone"].is_string(), "{runner}");
}
