use std::time::Duration;

use dayfly_records::{GateState, LaunchOption, LaunchPlan};
use dayfly_types::capacity::{InstanceLifecycle, Pool};
use dayfly_types::ids::{InstanceType, Zone};

use super::*;
use crate::fixtures::{claimed, deadlines, launched, now, option, plan};
use crate::gate::fair_queue::ExhaustedLimit;
use crate::launch::{claim, fleet};

fn error(kind: FleetErrorKind, code: &str) -> FleetError {
    FleetError {
        kind,
        code: code.to_owned(),
        message: "as the test wants it".to_owned(),
        pool: Some(Pool {
            instance_type: InstanceType::new("g5.xlarge"),
            zone: Zone::new("eu-west-1a"),
        }),
    }
}

fn failed_with(kind: FleetErrorKind, code: &str) -> TryOutcome {
    TryOutcome::Failed {
        errors: vec![error(kind, code)],
    }
}

/// The fallback chain of an entry that falls back on on-demand, and of another behind it.
fn fallback_chain() -> LaunchPlan {
    let other = LaunchOption {
        spec: dayfly_config::RunnerSpec {
            name: "other".to_owned(),
            ..option(InstanceLifecycle::Spot).spec
        },
        ..option(InstanceLifecycle::Spot)
    };
    LaunchPlan::new(
        option(InstanceLifecycle::Spot),
        vec![option(InstanceLifecycle::OnDemand), other],
    )
}

fn asked_for(plan: LaunchPlan) -> (Job, Runner) {
    let (job, mut runner) = claimed(11);
    runner.plan = plan;
    let (_, mut runners) = fleet::open_call(vec![runner], Vec::new(), now(), &deadlines()).unwrap();
    (job, runners.remove(0))
}

#[test]
fn next_option_follows_at_once_and_in_order() {
    let (job, runner) = asked_for(fallback_chain());
    let mut seen = vec![(runner.plan.spec().name.clone(), runner.plan.option().lifecycle)];
    let mut runner = runner;
    loop {
        let failed = failed_with(FleetErrorKind::Capacity, "InsufficientInstanceCapacity");
        let recorded = record(runner, Some(job.clone()), failed, now(), &deadlines());
        runner = recorded.runner;
        assert_eq!(runner.fleet, None, "the next call is another");
        if recorded.next == AfterTry::Nothing {
            break;
        }
        seen.push((runner.plan.spec().name.clone(), runner.plan.option().lifecycle));
    }
    let expected = [
        ("gpu", InstanceLifecycle::Spot),
        ("gpu", InstanceLifecycle::OnDemand),
        ("other", InstanceLifecycle::Spot),
    ];
    assert_eq!(seen, expected.map(|(name, lifecycle)| (name.to_owned(), lifecycle)));
    assert_eq!(
        (runner.plan.round, runner.launch_due),
        (2, now().after(deadlines().retry(1)))
    );
}

#[test]
fn bad_request_skips_to_the_next_entry() {
    let (job, runner) = asked_for(fallback_chain());
    let failed = failed_with(FleetErrorKind::BadRequest, "InvalidAMIID.NotFound");
    let recorded = record(runner, Some(job.clone()), failed.clone(), now(), &deadlines());
    assert_eq!(recorded.runner.plan.spec().name, "other");
    let recorded = record(recorded.runner, Some(job), failed, now(), &deadlines());
    assert_eq!(recorded.runner.state, RunnerState::Gone, "nothing else is left");
    assert!(recorded.job.is_some());
}

#[test]
fn too_small_quota_gives_up_once_no_option_is_left() {
    let (job, runner) = asked_for(fallback_chain());
    let too_small = failed_with(FleetErrorKind::QuotaTooSmall, "MaxSpotInstanceCountExceeded");
    let recorded = record(runner, Some(job.clone()), too_small.clone(), now(), &deadlines());
    assert_eq!(
        recorded.runner.plan.option().lifecycle,
        InstanceLifecycle::OnDemand,
        "which has another quota"
    );
    let recorded = record(
        recorded.runner,
        Some(job.clone()),
        too_small.clone(),
        now(),
        &deadlines(),
    );
    let recorded = record(recorded.runner, Some(job), too_small, now(), &deadlines());
    assert_eq!(recorded.runner.state, RunnerState::Gone);
    assert!(recorded.job.is_some_and(|job| job.state.is_given_up()));
}

