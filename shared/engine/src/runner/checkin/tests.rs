//! What an instance that checks in is told, as cases.

use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::checkin::{InterruptionNotice, START_UNANSWERED};

use super::*;
use crate::fixtures::{deadlines, now, runner};

fn caller() -> InstanceId {
    InstanceId::new("i-1")
}

fn beat(phase: Phase) -> HeartbeatRequest {
    HeartbeatRequest {
        instance: caller(),
        phase,
        interruption: None,
    }
}

fn reached(stage: Stage) -> ProgressRequest {
    ProgressRequest {
        instance: caller(),
        stage,
        at: now(),
        detail: None,
    }
}

#[test]
fn claim_is_answered_by_the_runners_state() {
    use RunnerState::{Busy, Done, Draining, Enrolled, Gone, Launched, Lost};
    assert!(matches!(claim(None, &caller(), now()), ClaimDecision::Later(_)));
    assert!(matches!(
        claim(Some(&runner(Launched)), &caller(), now()),
        ClaimDecision::Mint(_)
    ));
    for state in [Enrolled, Busy, Draining, Done, Lost, Gone] {
        assert!(
            matches!(claim(Some(&runner(state)), &caller(), now()), ClaimDecision::Refuse(_)),
            "{state:?}"
        );
    }
}

#[test]
fn runner_of_another_instance_is_refused() {
    let answer = claim(Some(&runner(RunnerState::Launched)), &InstanceId::new("i-2"), now());
    assert!(matches!(answer, ClaimDecision::Refuse(_)));
    assert!(same_instance(&caller(), &InstanceId::new("i-2")).is_err());
}

#[test]
fn stalled_registration_is_retried_under_another_name() {
    let ClaimDecision::Mint(first) = claim(Some(&runner(RunnerState::Launched)), &caller(), now()) else {
        panic!()
    };
    assert!(matches!(claim(Some(&first), &caller(), now()), ClaimDecision::Later(_)));
    let ClaimDecision::Mint(second) = claim(Some(&first), &caller(), now().after(MINT_HOLD)) else {
        panic!()
    };
    assert_ne!(first.registration(first.mints), second.registration(second.mints));
}

#[test]
fn runner_that_ends_while_registering_gets_no_config() {
    let draining = runner(RunnerState::Draining);
    assert_eq!(enrolled(&draining, RunnerId(5), now(), &deadlines()), None);
    let enrolled = enrolled(&runner(RunnerState::Launched), RunnerId(5), now(), &deadlines()).unwrap();
    assert_eq!(
        (enrolled.state, enrolled.runner_id),
        (RunnerState::Enrolled, Some(RunnerId(5)))
    );
}

#[test]
fn orders_follow_the_runners_state() {
    use RunnerState::{Busy, Done, Draining, Enrolled, Gone, Lost};
    for (state, expected) in [
        (Enrolled, Order::Continue),
        (Busy, Order::Continue),
        (Draining, Order::Drain),
        (Done, Order::Drain),
        (Lost, Order::Stop),
        (Gone, Order::Stop),
    ] {
        assert_eq!(order(&runner(state)), expected, "{state:?}");
    }
}

#[test]
fn unneeded_runner_continues_until_github_releases_it() {
    let mut unused = runner(RunnerState::Done);
    unused.ending = Some(Ending::NotNeeded);
    assert_eq!(order(&unused), Order::Continue, "GitHub may give it a job still");
    let taken = progress(&unused, &reached(Stage::JobStarted), now(), &deadlines());
    assert_eq!((taken.state, taken.ending), (RunnerState::Busy, None));
    unused.ending = Some(Ending::JobOver);
    assert_eq!(order(&unused), Order::Drain);
}

#[test]
fn interrupted_job_is_recognized_in_any_order_of_reports() {
    let unanswered = ProgressRequest {
        detail: Some(START_UNANSWERED.to_owned()),
        ..reached(Stage::JobStarted)
    };
    let early = progress(&runner(RunnerState::Enrolled), &unanswered, now(), &deadlines());
    assert_eq!(early.ending, None);
    let gone = goodbye(&early, GoodbyeReason::Finished, now(), &deadlines());
    assert_eq!(gone.ending, Some(Ending::Unanswered));
    let mut over = runner(RunnerState::Done);
    over.ending = Some(Ending::JobOver);
    let late = progress(&over, &unanswered, now(), &deadlines());
    assert_eq!(late.ending, Some(Ending::Unanswered));
    let other = progress(&over, &reached(Stage::JobStarted), now(), &deadlines());
    assert_eq!(other.ending, Some(Ending::JobOver));
}

