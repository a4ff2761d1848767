//! Whether and how to launch an instance for a job.

use crate::deadlines::{Deadlines, launch_retry};
use crate::event::{Conclusion, JobEvent};
use crate::ids::{InstanceType, RunnerName};
use crate::record::{Ending, Instance, Job, JobState, LaunchPlan, Launched, Runner, RunnerState};
use crate::time::Timestamp;

/// What a `job.queued` or a due launch asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A first or another runner: claim the job, then launch.
    Claim,
    /// The launch that was begun: the same call again.
    Resume,
    /// Nothing, for this reason.
    Nothing(&'static str),
}

/// What is needed for a job whose `job.queued` has come. `known` is its record, if there is one.
#[must_use]
pub fn on_queued(known: Option<&Job>) -> Need {
    match known.map(|job| &job.state) {
        None | Some(JobState::Queued) => Need::Claim,
        Some(JobState::Launching) => Need::Nothing("a runner is being launched for it already"),
        Some(JobState::Running { .. }) => Need::Nothing("a runner runs it already"),
        Some(JobState::Finished { .. }) => Need::Nothing("it is over already"),
        Some(JobState::Refused { .. } | JobState::Unlaunchable { .. }) => Need::Nothing("it was given up already"),
    }
}

/// What is needed for a job whose launch has become due.
#[must_use]
pub fn on_due(job: &Job, runner: Option<&Runner>, now: Timestamp) -> Need {
    match (&job.state, runner) {
        (JobState::Queued, _) => Need::Claim,
        (JobState::Launching, Some(runner)) if runner.state == RunnerState::Requested => {
            if runner.launch_due <= now {
                Need::Resume
            } else {
                Need::Nothing("its launch is under way, or not due yet")
            }
        }
        (JobState::Launching, Some(_)) => Need::Nothing("its runner is launched already"),
        (JobState::Launching, None) => Need::Nothing("its runner's record is gone"),
        (
            JobState::Running { .. }
            | JobState::Finished { .. }
            | JobState::Refused { .. }
            | JobState::Unlaunchable { .. },
            _,
        ) => on_queued(Some(job)),
    }
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
        queued_at: event.received_at,
        state: JobState::Queued,
        launches: 0,
        runner: None,
        due_at: None,
        ended_at: None,
    }
}

/// The claim on a job: its record and that of the runner to come, written together before
/// anything is launched. Whoever writes it holds the launch until [`Runner::take_over_at`].
#[must_use]
pub fn claim(mut job: Job, plan: LaunchPlan, now: Timestamp, deadlines: &Deadlines) -> (Job, Runner) {
    job.launches += 1;
    let name = RunnerName::of(job.key, job.launches);
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
        state: RunnerState::Requested,
        since: now,
        plan,
        launch_errors: Vec::new(),
        launch_due: Runner::take_over_at(now),
        requested_at: now,
        launched: None,
        mints: 0,
        mint_until: None,
        runner_id: None,
        job: None,
        job_run: None,
        heartbeat_at: None,
        interrupted_at: None,
        rebalance_at: None,
        instance_ended: false,
        stages: Vec::new(),
        ending: None,
        due_at: None,
        ended_at: None,
    };
    runner.enter(RunnerState::Requested, now, deadlines);
    (job, runner)
}

/// Takes over a launch that is due.
#[must_use]
pub fn resume(mut runner: Runner, now: Timestamp, deadlines: &Deadlines) -> Runner {
    runner.launch_due = Runner::take_over_at(now);
    runner.due_at = runner.next_look(deadlines);
    runner
}

/// A job that cannot have what it asks for.
#[must_use]
pub fn refuse(mut job: Job, reason: String, now: Timestamp) -> Job {
    job.state = JobState::Refused { reason };
    job.due_at = None;
    job.ended_at = Some(now);
    job
}

/// A job that was to be given another runner, and that GitHub says no longer waits: it runs on
/// the runner of the name `running_on`, or is over.
#[must_use]
pub fn no_longer_waits(mut job: Job, running_on: Option<String>, now: Timestamp) -> Job {
    job.due_at = None;
    job.state = if let Some(runner) = running_on {
        JobState::Running { runner }
    } else {
        job.ended_at = Some(now);
        JobState::Finished {
            conclusion: Conclusion::Unknown,
        }
    };
    job
}

