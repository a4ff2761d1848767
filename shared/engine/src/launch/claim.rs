//! Claims: when a job needs a launch, and the records that claim one.

use std::time::Duration;

use dayfly_config::{GivingUp, Reporting};
use dayfly_records::event::{Conclusion, JobEvent};
use dayfly_records::steps::RunnerStep;
use dayfly_records::{
    Attribution, Ending, FleetCall, GateState, Job, JobState, LaunchPlan, MessengerState, Runner, RunnerState,
};
use dayfly_types::deadlines::{Deadlines, QUEUE_LIMIT, TAKE_OVER};
use dayfly_types::ids::RunnerName;
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

/// What a job or a runner needs from the launch function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A first or another runner: claim the job, then launch.
    Claim,
    /// The same, if the job still waits according to GitHub.
    ClaimIfWaiting,
    /// The launch that was begun: queue its runner again.
    Resume,
    /// The same, if the job still waits according to GitHub: it has waited long for its turn.
    ResumeIfWaiting,
    /// Nothing before its call to EC2 is over. That is tried again at this moment.
    AwaitCall(Timestamp),
    /// The launch that was begun is not needed any more.
    Drop,
    /// A messenger, because the job is given up.
    Messenger,
    /// The cancellation of its run, because the job is given up and no messenger can be sent.
    CancelRun,
    /// Nothing, for this reason.
    Nothing(&'static str),
}

/// Decides on a `job.queued`. `known` is the job's record. A redelivered webhook may be old and then does
/// not prove that the job still waits.
#[must_use]
pub fn on_queued(known: Option<&Job>, event: &JobEvent, now: Timestamp, deadlines: &Deadlines) -> Need {
    let old = event
        .created_at
        .is_some_and(|created_at| now.since(created_at) > deadlines.webhook);
    match known {
        Some(job) => on_queued_again(job),
        None if old => Need::ClaimIfWaiting,
        None => Need::Claim,
    }
}

fn on_queued_again(job: &Job) -> Need {
    match &job.state {
        JobState::Queued => Need::Nothing("its launch is not due yet"),
        JobState::Launching => Need::Nothing("a runner is being launched for it already"),
        JobState::Running { .. } => Need::Nothing("a runner runs it already"),
        JobState::Finished { .. } => Need::Nothing("it is over already"),
        JobState::Refused { .. } | JobState::Unlaunchable { .. } => Need::Nothing("it was given up already"),
    }
}

/// Decides on a job that is due.
#[must_use]
pub fn on_job_due(job: &Job) -> Need {
    match job.state {
        // GitHub may have moved on since it was queued.
        JobState::Queued => Need::ClaimIfWaiting,
        JobState::Refused { .. } | JobState::Unlaunchable { .. } => match job.messenger_state {
            MessengerState::Due => Need::Messenger,
            MessengerState::Cancel => Need::CancelRun,
            MessengerState::Nothing | MessengerState::Sent | MessengerState::Over => on_queued_again(job),
        },
        JobState::Launching | JobState::Running { .. } | JobState::Finished { .. } => on_queued_again(job),
    }
}

/// Decides on a runner whose launch is due. `job` is the job that it is for, not always the one that it
/// was claimed for: jobs that take each other's runners swap them. `call` is the call to EC2 that it is in.
#[must_use]
pub fn on_runner_due(runner: &Runner, job: Option<&Job>, call: Option<&FleetCall>, now: Timestamp) -> Need {
    if runner.state != RunnerState::Requested {
        return Need::Nothing("it is launched, or given up, already");
    }
    let waits = runner.gate == Some(GateState::Waiting);
    if runner.launch_due > now && !waits {
        return Need::Nothing("its launch is under way, or not due yet");
    }
    let is_needed = job.is_some_and(|job| is_for(runner, job));
    match call.and_then(|call| call.due_at) {
        _ if !is_needed => Need::Drop,
        // The call may still launch an instance for it: in another call besides, it would get two.
        Some(call_due_at) => Need::AwaitCall(call_due_at),
        // It was not called: its time was up.
        None if waits && runner.launch_due <= now => Need::ResumeIfWaiting,
        None => Need::Resume,
    }
}

fn is_for(runner: &Runner, job: &Job) -> bool {
    job.runner.as_ref() == Some(&runner.name) && awaits(job, runner)
}

/// Whether a job still waits for a runner: to run it or, if that is a messenger, to fail it.
fn awaits(job: &Job, runner: &Runner) -> bool {
    if runner.message.is_some() {
        job.state.is_given_up() && job.messenger_state == MessengerState::Sent
    } else {
        job.state == JobState::Launching
    }
}

/// Ends a runner whose launch is not needed any more. An instance that it may have is found by its tag.
#[must_use]
pub fn drop_launch(mut runner: Runner, now: Timestamp, deadlines: &Deadlines) -> Runner {
    runner.end(RunnerStep::DropNeed, Ending::NotNeeded, now, deadlines);
    runner
}

