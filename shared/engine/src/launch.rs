//! Whether and how to launch an instance for a job.

use std::time::Duration;

use dayfly_config::{GivingUp, Reporting};
use dayfly_records::event::{Conclusion, JobEvent};
use dayfly_records::lifecycle::RunnerStep;
use dayfly_records::{Attribution, Ending, Job, JobState, LaunchPlan, MessengerState, Runner, RunnerState, Turn};
use dayfly_types::deadlines::{Deadlines, QUEUE_LIMIT};
use dayfly_types::ids::RunnerName;
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

/// What a `job.queued` or a due launch asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A first or another runner: claim the job, then launch.
    Claim,
    /// The same, if GitHub says that the job still waits.
    ClaimIfWaiting,
    /// A launch that was begun: to be queued again.
    Resume,
    /// The same, if GitHub says that the job still waits: it has waited for its turn for long.
    ResumeIfWaiting,
    /// Nobody needs the launch that was begun.
    Drop,
    /// A messenger, for it is given up.
    Messenger,
    /// Its run is to be cancelled, for it is given up and no messenger can be sent.
    CancelRun,
    /// Nothing, for this reason.
    Nothing(&'static str),
}

/// What is needed for a job whose `job.queued` has come. `known` is its record, if there is one.
/// A webhook that is old, because it was resent, is no proof that the job still waits.
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
        JobState::Queued => Need::Nothing("it is launched for when that is due"),
        JobState::Launching => Need::Nothing("a runner is being launched for it already"),
        JobState::Running { .. } => Need::Nothing("a runner runs it already"),
        JobState::Finished { .. } => Need::Nothing("it is over already"),
        JobState::Refused { .. } | JobState::Unlaunchable { .. } => Need::Nothing("it was given up already"),
    }
}

/// What is needed for a job that is due.
#[must_use]
pub fn on_job_due(job: &Job) -> Need {
    match job.state {
        // Much may have happened since it was said to wait.
        JobState::Queued => Need::ClaimIfWaiting,
        JobState::Refused { .. } | JobState::Unlaunchable { .. } => match job.messenger_state {
            MessengerState::Due => Need::Messenger,
            MessengerState::Cancel => Need::CancelRun,
            MessengerState::Nothing | MessengerState::Sent | MessengerState::Over => on_queued_again(job),
        },
        JobState::Launching | JobState::Running { .. } | JobState::Finished { .. } => on_queued_again(job),
    }
}

/// What is needed for a runner whose launch is due. `job` is the job that it is for, which is not
/// always the one that it was claimed for: jobs that take each other's runners swap them.
#[must_use]
pub fn on_runner_due(runner: &Runner, job: Option<&Job>, now: Timestamp) -> Need {
    if runner.state != RunnerState::Requested {
        return Need::Nothing("it is launched, or given up, already");
    }
    let waits = runner.turn == Some(Turn::Waits);
    if runner.launch_due > now && !waits {
        return Need::Nothing("its launch is under way, or not due yet");
    }
    match job {
        // Nobody has called it.
        Some(job) if waits && runner.launch_due <= now && is_of(runner, job) => Need::ResumeIfWaiting,
        Some(job) if is_of(runner, job) => Need::Resume,
        _ => Need::Drop,
    }
}

fn is_of(runner: &Runner, job: &Job) -> bool {
    job.runner.as_ref() == Some(&runner.name) && awaits(job, runner)
}

/// Whether a job still waits for what a runner is to do: to run it, or to tell it that it will not be.
fn awaits(job: &Job, runner: &Runner) -> bool {
    if runner.message.is_some() {
        job.state.is_given_up() && job.messenger_state == MessengerState::Sent
    } else {
        job.state == JobState::Launching
    }
}

/// A runner whose launch nobody needs any more: what it may have come to is found by its tag.
#[must_use]
pub fn drop(mut runner: Runner, now: Timestamp, deadlines: &Deadlines) -> Runner {
    runner.end(RunnerStep::DropNeed, Ending::NotNeeded, now, deadlines);
    runner
}

/// The record of a job that is heard of for the first time.
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
        asked: 0,
        due_at: None,
        ran_on: None,
        github_per_minute: MicroDollars::default(),
        started_at: None,
        ended_at: None,
    }
}

/// A job that is heard of late may have been heard of before, by a table that has lost it. The
/// runners of that time must not be named again: EC2 would answer with their instances.
fn first_launch(event: &JobEvent) -> u32 {
    /// More launches in a minute there never were.
    const A_MINUTE: u64 = 10;
    let late = event
        .created_at
        .map_or(Duration::ZERO, |at| event.received_at.since(at));
    u32::try_from(late.as_secs() / 60 * A_MINUTE).unwrap_or(u32::MAX / 2)
}

/// The claim on a job: its record and that of the runner to come, written together before
/// anything is launched. Whoever writes it holds the launch until [`Runner::take_over_at`].
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
        turn: None,
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
        asked: None,
        end_tries: 0,
        instance_ended: false,
        instance_ended_at: None,
        terminated_at: None,
        stages: Vec::new(),
        words: Vec::new(),
        message: None,
        ending: None,
        due_at: None,
        ended_at: None,
    };
    runner.due_at = runner.next_look(deadlines);
    (job, runner)
}

/// A runner that is to be launched now, and waits for whoever launches.
#[must_use]
pub fn resume(mut runner: Runner, now: Timestamp, deadlines: &Deadlines) -> Runner {
    runner.fleet = None;
    if runner.turn == Some(Turn::Waits) {
        runner.turn = Some(Turn::Asks);
    }
    runner.launch_due = Runner::take_over_at(now);
    runner.due_at = runner.next_look(deadlines);
    runner
}

/// A runner that has waited for its turn for long: it is due again soon, while GitHub is asked for its job.
#[must_use]
pub fn ask_for_job(mut runner: Runner, now: Timestamp, deadlines: &Deadlines) -> Runner {
    runner.launch_due = now.after(deadlines.pause(2, runner.name.as_str()));
    runner.due_at = runner.next_look(deadlines);
    runner
}

/// A job that is not there any more, or whose run is over.
#[must_use]
pub fn over(mut job: Job, now: Timestamp) -> Job {
    job.due_at = None;
    job.ended_at = Some(now);
    job.state = JobState::Finished {
        conclusion: Conclusion::Unknown,
    };
    job
}

/// A job for which nothing could be decided, because something did not answer: to be looked at
/// again, after `wait` at least if whoever refused to answer said so. Nothing of its own stands in its
/// way, so it is over only when GitHub itself has ended it.
#[must_use]
pub fn postpone(mut job: Job, wait: Option<Duration>, now: Timestamp, deadlines: &Deadlines) -> Job {
    if now.since(job.queued_at) >= QUEUE_LIMIT {
        return over(job, now);
    }
    job.asked += 1;
    job.state = JobState::Queued;
    let pause = deadlines.pause(job.asked, &job.name);
    job.due_at = Some(now.after(pause.max(wait.unwrap_or_default())));
    job
}

#[cfg(test)]
#[path = "launch_tests.rs"]
mod tests;
