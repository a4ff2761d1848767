//! What an instance is told when it checks in. The caller is who signed the call; the body is
//! believed about what the instance does, never about which instance it is.

use std::time::Duration;

use crate::checkin::{GoodbyeReason, HeartbeatRequest, Order, OrderAnswer, Phase, ProgressRequest, Stage};
use crate::deadlines::Deadlines;
use crate::decide::interruption::{self, Word};
use crate::ids::{InstanceId, RunnerId};
use crate::lifecycle::RunnerStep;
use crate::record::{Ending, Runner, RunnerState};
use crate::time::Timestamp;

/// How long a registration with GitHub is left to whoever began it: longer than the check-in
/// function may run.
const MINT_HOLD: Duration = Duration::from_secs(45);

/// How many stages of an instance are kept, so that none can fill the table.
const MAX_STAGES: usize = 32;

/// How many characters of what an instance says of a stage are kept.
const MAX_WORDS: usize = 200;

/// How often a runner is registered at most.
pub const MAX_MINTS: u32 = 10;

/// What to do with a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Record this, then register the runner under its `mints`-th name.
    Mint(Box<Runner>),
    /// Not yet: the instance should ask again.
    Later(&'static str),
    /// No.
    Refuse(&'static str),
}

/// Whether the body of a call names the instance that signed it.
///
/// # Errors
/// The reason, if it names another.
pub fn same_instance(caller: &InstanceId, named: &InstanceId) -> Result<(), &'static str> {
    if caller == named {
        Ok(())
    } else {
        Err("the body names another instance than the one that signed the call")
    }
}

/// What to do when `caller` asks for the JIT config. `runner` is the record that its instance id
/// leads to.
#[must_use]
pub fn claim(runner: Option<&Runner>, caller: &InstanceId, now: Timestamp) -> Claim {
    let Some(runner) = runner else {
        return Claim::Later("no runner is recorded for this instance yet");
    };
    if runner.instance() != Some(caller) {
        return Claim::Refuse("the runner belongs to another instance");
    }
    match runner.state {
        RunnerState::Requested => Claim::Later("the launch is not recorded yet"),
        RunnerState::Launched if runner.mint_until.is_some_and(|until| until > now) => {
            Claim::Later("a registration is under way")
        }
        RunnerState::Launched if runner.mints >= MAX_MINTS => Claim::Refuse("the runner was registered too often"),
        RunnerState::Launched => {
            let mut minting = runner.clone();
            minting.mints += 1;
            minting.register_at = None;
            minting.mint_until = Some(now.after(MINT_HOLD));
            minting.heartbeat_at = Some(now);
            Claim::Mint(Box::new(minting))
        }
        RunnerState::Enrolled | RunnerState::Busy => Claim::Refuse("the JIT config was handed out already"),
        RunnerState::Draining | RunnerState::Done | RunnerState::Lost | RunnerState::Gone => {
            Claim::Refuse("the runner is ending")
        }
    }
}

/// The runner once its JIT config is minted, before it is handed out; nothing if it may not be
/// handed out any more because the runner has begun to end meanwhile.
#[must_use]
pub fn enrolled(runner: &Runner, id: RunnerId, now: Timestamp, deadlines: &Deadlines) -> Option<Runner> {
    let mut next = runner.clone();
    next.runner_id = Some(id);
    next.mint_until = None;
    next.heartbeat_at = Some(now);
    next.take(RunnerStep::Enrol, now, deadlines).then_some(next)
}

/// The runner after a registration that failed: the next claim may try under the next name.
#[must_use]
pub fn mint_failed(runner: &Runner) -> Runner {
    Runner {
        mint_until: None,
        ..runner.clone()
    }
}

/// What an instance that checks in has to do, as far as the state of its runner says.
#[must_use]
pub fn order(runner: &Runner) -> Order {
    match runner.state {
        RunnerState::Requested | RunnerState::Launched | RunnerState::Enrolled | RunnerState::Busy => Order::Continue,
        // GitHub may give it a job until it is removed there.
        RunnerState::Done if runner.may_be_taken() => Order::Continue,
        RunnerState::Draining | RunnerState::Done => Order::Drain,
        RunnerState::Lost | RunnerState::Gone => Order::Stop,
    }
}

/// The answer to an instance that checks in.
#[must_use]
pub fn answer(runner: &Runner) -> OrderAnswer {
    OrderAnswer {
        order: order(runner),
        taken_back_at: runner.taken_back_at(),
    }
}

/// The answer to an instance that has said goodbye: to power off, or to leave that to EC2.
#[must_use]
pub fn farewell(runner: &Runner, now: Timestamp, deadlines: &Deadlines) -> OrderAnswer {
    let left = runner.left_to_ec2_until(now, deadlines).is_some();
    OrderAnswer {
        order: if left { Order::Continue } else { Order::Stop },
        taken_back_at: runner.taken_back_at(),
    }
}