#[test]
fn every_passing_failure_is_retried() {
    for kind in [
        FleetErrorKind::Capacity,
        FleetErrorKind::Quota,
        FleetErrorKind::Price,
        FleetErrorKind::Throttled,
        FleetErrorKind::Unknown,
    ] {
        let (job, runner) = asked_for(plan());
        let recorded = record(runner, Some(job), failed_with(kind, "X"), now(), &deadlines());
        assert!(recorded.job.is_none(), "{kind:?}");
        assert!(
            matches!(recorded.content, Some(CheckContent::Waiting { .. })),
            "{kind:?}"
        );
        assert_eq!(
            recorded.runner.due_at,
            Some(now().after(deadlines().retry(1))),
            "{kind:?}"
        );
    }
}

#[test]
fn failed_launch_is_retried_and_then_given_up_with_ec2s_error() {
    let (job, mut runner) = asked_for(fallback_chain());
    let mut now = now();
    let mut rounds = 1;
    loop {
        let failed = failed_with(FleetErrorKind::Capacity, "InsufficientInstanceCapacity");
        let recorded = record(runner, Some(job.clone()), failed, now, &deadlines());
        runner = recorded.runner;
        if let Some(job) = recorded.job {
            let JobState::Unlaunchable { reason } = job.state else {
                panic!("{:?}", job.state)
            };
            for part in [
                "InsufficientInstanceCapacity",
                "g5.xlarge",
                "on-demand",
                "Name more instance types",
            ] {
                assert!(reason.contains(part), "{part}: {reason}");
            }
            break;
        }
        if recorded.next == AfterTry::Nothing {
            now = runner.launch_due;
            runner = claim::resume(runner, now, &deadlines());
            rounds += 1;
        }
    }
    assert_eq!((rounds, runner.state, runner.due_at), (4, RunnerState::Gone, None));
    let times: Vec<u32> = runner.tried.iter().map(|one| one.times).collect();
    assert_eq!(times, [8, 4], "spot of both entries, and on-demand");
}

#[test]
fn instance_that_came_after_its_job_ended_is_left_to_the_sweeper() {
    let (_, mut runner) = asked_for(plan());
    runner.end(RunnerStep::DropNeed, Ending::NotNeeded, now(), &deadlines());
    let recorded = record(runner, None, TryOutcome::Launched(launched("i-9")), now(), &deadlines());
    assert_eq!(recorded.runner.state, RunnerState::Done);
    assert_eq!(recorded.runner.due_at, Some(now()));
    assert!(recorded.runner.launched.is_some() && recorded.instance.is_some());
}

#[test]
fn same_instance_reported_twice_changes_nothing() {
    let (_, runner) = asked_for(plan());
    let launch = || TryOutcome::Launched(launched("i-9"));
    let once = record(runner, None, launch(), now(), &deadlines()).runner;
    let twice = record(once.clone(), None, launch(), now(), &deadlines()).runner;
    assert_eq!(once, twice);
}

#[test]
fn unanswered_launch_is_given_up_and_left_to_its_tag() {
    let (job, runner) = asked_for(plan());
    let error = error(FleetErrorKind::Unknown, "NoAnswer");
    let recorded = record(
        runner,
        Some(job),
        TryOutcome::NeverAnswered { error },
        now(),
        &deadlines(),
    );
    assert!(matches!(recorded.job.unwrap().state, JobState::Unlaunchable { .. }));
    assert_eq!(recorded.runner.state, RunnerState::Done);
}

#[test]
fn job_that_another_runner_took_is_not_given_up() {
    let (mut job, runner) = asked_for(plan());
    job.state = JobState::Running {
        runner: "not-ours".to_owned(),
    };
    let never = failed_with(FleetErrorKind::BadRequest, "InvalidAMIID.NotFound");
    let recorded = record(runner, Some(job), never, now(), &deadlines());
    assert_eq!((recorded.job, recorded.content), (None, None));
    assert_eq!(recorded.runner.state, RunnerState::Gone);
}

/// A try for which EC2 was not called.
fn above_max_price(words: &str) -> TryOutcome {
    TryOutcome::Failed {
        errors: vec![FleetError {
            kind: FleetErrorKind::PriceLimitTooLow,
            code: "NotAsked".to_owned(),
            message: words.to_owned(),
            pool: None,
        }],
    }
}

