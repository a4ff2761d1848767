use std::time::Duration;

use dayfly_records::event::Conclusion;
use dayfly_records::prices::PriceSource;
use dayfly_records::{Attribution, Purpose, RunnerState};
use dayfly_report::story::{Bill, Source, Stage};
use dayfly_types::capacity::{FleetErrorKind, InstanceLifecycle, Pool};
use dayfly_types::ids::{InstanceId, InstanceType, JobId, JobKey, RunAttempt, RunId, RunnerName, Zone};
use dayfly_types::money::MicroDollars;

use super::*;

const JOB: JobKey = JobKey {
    job: JobId(11),
    attempt: RunAttempt(1),
};

const TARGETS: LinkTargets<'_> = LinkTargets {
    web_url: "https://github.com",
    region: "eu-west-1",
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

fn story() -> JobStory {
    JobStory {
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
        given_up: None,
        stages: stages(),
        launch_tries: vec![LaunchTry {
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
            interrupted: false,
            tried: vec![LaunchFailure {
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
fn finished_job_is_shown_with_timeline_cost_and_links() {
    insta::assert_snapshot!(render(&story(), TARGETS, None, at(1_000)));
}

/// A story with ids as long as GitHub's and EC2's.
fn story_with_long_ids() -> JobStory {
    let mut story = story();
    let job = JobKey {
        job: JobId(45_678_901_234),
        attempt: RunAttempt(1),
    };
    let attempt = &mut story.launch_tries[0];
    attempt.runner = RunnerName::of(job, 1);
    (attempt.wanted_by, attempt.ran) = (job, Some(job));
    attempt.instance = Some(InstanceId::new("i-0123456789abcdef0"));
    attempt.lifecycle = InstanceLifecycle::OnDemand;
    attempt.pool = Some(Pool {
        instance_type: InstanceType::new("g6e.48xlarge"),
        zone: Zone::new("ap-southeast-1a"),
    });
    attempt.ending = Some("EC2 takes the instance back".to_owned());
    let mut messenger = attempt.clone();
    messenger.messenger = true;
    story.launch_tries.push(messenger);
    (story.job, story.run) = (job, RunId(12_345_678_901));
    story
}

#[test]
fn timeline_and_runners_fit_the_terminal_with_whole_ids() {
    for width in [80, 100, 132] {
        let text = render(&story_with_long_ids(), TARGETS, Some(width), at(1_000));
        let parts: Vec<&str> = text.split("\n\n").collect();
        for part in &parts[1..3] {
            assert!(
                part.lines().all(|line| line.chars().count() <= usize::from(width)),
                "{width}:\n{part}"
            );
        }
        assert!(
            parts[1].contains("███") && parts[1].contains("running instance"),
            "{}",
            parts[1]
        );
        for whole in ["dayfly-45678901234-1-1", "i-0123456789abcdef0", "$0.07"] {
            assert_eq!(parts[2].matches(whole).count(), 2, "{whole}, {width}:\n{}", parts[2]);
        }
    }
    let narrow = render(&story_with_long_ids(), TARGETS, Some(60), at(1_000));
    let timeline = narrow.split("\n\n").nth(1).unwrap();
    assert!(timeline.lines().all(|line| line.chars().count() <= 60), "{timeline}");
    assert!(!timeline.contains('█'), "{timeline}");
}

#[test]
fn json_story_has_a_stable_shape() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&story()).unwrap());
}

#[test]
fn reason_is_shown_after_a_messenger_failed_the_job() {
    let mut story = story();
    story.state = JobState::Finished {
        conclusion: Conclusion::Failure,
    };
    story.given_up = Some("No subnet has the type.\nAsk for another".to_owned());
    (story.money.minutes, story.money.on_github) = (None, None);
    let text = render(&story, TARGETS, None, at(1_000));
    assert!(
        text.contains("given up, and failed by a messenger: No subnet has the type. Ask for another\n"),
        "{text}"
    );
    assert!(!text.contains("GPU runner costs"), "{text}");
    assert!(
        text.contains("GitHub   $0.02 for its time on a self-hosted runner"),
        "{text}"
    );
}

#[test]
fn links_lead_to_a_self_hosted_github() {
    let own = LinkTargets {
        web_url: "https://git.example.com",
        ..TARGETS
    };
    let text = render(&story(), own, None, at(1_000));
    assert!(
        text.contains("https://git.example.com/octo/gpu/actions/runs/22/job/11"),
        "{text}"
    );
}

#[test]
fn unsettled_unknown_and_wasted_amounts_are_shown() {
    let mut story = story();
    story.state = JobState::Running {
        runner: "dayfly-11-1-1-i1".to_owned(),
    };
    story.launch_tries[0].interrupted = true;
    story.money = Money {
        total: MicroDollars(900_000),
        wasted: MicroDollars(900_000),
        unknown: 1,
        shipped_prices: true,
        minutes: Some(1),
        on_github: Some(MicroDollars(52_000)),
        ..Money::default()
    };
    let text = render(&story, TARGETS, None, at(1_000));
    for expected in [
        "running on dayfly-11-1-1-i1",
        "cost     $0.90 so far: machine",
        "$0.848 more than GitHub's own GPU runner costs for 1 minute, $0.052",
        "wasted   $0.90 by an interruption",
        "the cost of 1 of its instances",
        "the program's own table of 2026-02-09 was used",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(!text.contains("self-hosted"), "{text}");
}