/// What an instance has to do that no record leads to. The table may have lost it in mid-job, which
/// must not cost the job: patrol finds the instance by its tags, and asks GitHub what is to become
/// of it.
pub const ORDER_TO_UNKNOWN: Order = Order::Continue;

/// The runner after a heartbeat.
#[must_use]
pub fn heartbeat(runner: &Runner, request: &HeartbeatRequest, now: Timestamp, deadlines: &Deadlines) -> Runner {
    let mut next = runner.clone();
    if request.interruption.is_some() {
        next = interruption::heard(&next, Word::Warning, now, deadlines).unwrap_or(next);
    }
    if next.is_live() {
        next.heartbeat_at = Some(now);
    }
    if request.phase == Phase::Running {
        job_started(&mut next, now, deadlines);
    }
    next.due_at = next.next_look(deadlines);
    next
}

/// A job began, at the last second if the runner was to be ended unused.
fn job_started(runner: &mut Runner, now: Timestamp, deadlines: &Deadlines) {
    if runner.state == RunnerState::Done && runner.may_be_taken() {
        runner.ending = None;
        runner.take(RunnerStep::KeepForJob, now, deadlines);
    } else {
        runner.take(RunnerStep::StartJob, now, deadlines);
    }
}

/// The runner after a stage was reached.
#[must_use]
pub fn progress(runner: &Runner, request: &ProgressRequest, now: Timestamp, deadlines: &Deadlines) -> Runner {
    let mut next = runner.clone();
    let stage = request.stage;
    if next.stages.len() < MAX_STAGES && !next.stages.iter().any(|(known, _)| *known == stage) {
        next.stages.push((stage, request.at));
        if let Some(words) = &request.detail {
            next.words.push((stage, words.chars().take(MAX_WORDS).collect()));
        }
    }
    if next.is_live() {
        next.heartbeat_at = Some(now);
    }
    match stage {
        Stage::JobStarted => {
            job_started(&mut next, now, deadlines);
            next.heed_unanswered();
        }
        Stage::JobFinished => {
            next.job_over_at.get_or_insert(now);
        }
        Stage::AgentUp | Stage::RunnerStarted | Stage::DrainStarted | Stage::HookFinished => {}
    }
    next.due_at = next.next_look(deadlines);
    next
}

