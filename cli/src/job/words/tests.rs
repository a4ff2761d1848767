use std::time::Duration;

use dayfly_core::capacity::{FleetErrorKind, InstanceLifecycle, Pool};
use dayfly_core::event::Conclusion;
use dayfly_core::ids::{InstanceId, InstanceType, JobId, JobKey, RunAttempt, RunId, RunnerName, Zone};
use dayfly_core::money::MicroDollars;
use dayfly_core::prices::PriceSource;
use dayfly_core::record::{Attribution, Purpose, RunnerState};
use dayfly_core::story::{Bill, Source, Stage};

use super::*;

const JOB: JobKey = JobKey {
    job: JobId(11),
    attempt: RunAttempt(1),
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_785_578_400 + seconds)
}

fn stages() -> Vec<Reached> {
    let reached = [
        (Stage::Queued, 0, Source::GitHub, None),
        (Stage::Seen, 1, Source::Webhook, Some(1)),
        (Stage::Decided, 2, Source::Dayfly, Some(1)),
        (Stage::Launched, 4, Source::Ec2, Some(2)),
        (Stage::Running, 20, Source::Ec2, Some(16)),
        (Stage::AgentUp, 61, Source::Agent, Some(41)),
        (Stage::JobStarted, 90, Source::Agent, Some(29)),
        (Stage::JobFinished, 690, Source::Agent, Some(600)),
    ];
    reached
        .map(|(stage, seconds, source, after)| Reached {
            stage,
            at: at(seconds),
            source,
            after: after.map(Duration::from_secs),
        })
        .to_vec()
}

fn bill(is_final: bool) -> Bill {
    Bill {
        is_final,
        purpose: Purpose::Job,
        amounts: Amounts::default(),
        total: MicroDollars(70_000),
        saved: Some(MicroDollars(130_000)),
        wasted: MicroDollars(0),
        free: false,
        source: PriceSource::Aws,
    }
}

fn story() -> Story {
    Story {
        job: JOB,
        run: RunId(22),
        repository: "octo/gpu".parse().unwrap(),
        name: "train\u{1b}[2J".to_owned(),
        attribution: Attribution {
            workflow: Some("ci".to_owned()),
            actor: Some("mona".to_owned()),
            pull: Some(5),
        },
        state: JobState::Finished {
            conclusion: Conclusion::Success,
        },
        stages: stages(),
        attempts: vec![Attempt {
            runner: RunnerName::of(JOB, 1),
            wanted_by: JOB,
            ran: Some(JOB),
            messenger: false,
            state: RunnerState::Gone,
            requested_at: at(2),
            instance: Some(InstanceId::new("i-1")),
            pool: Some(Pool {
                instance_type: InstanceType::new("g5.xlarge"),
                zone: Zone::new("eu-west-1a"),
            }),
            lifecycle: InstanceLifecycle::Spot,
            price_per_hour: Some(MicroDollars(360_000)),
            on_demand_per_hour: Some(MicroDollars(1_006_000)),
            launched_at: Some(at(4)),
            interrupted_at: None,
            tried: vec![Tried {
                lifecycle: InstanceLifecycle::Spot,
                pool: None,
                kind: FleetErrorKind::Capacity,
                code: "InsufficientInstanceCapacity".to_owned(),
                message: "none".to_owned(),
                times: 2,
                first: at(2),
                last: at(3),
            }],
            ending: Some("its job is over".to_owned()),
            ended_at: Some(at(700)),
            bill: Some(bill(true)),
        }],
        money: Money {
            total: MicroDollars(70_000),
            amounts: Amounts {
                compute: MicroDollars(60_000),
                disk: MicroDollars(9_000),
                address: MicroDollars(1_000),
            },
            is_final: true,
            saved: Some(MicroDollars(130_000)),
            minutes: Some(10),
            on_github: Some(MicroDollars(520_000)),
            github_charge: Some(MicroDollars(20_000)),
            ..Money::default()
        },
    }
}

#[test]
fn a_job_that_ran_is_told_as_a_timeline_with_what_it_cost_and_where_to_look() {
    insta::assert_snapshot!(of(&story(), "eu-west-1", None, at(1_000)));
}

#[test]
fn the_timeline_fits_the_terminal() {
    let told = of(&story(), "eu-west-1", Some(80), at(1_000));
    let timeline = told.split("\n\n").nth(1).unwrap();
    assert!(timeline.lines().all(|line| line.chars().count() <= 80), "{timeline}");
}

#[test]
fn what_is_not_settled_not_known_or_lost_is_said() {
    let mut story = story();
    story.state = JobState::Running {
        runner: "dayfly-11-1-1-i1".to_owned(),
    };
    story.attempts[0].interrupted_at = Some(at(600));
    story.money = Money {
        total: MicroDollars(900_000),
        wasted: MicroDollars(900_000),
        unknown: 1,
        shipped_prices: true,
        minutes: Some(1),
        on_github: Some(MicroDollars(52_000)),
        ..Money::default()
    };
    let told = of(&story, "eu-west-1", None, at(1_000));
    for said in [
        "it runs on dayfly-11-1-1-i1",
        "cost     $0.90 so far: machine",
        "$0.848 more than GitHub's own GPU runner takes for 1 minute, $0.052",
        "wasted   $0.90 by an interruption",
        "what 1 of its instances cost",
        "the program's own table of 2026-02-09 was used",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
    assert!(!told.contains("self-hosted"), "{told}");
}