/// Returns the record of a new job.
#[must_use]
pub fn new_job(event: &JobEvent) -> Job {
    Job {
        key: event.key(),
        run: event.run,
        repository: event.repository.clone(),
        installation: event.installation,
        name: event.name.clone(),
        head_sha: event.head_sha.clone(),
        labels: event.labels.clone(),
        attribution: Attribution {
            workflow: event.workflow.clone(),
            actor: event.actor.clone(),
            pull: None,
        },
        created_at: event.created_at,
        queued_at: event.received_at,
        state: JobState::Queued,
        giving_up: GivingUp::default(),
        reporting: Reporting::default(),
        messenger_state: MessengerState::Nothing,
        messengers: 0,
        launches: 0,
        first_launch: first_launch(event),
        runner: None,
        end_lookups: 0,
        due_at: None,
        ran_on: None,
        github_per_minute: MicroDollars::default(),
        started_at: None,
        ended_at: None,
    }
}

/// Returns the number that a job's launches count from. A job that arrives late may have been known
/// before the table lost it. Its former runner names must not be reused: EC2 would answer with their
/// instances.
fn first_launch(event: &JobEvent) -> u32 {
    /// More launches than a job can have in a minute.
    const PER_MINUTE: u64 = 10;
    let late = event
        .created_at
        .map_or(Duration::ZERO, |at| event.received_at.since(at));
    u32::try_from(late.as_secs() / 60 * PER_MINUTE).unwrap_or(u32::MAX / 2)
}

/// Claims a job: returns its record and that of its new runner, to be written together before anything
/// launches. The writer holds the launch until [`Runner::take_over_at`].
#[must_use]
pub fn claim(mut job: Job, plan: LaunchPlan, now: Timestamp, deadlines: &Deadlines) -> (Job, Runner) {
    job.launches += 1;
    let name = RunnerName::of(job.key, job.first_launch + job.launches);
    job.state = JobState::Launching;
    job.runner = Some(name.clone());
    job.due_at = None;
    let mut runner = Runner {
        name,
        wanted_by: job.key,
        run: job.run,
        repository: job.repository.clone(),
        installation: job.installation,
        labels: job.labels.clone(),
        attribution: job.attribution.clone(),
        state: RunnerState::Requested,
        step: RunnerStep::Claim,
        since: now,
        plan,
        fleet: None,
        tried: Vec::new(),
        launch_due: Runner::take_over_at(now),
        requested_at: now,
        gate: None,
        reserved: None,
        launched: None,
        running_at: None,
        mints: 0,
        mint_until: None,
        register_at: None,
        runner_id: None,
        enrolled_at: None,
        job: None,
        job_run: None,
        heartbeat_at: None,
        interrupted_at: None,
        rebalance_at: None,
        job_over_at: None,
        job_lookups: None,
        end_tries: 0,
        instance_ended: false,
        instance_ended_at: None,
        terminated_at: None,
        stages: Vec::new(),
        stage_details: Vec::new(),
        start_answered: false,
        message: None,
        ending: None,
        due_at: None,
        ended_at: None,
    };
    runner.due_at = runner.next_deadline(deadlines);
    (job, runner)
}

/// Makes a runner ready to launch now.
#[must_use]
pub fn resume(mut runner: Runner, now: Timestamp, deadlines: &Deadlines) -> Runner {
    runner.fleet = None;
    if runner.gate == Some(GateState::Waiting) {
        runner.gate = Some(GateState::Called);
    }
    runner.launch_due = Runner::take_over_at(now);
    runner.due_at = runner.next_deadline(deadlines);
    runner
}

/// Makes a runner due again after the next try of its call to EC2, for the case that the call's record is lost.
#[must_use]
pub fn await_call(mut runner: Runner, call_due_at: Timestamp, now: Timestamp, deadlines: &Deadlines) -> Runner {
    runner.launch_due = call_due_at.max(now).after(2 * TAKE_OVER);
    runner.due_at = runner.next_deadline(deadlines);
    runner
}

/// Makes a runner that has waited long for its turn due again soon, while GitHub is asked about its job.
#[must_use]
pub fn recheck_job(mut runner: Runner, now: Timestamp, deadlines: &Deadlines) -> Runner {
    runner.launch_due = now.after(deadlines.jittered_retry(2, runner.name.as_str()));
    runner.due_at = runner.next_deadline(deadlines);
    runner
}

/// Finishes a job that is gone from GitHub, or whose run is over.
#[must_use]
pub fn finish_unknown(mut job: Job, now: Timestamp) -> Job {
    job.due_at = None;
    job.ended_at = Some(now);
    job.state = JobState::Finished {
        conclusion: Conclusion::Unknown,
    };
    job
}

/// Queues a job again because a service did not answer, for `wait` at least if it asked for that. The job
/// is not to blame, so it is over only when GitHub itself has ended it.
#[must_use]
pub fn postpone(mut job: Job, wait: Option<Duration>, now: Timestamp, deadlines: &Deadlines) -> Job {
    if now.since(job.queued_at) >= QUEUE_LIMIT {
        return finish_unknown(job, now);
    }
    job.end_lookups += 1;
    job.state = JobState::Queued;
    let pause = deadlines.jittered_retry(job.end_lookups, &job.name);
    job.due_at = Some(now.after(pause.max(wait.unwrap_or_default())));
    job
}

#[cfg(test)]
mod tests;