#[test]
fn goodbye_says_too_that_a_job_was_stopped_before_its_start() {
    let request = GoodbyeRequest {
        instance: caller(),
        reason: GoodbyeReason::Finished,
        detail: Some(START_UNANSWERED.to_owned()),
    };
    for state in [RunnerState::Busy, RunnerState::Done] {
        let mut before = runner(state);
        before.ending = (state == RunnerState::Done).then_some(Ending::JobOver);
        let left = goodbye(
            &explained(&before, &request, now()),
            request.reason,
            now(),
            &deadlines(),
        );
        assert_eq!(left.ending, Some(Ending::Unanswered), "{state:?}");
    }
}

#[test]
fn instance_whose_registration_the_table_lost_has_booted_all_the_same() {
    for phase in [Phase::Listening, Phase::Running] {
        let known = heartbeat(&runner(RunnerState::Launched), &beat(phase), now(), &deadlines());
        assert_eq!(known.state, RunnerState::Enrolled, "{phase:?}");
    }
    let known = heartbeat(
        &runner(RunnerState::Enrolled),
        &beat(Phase::Running),
        now(),
        &deadlines(),
    );
    assert_eq!(known.state, RunnerState::Busy);
}

#[test]
fn finished_job_leaves_its_runner_time_to_exit() {
    let over = progress(
        &runner(RunnerState::Busy),
        &reached(Stage::JobFinished),
        now(),
        &deadlines(),
    );
    assert_eq!(over.due_at, Some(now().after(deadlines().leave)));
}

#[test]
fn heartbeat_extends_the_deadline_up_to_the_lifetime() {
    let later = now().after(Duration::from_secs(30));
    let busy = heartbeat(&runner(RunnerState::Busy), &beat(Phase::Running), later, &deadlines());
    assert_eq!(busy.due_at, Some(later.after(deadlines().heartbeat_lost)));
    let near_the_end = now().after(deadlines().lifetime);
    let busy = heartbeat(
        &runner(RunnerState::Busy),
        &beat(Phase::Running),
        near_the_end,
        &deadlines(),
    );
    assert_eq!(busy.due_at, Some(near_the_end));
}

#[test]
fn job_known_only_from_the_instance_keeps_its_runner_busy() {
    let busy = heartbeat(
        &runner(RunnerState::Enrolled),
        &beat(Phase::Running),
        now(),
        &deadlines(),
    );
    assert_eq!(busy.state, RunnerState::Busy);
    let busy = progress(
        &runner(RunnerState::Enrolled),
        &reached(Stage::JobStarted),
        now(),
        &deadlines(),
    );
    assert_eq!(busy.state, RunnerState::Busy);
}

#[test]
fn notice_seen_by_the_instance_drains_it() {
    let notice = InterruptionNotice {
        action: "terminate".into(),
        at: "2026-01-01T00:00:00Z".into(),
    };
    let request = HeartbeatRequest {
        interruption: Some(notice),
        ..beat(Phase::Running)
    };
    let next = heartbeat(&runner(RunnerState::Busy), &request, now(), &deadlines());
    assert_eq!(
        (next.state, next.ending),
        (RunnerState::Draining, Some(Ending::Interrupted))
    );
}

#[test]
fn instance_learns_of_a_notice_from_the_control_plane() {
    let busy = runner(RunnerState::Busy);
    assert_eq!(answer(&busy), Order::Continue.into());
    let noticed = interruption::apply(&busy, Ec2Signal::Warning, now(), now(), &deadlines()).unwrap();
    let told = OrderAnswer {
        order: Order::Drain,
        taken_back_at: Some(now().after(Duration::from_mins(2))),
    };
    assert_eq!(answer(&noticed), told);
}

#[test]
fn goodbye_for_an_otherwise_unknown_notice_is_an_interruption() {
    for state in [RunnerState::Launched, RunnerState::Enrolled, RunnerState::Busy] {
        let left = goodbye(&runner(state), GoodbyeReason::Interrupted, now(), &deadlines());
        assert_eq!(
            (left.state, left.ending, left.interrupted_at),
            (RunnerState::Lost, Some(Ending::Interrupted), Some(now())),
            "{state:?}"
        );
    }
}

#[test]
fn instance_powers_off_after_goodbye_unless_ec2_ends_it_for_free() {
    use GoodbyeReason::{Finished, Idle, Interrupted};
    let farewell_of = |state, spot, reason| {
        let mut runner = runner(state);
        if let Some(launched) = &mut runner.launched {
            launched.lifecycle = if spot {
                InstanceLifecycle::Spot
            } else {
                InstanceLifecycle::OnDemand
            };
        }
        let left = goodbye(&runner, reason, now(), &deadlines());
        goodbye_answer(&left, now(), &deadlines()).order
    };
    for (state, spot, reason, order) in [
        (RunnerState::Busy, true, Interrupted, Order::Continue),
        (RunnerState::Enrolled, true, Interrupted, Order::Continue),
        (RunnerState::Launched, true, Interrupted, Order::Continue),
        (RunnerState::Busy, false, Interrupted, Order::Stop),
        (RunnerState::Busy, true, Finished, Order::Stop),
        (RunnerState::Enrolled, true, Idle, Order::Stop),
        (RunnerState::Gone, true, Interrupted, Order::Stop),
    ] {
        assert_eq!(farewell_of(state, spot, reason), order, "{state:?} {spot} {reason:?}");
    }
}