/// A job for which nothing could be decided, because something did not answer: to be looked at
/// again soon, or given up once it has waited too long.
#[must_use]
pub fn postpone(mut job: Job, why: String, now: Timestamp, deadlines: &Deadlines) -> Job {
    let waited = now.since(job.queued_at);
    if waited >= deadlines.give_up {
        job.state = JobState::Unlaunchable { reason: why };
        job.due_at = None;
        job.ended_at = Some(now);
    } else {
        job.state = JobState::Queued;
        job.due_at = Some(now.after(launch_retry(1)));
    }
    job
}

/// How a launch went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempted {
    /// There is an instance.
    Launched(Launched),
    /// There is none, and EC2 said so.
    Failed {
        /// Its words.
        words: String,
        /// Whether the same request can never succeed.
        hopeless: bool,
    },
    /// Nobody knows: the same call, with the same token, will tell.
    Unclear {
        /// What was seen.
        words: String,
    },
}

/// What became of a launch, to be recorded together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The runner.
    pub runner: Runner,
    /// The instance, if there is one.
    pub instance: Option<Instance>,
    /// The job, if it is given up.
    pub job: Option<Job>,
}

/// Records how a launch went. The runner may have moved on since the launch began: one that is no
/// longer wanted is left to the sweeper, together with its instance.
#[must_use]
pub fn record(
    mut runner: Runner,
    job: Option<Job>,
    attempted: Attempted,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Recorded {
    match attempted {
        Attempted::Launched(launched) => {
            let instance = Instance {
                instance: launched.instance.clone(),
                runner: runner.name.clone(),
                at: launched.at,
            };
            if runner.launched.is_none() {
                runner.launched = Some(launched);
                if runner.state == RunnerState::Requested {
                    runner.enter(RunnerState::Launched, now, deadlines);
                } else {
                    runner.ended_at = None;
                    runner.end(RunnerState::Done, Ending::NotNeeded, now, deadlines);
                }
            }
            Recorded {
                runner,
                instance: Some(instance),
                job: None,
            }
        }
        Attempted::Unclear { words } => {
            runner.launch_errors.push(words);
            runner.launch_due = now.after(launch_retry(1) / 2);
            runner.due_at = runner.next_look(deadlines);
            Recorded {
                runner,
                instance: None,
                job: None,
            }
        }
        Attempted::Failed { words, hopeless } => failed(runner, job, words, hopeless, now, deadlines),
    }
}

fn failed(
    mut runner: Runner,
    job: Option<Job>,
    words: String,
    hopeless: bool,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Recorded {
    runner.launch_errors.push(words);
    let next = now.after(launch_retry(runner.plan.tries));
    let last_moment = runner.requested_at.after(deadlines.give_up);
    if !hopeless && next <= last_moment && runner.state == RunnerState::Requested {
        runner.plan.tries += 1;
        runner.launch_due = next;
        runner.due_at = runner.next_look(deadlines);
        return Recorded {
            runner,
            instance: None,
            job: None,
        };
    }
    let reason = given_up(&runner);
    runner.end(
        RunnerState::Gone,
        Ending::Unlaunchable { reason: reason.clone() },
        now,
        deadlines,
    );
    let job = job
        .filter(|job| job.runner.as_ref() == Some(&runner.name) && !job.state.is_end())
        .map(|mut job| {
            job.state = JobState::Unlaunchable { reason };
            job.due_at = None;
            job.ended_at = Some(now);
            job
        });
    Recorded {
        runner,
        instance: None,
        job,
    }
}

/// Why no instance could be had, in words for the job's author.
fn given_up(runner: &Runner) -> String {
    let types: Vec<&str> = runner
        .plan
        .spec
        .instance_types
        .iter()
        .map(InstanceType::as_str)
        .collect();
    let kind = if runner.plan.spec.spot { "spot" } else { "on-demand" };
    format!(
        "no {kind} instance of {} could be launched in {} tries; EC2 said: {}",
        types.join(", "),
        runner.plan.tries,
        runner.launch_errors.join(" · ")
    )
}

#[cfg(test)]
#[path = "launch_tests.rs"]
mod tests;