#[test]
fn option_above_max_price_is_skipped_and_given_up_at_the_end() {
    let other = LaunchOption {
        spec: dayfly_config::RunnerSpec {
            name: "other".to_owned(),
            ..option(InstanceLifecycle::OnDemand).spec
        },
        ..option(InstanceLifecycle::OnDemand)
    };
    let (job, runner) = asked_for(LaunchPlan::new(option(InstanceLifecycle::OnDemand), vec![other]));
    let recorded = record(
        runner,
        Some(job.clone()),
        above_max_price("one costs $2"),
        now(),
        &deadlines(),
    );
    assert_eq!(
        (recorded.next, recorded.runner.plan.spec().name.as_str()),
        (AfterTry::NextOption, "other")
    );
    let recorded = record(
        recorded.runner,
        Some(job),
        above_max_price("the other costs $3"),
        now(),
        &deadlines(),
    );
    let Some(JobState::Unlaunchable { reason }) = recorded.job.map(|job| job.state) else {
        panic!("it is given up")
    };
    for part in ["one costs $2; the other costs $3. Raise `max_price`", "in one round"] {
        assert!(reason.contains(part), "`{part}` in: {reason}");
    }
    assert!(!reason.contains("EC2 said"), "{reason}");
}

#[test]
fn missing_capacity_is_waited_for_though_on_demand_is_too_dear() {
    let plan = LaunchPlan::new(
        option(InstanceLifecycle::Spot),
        vec![option(InstanceLifecycle::OnDemand)],
    );
    let (job, runner) = asked_for(plan);
    let empty = failed_with(FleetErrorKind::Capacity, "InsufficientInstanceCapacity");
    let recorded = record(runner, Some(job.clone()), empty, now(), &deadlines());
    let recorded = record(
        recorded.runner,
        Some(job.clone()),
        above_max_price("it costs $2"),
        now(),
        &deadlines(),
    );
    assert!(recorded.job.is_none() && matches!(recorded.content, Some(CheckContent::Waiting { .. })));
    let reason = reason(&recorded.runner);
    for part in [
        "EC2 said: InsufficientInstanceCapacity",
        "; it costs $2.",
        "Raise `max_price`",
    ] {
        assert!(reason.contains(part), "`{part}` in: {reason}");
    }
}

#[test]
fn waiting_for_a_slot_is_no_failed_launch() {
    let (job, runner) = claimed(11);
    let queued = QueuePosition {
        id: runner.name.clone(),
        place: 3,
        of: 20,
        limit: ExhaustedLimit {
            rule: "limits.stack.runners".to_owned(),
            most: 1,
            of: "runners",
            scope: "the stack".to_owned(),
        },
    };
    let recorded = wait(runner, &queued, now(), &deadlines());
    let runner = recorded.runner;
    assert!(matches!(
        recorded.content,
        Some(CheckContent::Queued { place: 3, of: 20, .. })
    ));
    assert_eq!((runner.gate, recorded.job), (Some(GateState::Waiting), None));
    assert_eq!(runner.due_at, Some(runner.launch_due));
    // Called, it asks at once; uncalled, GitHub is asked first if the job still waits.
    let due = |at| claim::on_runner_due(&runner, Some(&job), None, at);
    assert_eq!(due(now().after(Duration::from_secs(1))), claim::Need::Resume);
    assert_eq!(due(runner.launch_due), claim::Need::ResumeIfWaiting);
    let asks = claim::resume(runner.clone(), now().after(Duration::from_secs(1)), &deadlines());
    assert_eq!(asks.gate, Some(GateState::Called));
    assert!(matches!(
        claim::on_runner_due(&asks, Some(&job), None, now().after(Duration::from_secs(2))),
        claim::Need::Nothing(_)
    ));
    // Hours later its first round of tries fails.
    let late = now().after(Duration::from_hours(5));
    let failed = failed_with(FleetErrorKind::Capacity, "InsufficientInstanceCapacity");
    let recorded = record(slots::with_slot(asks, late), Some(job), failed, late, &deadlines());
    assert!(
        matches!(recorded.content, Some(CheckContent::Waiting { .. })),
        "{:?}",
        recorded.content
    );
    assert!(
        matches!(recorded.runner.gate, Some(GateState::Admitted { .. })),
        "it keeps its slot"
    );
}