#[test]
fn result_of_the_interruption_hook_is_kept() {
    let mut said = reached(Stage::HookFinished);
    said.detail = Some("exit status 0, after 3 s".into());
    let next = progress(&runner(RunnerState::Draining), &said, now(), &deadlines());
    assert_eq!(next.stage_detail(Stage::HookFinished), Some("exit status 0, after 3 s"));
}

#[test]
fn goodbye_makes_the_runner_due_and_keeps_the_first_reason() {
    let done = goodbye(&runner(RunnerState::Busy), GoodbyeReason::Finished, now(), &deadlines());
    assert_eq!((done.state, done.due_at), (RunnerState::Done, Some(now())));
    let interrupted = interruption::apply(
        &runner(RunnerState::Busy),
        Ec2Signal::Warning,
        now(),
        now(),
        &deadlines(),
    )
    .unwrap();
    let left = goodbye(&interrupted, GoodbyeReason::Drained, now(), &deadlines());
    assert_eq!(
        (left.state, left.ending),
        (RunnerState::Lost, Some(Ending::Interrupted))
    );
    let gone = runner(RunnerState::Gone);
    assert_eq!(goodbye(&gone, GoodbyeReason::Finished, now(), &deadlines()), gone);
}

/// A runner that is enrolled now and has a startup script.
fn preparing() -> Runner {
    let mut runner = runner(RunnerState::Enrolled);
    let mut option = runner.plan.option().clone();
    option.spec.startup_script = Some("make ready".to_owned());
    runner.plan = dayfly_records::LaunchPlan::new(option, Vec::new());
    runner
}

#[test]
fn runner_is_idle_only_after_its_startup_script() {
    let (boot, idle) = (deadlines().boot, deadlines().idle);
    let minute = Duration::from_mins(1);
    assert_eq!(preparing().idle_deadline(&deadlines()), now().after(boot + idle));
    for (said, deadline) in [
        (now().after(minute), minute + idle),
        (now().after(9 * boot), boot + idle),
        (Timestamp::from_seconds(0), idle),
    ] {
        let started = ProgressRequest {
            at: said,
            ..reached(Stage::RunnerStarted)
        };
        let next = progress(&preparing(), &started, now(), &deadlines());
        assert_eq!(next.idle_deadline(&deadlines()), now().after(deadline), "{said:?}");
    }
    let mut messenger = preparing();
    messenger.message = Some(dayfly_records::MessengerTask {
        job: messenger.wanted_by,
        run: messenger.run,
        text: String::new(),
    });
    assert_eq!(
        messenger.idle_deadline(&deadlines()),
        now().after(idle),
        "it runs no script"
    );
}

#[test]
fn startup_failure_is_kept_from_its_report_or_the_goodbye() {
    let left = |reason, detail: &str| GoodbyeRequest {
        instance: caller(),
        reason,
        detail: Some(detail.to_owned()),
    };
    let failed = left(GoodbyeReason::StartupFailed, "exit status 3");
    let said = explained(&preparing(), &failed, now());
    assert_eq!(said.stage_detail(Stage::StartupFinished), Some("exit status 3"));
    let again = explained(&said, &left(GoodbyeReason::StartupFailed, "exit status 4"), now());
    assert_eq!(again, said);
    assert_eq!(
        explained(&preparing(), &left(GoodbyeReason::Idle, "no job"), now()),
        preparing()
    );
    let gone = goodbye(&said, GoodbyeReason::StartupFailed, now(), &deadlines());
    assert_eq!(
        gone.end_reason(),
        "its startup script failed, or took too long: exit status 3"
    );
    let idle = goodbye(&said, GoodbyeReason::Idle, now(), &deadlines());
    assert_eq!(idle.end_reason(), "no job came in time");
}

#[test]
fn instance_cannot_fill_its_record() {
    let mut next = runner(RunnerState::Busy);
    for _ in 0..100 {
        let mut said = reached(Stage::JobStarted);
        said.detail = Some("ö".repeat(10_000));
        next = progress(&next, &said, now(), &deadlines());
    }
    assert_eq!(next.stages.len(), 1);
    let words = next.stage_detail(Stage::JobStarted).map(|words| words.chars().count());
    assert_eq!(words, Some(MAX_DETAIL));
}
