//! What an instance is told when it checks in. The caller is who signed the call; the body is
//! believed about what the instance does, never about which instance it is.

use std::time::Duration;

use dayfly_records::lifecycle::RunnerStep;
use dayfly_records::{Ending, Runner, RunnerState};
use dayfly_types::checkin::{
    GoodbyeReason, GoodbyeRequest, HeartbeatRequest, Order, OrderAnswer, Phase, ProgressRequest, Stage,
};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::{InstanceId, RunnerId};
use dayfly_types::time::Timestamp;

use crate::interruption::{self, Word};

/// How long a registration with GitHub is left to whoever began it: longer than the check-in
/// function may run.
const MINT_HOLD: Duration = Duration::from_secs(45);

/// How many stages of an instance are kept, so that none can fill the table.
const MAX_STAGES: usize = 32;

/// How many characters of what an instance says of a stage are kept.
const MAX_WORDS: usize = 200;

/// The same for its startup script, of which they are the last lines.
const MAX_STARTUP_WORDS: usize = 1000;

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
        next = interruption::heard(&next, Word::Warning, now, now, deadlines).unwrap_or(next);
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
            let most = match stage {
                Stage::StartupFinished => MAX_STARTUP_WORDS,
                _ => MAX_WORDS,
            };
            next.words.push((stage, words.chars().take(most).collect()));
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
        Stage::AgentUp
        | Stage::StartupStarted
        | Stage::StartupFinished
        | Stage::RunnerStarted
        | Stage::DrainStarted
        | Stage::HookFinished => {}
    }
    next.due_at = next.next_look(deadlines);
    next
}

/// The runner with what its goodbye tells of a startup script that failed, if no report of that has come.
#[must_use]
pub fn explained(runner: &Runner, request: &GoodbyeRequest) -> Runner {
    let mut next = runner.clone();
    if request.reason == GoodbyeReason::StartupFailed
        && next.is_live()
        && next.words_of(Stage::StartupFinished).is_none()
        && let Some(words) = &request.detail
    {
        let words = words.chars().take(MAX_STARTUP_WORDS).collect();
        next.words.push((Stage::StartupFinished, words));
    }
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
#[path = "checkin_tests.rs"]
mod tests;
