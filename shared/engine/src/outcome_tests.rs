use dayfly_records::{LaunchOption, LaunchPlan};
use dayfly_types::capacity::{InstanceLifecycle, Pool};
use dayfly_types::ids::{InstanceType, Zone};

use super::*;
use crate::fixtures::{claimed, deadlines, launched, now, option, plan};
use crate::{fleet, launch};

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

fn failed_with(kind: FleetErrorKind, code: &str) -> Attempted {
    Attempted::Failed {
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
    let (_, mut runners) = fleet::open(vec![runner], Vec::new(), now(), &deadlines()).unwrap();
    (job, runners.remove(0))
}

#[test]
fn the_next_attempt_follows_at_once_and_in_order() {
    let (job, runner) = asked_for(fallback_chain());
    let mut seen = vec![(runner.plan.spec().name.clone(), runner.plan.option().lifecycle)];
    let mut runner = runner;
    loop {
        let attempted = failed_with(FleetErrorKind::Capacity, "InsufficientInstanceCapacity");
        let recorded = record(runner, Some(job.clone()), attempted, now(), &deadlines());
        runner = recorded.runner;
        assert_eq!(runner.fleet, None, "the next call is another");
        if recorded.next == Next::Nothing {
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
fn what_can_never_succeed_is_not_tried_in_another_way_but_the_next_entry_is() {
    let (job, runner) = asked_for(fallback_chain());
    let attempted = failed_with(FleetErrorKind::BadRequest, "InvalidAMIID.NotFound");
    let recorded = record(runner, Some(job.clone()), attempted.clone(), now(), &deadlines());
    assert_eq!(recorded.runner.plan.spec().name, "other");
    let recorded = record(recorded.runner, Some(job), attempted, now(), &deadlines());
    assert_eq!(recorded.runner.state, RunnerState::Gone, "nothing else is left");
    assert!(recorded.job.is_some());
}

#[test]
fn a_quota_that_is_too_small_for_one_is_given_up_once_nothing_else_is_left() {
    let (job, runner) = asked_for(fallback_chain());
    let too_small = failed_with(FleetErrorKind::QuotaTooSmall, "MaxSpotInstanceCountExceeded");
    let recorded = record(runner, Some(job.clone()), too_small.clone(), now(), &deadlines());
    assert_eq!(
        recorded.runner.plan.option().lifecycle,
        InstanceLifecycle::OnDemand,
        "which has another"
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
fn every_kind_of_failure_goes_on_to_the_next_attempt_and_none_is_dropped() {
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
fn a_launch_that_failed_is_retried_and_then_given_up_in_ec2s_words() {
    let (job, mut runner) = asked_for(fallback_chain());
    let mut now = now();
    let mut rounds = 1;
    loop {
        let attempted = failed_with(FleetErrorKind::Capacity, "InsufficientInstanceCapacity");
        let recorded = record(runner, Some(job.clone()), attempted, now, &deadlines());
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
        if recorded.next == Next::Nothing {
            now = runner.launch_due;
            runner = launch::resume(runner, now, &deadlines());
            rounds += 1;
        }
    }
    assert_eq!((rounds, runner.state, runner.due_at), (4, RunnerState::Gone, None));
    let times: Vec<u32> = runner.tried.iter().map(|one| one.times).collect();
    assert_eq!(times, [8, 4], "spot of both entries, and on-demand");
}

#[test]
fn an_instance_that_came_after_its_job_was_over_is_left_to_the_sweeper() {
    let (_, mut runner) = asked_for(plan());
    runner.end(RunnerStep::DropNeed, Ending::NotNeeded, now(), &deadlines());
    let recorded = record(runner, None, Attempted::Launched(launched("i-9")), now(), &deadlines());
    assert_eq!(recorded.runner.state, RunnerState::Done);
    assert_eq!(recorded.runner.due_at, Some(now()));
    assert!(recorded.runner.launched.is_some() && recorded.instance.is_some());
}

#[test]
fn the_same_instance_reported_twice_changes_nothing_the_second_time() {
    let (_, runner) = asked_for(plan());
    let got = || Attempted::Launched(launched("i-9"));
    let once = record(runner, None, got(), now(), &deadlines()).runner;
    let twice = record(once.clone(), None, got(), now(), &deadlines()).runner;
    assert_eq!(once, twice);
}

#[test]
fn a_launch_of_which_nothing_was_ever_heard_is_given_up_and_left_to_its_tag() {
    let (job, runner) = asked_for(plan());
    let error = error(FleetErrorKind::Unknown, "NoAnswer");
    let recorded = record(
        runner,
        Some(job),
        Attempted::NeverAnswered { error },
        now(),
        &deadlines(),
    );
    assert!(matches!(recorded.job.unwrap().state, JobState::Unlaunchable { .. }));
    assert_eq!(recorded.runner.state, RunnerState::Done);
}

#[test]
fn a_job_that_another_runner_took_meanwhile_is_not_given_up() {
    let (mut job, runner) = asked_for(plan());
    job.state = JobState::Running {
        runner: "somebody-elses".to_owned(),
    };
    let never = failed_with(FleetErrorKind::BadRequest, "InvalidAMIID.NotFound");
    let recorded = record(runner, Some(job), never, now(), &deadlines());
    assert_eq!((recorded.job, recorded.content), (None, None));
    assert_eq!(recorded.runner.state, RunnerState::Gone);
}

/// An attempt that was not made.
fn too_dear(words: &str) -> Attempted {
    Attempted::Failed {
        errors: vec![FleetError {
            kind: FleetErrorKind::TooDear,
            code: "NotAsked".to_owned(),
            message: words.to_owned(),
            pool: None,
        }],
    }
}

#[test]
fn what_is_too_dear_is_passed_over_and_given_up_once_nothing_else_is_left() {
    let other = LaunchOption {
        spec: dayfly_config::RunnerSpec {
            name: "other".to_owned(),
            ..option(InstanceLifecycle::OnDemand).spec
        },
        ..option(InstanceLifecycle::OnDemand)
    };
    let (job, runner) = asked_for(LaunchPlan::new(option(InstanceLifecycle::OnDemand), vec![other]));
    let recorded = record(runner, Some(job.clone()), too_dear("one costs $2"), now(), &deadlines());
    assert_eq!(
        (recorded.next, recorded.runner.plan.spec().name.as_str()),
        (Next::Attempt, "other")
    );
    let recorded = record(
        recorded.runner,
        Some(job),
        too_dear("the other costs $3"),
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
fn what_may_be_had_later_is_waited_for_though_another_way_is_too_dear() {
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
        too_dear("it costs $2"),
        now(),
        &deadlines(),
    );
    assert!(recorded.job.is_none() && matches!(recorded.content, Some(CheckContent::Waiting { .. })));
    let words = why(&recorded.runner);
    for part in [
        "EC2 said: InsufficientInstanceCapacity",
        "; it costs $2.",
        "Raise `max_price`",
    ] {
        assert!(words.contains(part), "`{part}` in: {words}");
    }
}
