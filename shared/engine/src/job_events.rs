//! What a job's start and end mean for the job and its runners.

use dayfly_records::event::{Conclusion, JobEvent};
use dayfly_records::steps::RunnerStep;
use dayfly_records::{Ending, Job, JobState, Runner, RunnerState};
use dayfly_types::deadlines::{Deadlines, WEBHOOK_LAG};
use dayfly_types::ids::RunnerName;
use dayfly_types::time::Timestamp;

use crate::give_up;
use crate::launch::claim;
use crate::rerun;
use crate::runner::availability::{has_run_unknown_job, is_free, is_unbound};

/// The records that a job's start or end affects, before or after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AffectedRecords {
    pub job: Option<Job>,
    /// The runner that took the job, if it is ours.
    pub actual_runner: Option<Runner>,
    /// The runner that was launched for the job, if that is another.
    pub intended_runner: Option<Runner>,
    /// The job that the actual runner was launched for, if that is another.
    pub displaced_job: Option<Job>,
}

/// Binds a started job to the runner that took it, or returns `None` if the job is over already. If the
/// runner was launched for another job, the two jobs swap runners, so that each still has one; without one
/// to swap, the other job waits again. A given-up job that is taken after all counts as any other.
#[must_use]
pub fn started(
    known: AffectedRecords,
    event: &JobEvent,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Option<AffectedRecords> {
    let AffectedRecords {
        job,
        mut actual_runner,
        mut intended_runner,
        mut displaced_job,
    } = known;
    let mut job = job.unwrap_or_else(|| claim::new_job(event));
    if matches!(job.state, JobState::Finished { .. }) {
        return None;
    }
    if let Some(runner) = &mut actual_runner {
        runner.take(RunnerStep::StartJob, now, deadlines);
        bind(&mut job, runner, intended_runner.as_mut(), displaced_job.as_mut(), now);
        let is_needless =
            |runner: &&mut Runner| runner.message.is_some() && runner.wanted_by == job.key && is_free(runner);
        if let Some(messenger) = intended_runner.as_mut().filter(is_needless) {
            // The job needs no message any more, and no other job may get it.
            messenger.end(RunnerStep::DropNeed, Ending::NotNeeded, now, deadlines);
        }
    } else {
        intended_runner = None;
        displaced_job = None;
    }
    job.started_at.get_or_insert(event.received_at);
    job.ended_at = None;
    job.state = JobState::Running {
        runner: event.runner_name.clone().unwrap_or_default(),
    };
    // If our runner, or its record, is gone already, only the job's own deadline finds out that the event
    // of its end was lost too.
    let no_runner_watches = match &actual_runner {
        Some(runner) => !runner.is_live(),
        None => event
            .runner_name
            .as_deref()
            .and_then(RunnerName::from_registered)
            .is_some(),
    };
    job.due_at = no_runner_watches.then(|| now.after(deadlines.webhook));
    Some(AffectedRecords {
        job: Some(job),
        actual_runner,
        intended_runner,
        displaced_job,
    })
}

/// Binds a job to the runner that took it. If that was launched for another job, the two jobs swap
/// runners or messengers.
fn bind(
    job: &mut Job,
    actual: &mut Runner,
    intended: Option<&mut Runner>,
    displaced: Option<&mut Job>,
    now: Timestamp,
) {
    job.ran_on = Some(actual.name.clone());
    actual.job = Some(job.key);
    actual.job_run = Some(job.run);
    actual.job_lookups = None;
    if actual.wanted_by == job.key {
        return;
    }
    if actual.message.is_none() {
        swap(job, actual, intended, displaced, now);
        return;
    }
    let fits = give_up::message_fits(actual, job);
    let spare = intended.filter(|runner| fits && runner.message.is_some() && is_unbound(runner));
    match displaced {
        Some(displaced) if displaced.runner.as_ref() == Some(&actual.name) => match &spare {
            Some(spare) => displaced.runner = Some(spare.name.clone()),
            None => *displaced = give_up::messenger_lost(displaced, actual, now).unwrap_or_else(|| displaced.clone()),
        },
        _ => {}
    }
    if fits {
        give_up::swap_messengers(job, actual, spare);
    }
}

fn swap(
    job: &mut Job,
    actual: &mut Runner,
    intended: Option<&mut Runner>,
    displaced: Option<&mut Job>,
    now: Timestamp,
) {
    let displaced_key = actual.wanted_by;
    actual.wanted_by = job.key;
    job.runner = Some(actual.name.clone());
    let mut spare = intended.filter(|runner| is_unbound(runner) && runner.message.is_none());
    if let Some(spare) = &mut spare {
        // Even if the displaced job is over: then no job waits for the runner, and it idles out.
        spare.wanted_by = displaced_key;
        spare.job_lookups = None;
    }
    let Some(displaced) =
        displaced.filter(|displaced| displaced.runner.as_ref() == Some(&actual.name) && !displaced.state.is_end())
    else {
        return;
    };
    displaced.runner = spare.as_ref().map(|spare| spare.name.clone());
    match (&displaced.state, spare) {
        (JobState::Launching, None) => {
            displaced.state = JobState::Queued;
            displaced.due_at = Some(now);
        }
        // The spare runner has run a job as well; the webhook that names that job is on its way.
        (JobState::Launching | JobState::Queued, Some(spare))
            if has_run_unknown_job(spare) && spare.state != RunnerState::Busy =>
        {
            displaced.state = JobState::Queued;
            displaced.due_at = Some(now.after(WEBHOOK_LAG));
        }
        // It was to get another runner, because the taken one seemed to have ended.
        (JobState::Queued, Some(spare)) if is_free(spare) => {
            displaced.state = JobState::Launching;
            displaced.due_at = None;
        }
        _ => {}
    }
}

/// Whether a completed job is carried over from an earlier attempt: GitHub lists a job that succeeded
/// there again in this one, under another id and with its runner of then.
#[must_use]
pub fn is_carried_over(known: &AffectedRecords, event: &JobEvent) -> bool {
    let Some(runner) = known.actual_runner.as_ref().filter(|_| known.job.is_none()) else {
        return false;
    };
    runner.job_run == Some(event.run) && runner.job.is_some_and(|ran| ran.attempt < event.attempt)
}

/// Ends the job, the runner that ran it and the runner that it needs no more. An unknown job is recorded
/// as well, so that a late `job.queued` launches nothing.
#[must_use]
pub fn completed(known: AffectedRecords, event: &JobEvent, now: Timestamp, deadlines: &Deadlines) -> AffectedRecords {
    let AffectedRecords {
        job,
        mut actual_runner,
        mut intended_runner,
        mut displaced_job,
    } = known;
    let conclusion = event.conclusion.unwrap_or(Conclusion::Unknown);
    let mut job = job.unwrap_or_else(|| claim::new_job(event));
    if let Some(runner) = &mut actual_runner {
        // The event of the start may have been lost.
        bind(&mut job, runner, intended_runner.as_mut(), displaced_job.as_mut(), now);
        let ending = if give_up::is_mistaken(runner, event) {
            Ending::Mistaken
        } else if rerun::needs_rerun(conclusion) && is_silent(runner, now, deadlines) {
            Ending::HeartbeatLost
        } else if rerun::needs_rerun(conclusion) && was_never_started(runner) {
            Ending::Unanswered
        } else {
            Ending::JobOver
        };
        let ends = runner.end(RunnerStep::FinishJob, ending, now, deadlines);
        if !ends && runner.state == RunnerState::Done && runner.may_take_job() {
            // It was ending as unneeded and got a job meanwhile.
            runner.ending = Some(Ending::JobOver);
        }
        runner.mark_unanswered();
    }
    job.state = JobState::Finished { conclusion };
    job.due_at = None;
    job.ended_at.get_or_insert(now);
    if let Some(runner) = intended_runner
        .as_mut()
        .filter(|runner| runner.wanted_by == job.key && is_free(runner))
    {
        runner.end(RunnerStep::DropNeed, Ending::NotNeeded, now, deadlines);
    }
    AffectedRecords {
        job: Some(job),
        actual_runner,
        intended_runner,
        displaced_job,
    }
}

/// Whether an instance has been silent for so long that a job which failed on it failed because GitHub
/// had lost it too, and noticed first.
fn is_silent(runner: &Runner, now: Timestamp, deadlines: &Deadlines) -> bool {
    let heard = runner.heartbeat_at.unwrap_or(runner.since);
    now.since(heard) >= deadlines.heartbeat_lost / 2
}

/// Whether the runner's instance stopped its job before the start, for lack of an answer to whether the job may run. A
/// messenger's job needs no answer, and of a runner without a registration the table has lost it.
fn was_never_started(runner: &Runner) -> bool {
    let has_started = runner.start_answered || runner.has_reported_start();
    runner.message.is_none() && runner.runner_id.is_some() && !has_started
}

#[cfg(test)]
mod tests;
