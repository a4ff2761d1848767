//! Check-ins: the answers to an instance. The signature says which instance calls; the body is believed about
//! what the instance does, never about which one it is.

use std::time::Duration;

use dayfly_records::steps::RunnerStep;
use dayfly_records::{Ending, Runner, RunnerState};
use dayfly_types::checkin::{
    GoodbyeReason, GoodbyeRequest, HeartbeatRequest, Order, OrderAnswer, Phase, ProgressRequest, START_UNANSWERED,
    Stage,
};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::{InstanceId, RunnerId};
use dayfly_types::time::Timestamp;

use crate::runner::interruption::{self, Ec2Signal};

/// How long a registration with GitHub is left to the call that began it: longer than the check-in function may
/// run.
const MINT_HOLD: Duration = Duration::from_secs(45);

/// The stages that are kept per instance, so that none can fill the table.
const MAX_STAGES: usize = 32;

/// The characters that are kept of a stage's detail.
const MAX_DETAIL: usize = 200;

/// The same for the startup script's last lines.
const MAX_STARTUP_DETAIL: usize = 1000;

/// The registrations per runner.
pub const MAX_MINTS: u32 = 10;

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimDecision {
    /// Record this, then register the runner under its `mints`-th name.
    Mint(Box<Runner>),
    /// The instance should ask again, for this reason.
    Later(&'static str),
    Refuse(&'static str),
}

/// Checks that the body of a call names the instance that signed it.
///
/// # Errors
/// It names another.
pub fn same_instance(caller: &InstanceId, named: &InstanceId) -> Result<(), &'static str> {
    if caller == named {
        Ok(())
    } else {
        Err("the body names another instance than the one that signed the call")
    }
}

/// Decides on a claim of the JIT config by `caller`. `runner` is the record that its instance id leads to.
#[must_use]
pub fn claim(runner: Option<&Runner>, caller: &InstanceId, now: Timestamp) -> ClaimDecision {
    let Some(runner) = runner else {
        return ClaimDecision::Later("no runner is recorded for this instance yet");
    };
    if runner.instance() != Some(caller) {
        return ClaimDecision::Refuse("the runner belongs to another instance");
    }
    match runner.state {
        RunnerState::Requested => ClaimDecision::Later("the launch is not recorded yet"),
        RunnerState::Launched if runner.mint_until.is_some_and(|until| until > now) => {
            ClaimDecision::Later("a registration is under way")
        }
        RunnerState::Launched if runner.mints >= MAX_MINTS => {
            ClaimDecision::Refuse("the runner was registered too often")
        }
        RunnerState::Launched => {
            let mut minting = runner.clone();
            minting.mints += 1;
            minting.register_at = None;
            minting.mint_until = Some(now.after(MINT_HOLD));
            minting.heartbeat_at = Some(now);
            ClaimDecision::Mint(Box::new(minting))
        }
        RunnerState::Enrolled | RunnerState::Busy => ClaimDecision::Refuse("the JIT config was handed out already"),
        RunnerState::Draining | RunnerState::Done | RunnerState::Lost | RunnerState::Gone => {
            ClaimDecision::Refuse("the runner is ending")
        }
    }
}

/// Returns the runner with its minted JIT config, before that is handed out. Returns `None` if the runner has
/// begun to end meanwhile.
#[must_use]
pub fn enrolled(runner: &Runner, id: RunnerId, now: Timestamp, deadlines: &Deadlines) -> Option<Runner> {
    let mut next = runner.clone();
    next.runner_id = Some(id);
    next.mint_until = None;
    next.heartbeat_at = Some(now);
    next.take(RunnerStep::Enrol, now, deadlines).then_some(next)
}

/// Returns the runner after a failed registration: the next claim may use the next name.
#[must_use]
pub fn mint_failed(runner: &Runner) -> Runner {
    Runner {
        mint_until: None,
        ..runner.clone()
    }
}

/// Returns what an instance has to do in its runner's state.
#[must_use]
pub fn order(runner: &Runner) -> Order {
    match runner.state {
        RunnerState::Requested | RunnerState::Launched | RunnerState::Enrolled | RunnerState::Busy => Order::Continue,
        // GitHub may give it a job until its registration is removed.
        RunnerState::Done if runner.may_take_job() => Order::Continue,
        RunnerState::Draining | RunnerState::Done => Order::Drain,
        RunnerState::Lost | RunnerState::Gone => Order::Stop,
    }
}

/// Returns the answer to a check-in.
#[must_use]
pub fn answer(runner: &Runner) -> OrderAnswer {
    OrderAnswer {
        order: order(runner),
        taken_back_at: runner.taken_back_at(),
    }
}

/// Returns the answer to a goodbye: power off, or leave that to EC2.
#[must_use]
pub fn goodbye_answer(runner: &Runner, now: Timestamp, deadlines: &Deadlines) -> OrderAnswer {
    let left = runner.left_to_ec2_until(now, deadlines).is_some();
    OrderAnswer {
        order: if left { Order::Continue } else { Order::Stop },
        taken_back_at: runner.taken_back_at(),
    }
}

/// The order to an instance that no record leads to. The table may have lost the record in mid-job, which must
/// not cost the job: the patrol finds the instance by its tags and asks GitHub about it.
pub const ORDER_TO_UNKNOWN: Order = Order::Continue;

/// Returns the runner after a heartbeat.
#[must_use]
pub fn heartbeat(runner: &Runner, request: &HeartbeatRequest, now: Timestamp, deadlines: &Deadlines) -> Runner {
    let mut next = runner.clone();
    if request.interruption.is_some() {
        next = interruption::apply(&next, Ec2Signal::Warning, now, now, deadlines).unwrap_or(next);
    }
    if next.is_live() {
        next.heartbeat_at = Some(now);
    }
    // An agent sends heartbeats only once it has its JIT config: the table has lost the record of that.
    if !next.take(RunnerStep::Enrol, now, deadlines) && request.phase == Phase::Running {
        job_started(&mut next, now, deadlines);
    }
    next.due_at = next.next_deadline(deadlines);
    next
}

/// Notes that a job began, maybe at the last second before the unused runner ended.
fn job_started(runner: &mut Runner, now: Timestamp, deadlines: &Deadlines) {
    if runner.state == RunnerState::Done && runner.may_take_job() {
        runner.ending = None;
        runner.take(RunnerStep::KeepForJob, now, deadlines);
    } else {
        runner.take(RunnerStep::StartJob, now, deadlines);
    }
}

/// Returns the runner whose instance gets an answer to whether its job may start.
#[must_use]
pub fn start_answered(runner: &Runner) -> Runner {
    Runner {
        start_answered: true,
        ..runner.clone()
    }
}

/// Returns the runner after a reported stage.
#[must_use]
pub fn progress(runner: &Runner, request: &ProgressRequest, now: Timestamp, deadlines: &Deadlines) -> Runner {
    let mut next = runner.clone();
    let stage = request.stage;
    if next.stages.len() < MAX_STAGES && !next.stages.iter().any(|(known, _)| *known == stage) {
        next.stages.push((stage, request.at));
        if let Some(detail) = &request.detail {
            let most = match stage {
                Stage::StartupFinished => MAX_STARTUP_DETAIL,
                _ => MAX_DETAIL,
            };
            next.stage_details.push((stage, detail.chars().take(most).collect()));
        }
    }
    if next.is_live() {
        next.heartbeat_at = Some(now);
    }
    match stage {
        Stage::JobStarted => {
            job_started(&mut next, now, deadlines);
            next.mark_unanswered();
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
    next.due_at = next.next_deadline(deadlines);
    next
}

/// Returns the runner with its goodbye's detail of a failed startup script or a job that was stopped before its start,
/// if no report has brought it.
#[must_use]
pub fn explained(runner: &Runner, request: &GoodbyeRequest, now: Timestamp) -> Runner {
    let mut next = runner.clone();
    if request.detail.as_deref() == Some(START_UNANSWERED) && !next.has_reported_start() {
        next.stages.push((Stage::JobStarted, now));
        next.stage_details
            .push((Stage::JobStarted, START_UNANSWERED.to_owned()));
    }
    if request.reason == GoodbyeReason::StartupFailed
        && next.is_live()
        && next.stage_detail(Stage::StartupFinished).is_none()
        && let Some(detail) = &request.detail
    {
        let detail = detail.chars().take(MAX_STARTUP_DETAIL).collect();
        next.stage_details.push((Stage::StartupFinished, detail));
    }
    next
}

/// Returns the runner after its goodbye.
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
    // The runner on the instance has ended, so GitHub cannot delay this.
    let step = match reason {
        GoodbyeReason::Finished => RunnerStep::LeaveAfterJob,
        _ => RunnerStep::Leave,
    };
    next.end(step, ending, now, deadlines);
    next.mark_unanswered();
    next
}

#[cfg(test)]
mod tests;