/// The runner after its goodbye.
#[must_use]
pub fn goodbye(runner: &Runner, reason: GoodbyeReason, now: Timestamp, deadlines: &Deadlines) -> Runner {
    let mut next = runner.clone();
    if reason == GoodbyeReason::Interrupted && next.is_live() {
        next.interrupted_at.get_or_insert(now);
    }
    let ending = match reason {
        GoodbyeReason::Lifetime => Ending::Lifetime,
        GoodbyeReason::Idle => Ending::Idle,
        GoodbyeReason::Interrupted => Ending::Interrupted,
        other => Ending::Goodbye { reason: other },
    };
    // The runner on the instance has ended, so nothing GitHub says of it can hold this up.
    let step = match reason {
        GoodbyeReason::Finished => RunnerStep::LeaveAfterJob,
        _ => RunnerStep::Leave,
    };
    next.end(step, ending, now, deadlines);
    next.heed_unanswered();
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::InstanceLifecycle;
    use crate::checkin::{InterruptionNotice, START_UNANSWERED};
    use crate::decide::fixtures::{deadlines, now, runner};

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
    fn a_claim_is_answered_by_the_state_of_the_runner() {
        use RunnerState::{Busy, Done, Draining, Enrolled, Gone, Launched, Lost};
        assert!(matches!(claim(None, &caller(), now()), Claim::Later(_)));
        assert!(matches!(
            claim(Some(&runner(Launched)), &caller(), now()),
            Claim::Mint(_)
        ));
        for state in [Enrolled, Busy, Draining, Done, Lost, Gone] {
            assert!(
                matches!(claim(Some(&runner(state)), &caller(), now()), Claim::Refuse(_)),
                "{state:?}"
            );
        }
    }

    #[test]
    fn the_runner_of_another_instance_is_refused() {
        let answer = claim(Some(&runner(RunnerState::Launched)), &InstanceId::new("i-2"), now());
        assert!(matches!(answer, Claim::Refuse(_)));
        assert!(same_instance(&caller(), &InstanceId::new("i-2")).is_err());
    }

    #[test]
    fn a_registration_is_left_to_whoever_began_it_and_then_made_under_another_name() {
        let Claim::Mint(first) = claim(Some(&runner(RunnerState::Launched)), &caller(), now()) else {
            panic!()
        };
        assert!(matches!(claim(Some(&first), &caller(), now()), Claim::Later(_)));
        let Claim::Mint(second) = claim(Some(&first), &caller(), now().after(MINT_HOLD)) else {
            panic!()
        };
        assert_ne!(first.registration(first.mints), second.registration(second.mints));
    }

    #[test]
    fn a_runner_that_began_to_end_while_it_was_registered_gets_no_config() {
        let draining = runner(RunnerState::Draining);
        assert_eq!(enrolled(&draining, RunnerId(5), now(), &deadlines()), None);
        let enrolled = enrolled(&runner(RunnerState::Launched), RunnerId(5), now(), &deadlines()).unwrap();
        assert_eq!(
            (enrolled.state, enrolled.runner_id),
            (RunnerState::Enrolled, Some(RunnerId(5)))
        );
    }

    #[test]
    fn orders_follow_the_state() {
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
    fn a_runner_that_nobody_needs_goes_on_until_github_has_let_it_go() {
        let mut unused = runner(RunnerState::Done);
        unused.ending = Some(Ending::NotNeeded);
        assert_eq!(order(&unused), Order::Continue, "GitHub may give it a job still");
        let taken = progress(&unused, &reached(Stage::JobStarted), now(), &deadlines());
        assert_eq!((taken.state, taken.ending), (RunnerState::Busy, None));
        unused.ending = Some(Ending::JobOver);
        assert_eq!(order(&unused), Order::Drain);
    }

    #[test]
    fn a_job_that_nobody_said_might_run_was_interrupted_whenever_that_is_told() {
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
    fn a_job_that_ended_gives_its_runner_a_while_to_leave() {
        let over = progress(
            &runner(RunnerState::Busy),
            &reached(Stage::JobFinished),
            now(),
            &deadlines(),
        );
        assert_eq!(over.due_at, Some(now().after(deadlines().leave)));
    }

    #[test]
    fn a_heartbeat_moves_the_deadline_on_but_never_past_the_lifetime() {
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
    fn a_job_that_only_the_instance_tells_of_keeps_the_runner_from_being_idle() {
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
    fn a_notice_that_the_instance_saw_drains_it() {
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
    fn an_instance_learns_of_a_notice_that_only_the_control_plane_had() {
        let busy = runner(RunnerState::Busy);
        assert_eq!(answer(&busy), Order::Continue.into());
        let noticed = interruption::heard(&busy, Word::Warning, now(), &deadlines()).unwrap();
        let told = OrderAnswer {
            order: Order::Drain,
            taken_back_at: Some(now().after(Duration::from_mins(2))),
        };
        assert_eq!(answer(&noticed), told);
    }

    #[test]
    fn a_goodbye_for_a_notice_that_nobody_else_heard_of_is_an_interruption() {
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
    fn an_instance_powers_off_after_its_goodbye_unless_ec2_takes_it_for_nothing() {
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
            farewell(&left, now(), &deadlines()).order
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
    fn how_the_interruption_hook_ended_is_kept() {
        let mut said = reached(Stage::HookFinished);
        said.detail = Some("exit status 0, after 3 s".into());
        let next = progress(&runner(RunnerState::Draining), &said, now(), &deadlines());
        assert_eq!(next.words_of(Stage::HookFinished), Some("exit status 0, after 3 s"));
    }

    #[test]
    fn a_goodbye_makes_the_runner_due_and_keeps_the_first_reason() {
        let done = goodbye(&runner(RunnerState::Busy), GoodbyeReason::Finished, now(), &deadlines());
        assert_eq!((done.state, done.due_at), (RunnerState::Done, Some(now())));
        let interrupted = interruption::heard(&runner(RunnerState::Busy), Word::Warning, now(), &deadlines()).unwrap();
        let left = goodbye(&interrupted, GoodbyeReason::Drained, now(), &deadlines());
        assert_eq!(
            (left.state, left.ending),
            (RunnerState::Lost, Some(Ending::Interrupted))
        );
        let gone = runner(RunnerState::Gone);
        assert_eq!(goodbye(&gone, GoodbyeReason::Finished, now(), &deadlines()), gone);
    }

    #[test]
    fn an_instance_cannot_fill_its_record() {
        let mut next = runner(RunnerState::Busy);
        for _ in 0..100 {
            let mut said = reached(Stage::JobStarted);
            said.detail = Some("ö".repeat(10_000));
            next = progress(&next, &said, now(), &deadlines());
        }
        assert_eq!(next.stages.len(), 1);
        let words = next.words_of(Stage::JobStarted).map(|words| words.chars().count());
        assert_eq!(words, Some(MAX_WORDS));
    }
}
