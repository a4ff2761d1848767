//! What the start and the end of a job mean for it and for the runners that have to do with it.

use crate::deadlines::Deadlines;
use crate::decide::launch;
use crate::event::{Conclusion, JobEvent};
use crate::record::{Ending, Job, JobState, Runner, RunnerState};
use crate::time::Timestamp;

/// A job has started: what is known of those whom it concerns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Started {
    /// The job itself.
    pub job: Option<Job>,
    /// The runner that took it, if it is ours.
    pub taken: Option<Runner>,
    /// The runner that was launched for it, if that is another.
    pub own: Option<Runner>,
    /// The job that the taken runner was launched for, if that is another.
    pub robbed: Option<Job>,
}

/// Binds the job to the runner that took it. If that was launched for another job, the two jobs
/// swap their runners, so that each still has one; if there is none to swap, the other job waits
/// again. Nothing if the job is over already.
#[must_use]
pub fn started(known: Started, event: &JobEvent, now: Timestamp, deadlines: &Deadlines) -> Option<Started> {
    let Started {
        job,
        mut taken,
        mut own,
        mut robbed,
    } = known;
    let mut job = job.unwrap_or_else(|| launch::new_job(event));
    if job.state.is_end() {
        return None;
    }
    job.state = JobState::Running {
        runner: event.runner_name.clone().unwrap_or_default(),
    };
    job.due_at = None;
    if let Some(runner) = &mut taken {
        runner.job = Some(event.key());
        runner.job_run = Some(event.run);
        if matches!(runner.state, RunnerState::Launched | RunnerState::Enrolled) {
            runner.enter(RunnerState::Busy, now, deadlines);
        }
        if runner.wanted_by != job.key {
            swap(&mut job, runner, own.as_mut(), robbed.as_mut(), now);
        }
    } else {
        own = None;
        robbed = None;
    }
    Some(Started {
        job: Some(job),
        taken,
        own,
        robbed,
    })
}

fn swap(job: &mut Job, taken: &mut Runner, own: Option<&mut Runner>, robbed: Option<&mut Job>, now: Timestamp) {
    let robbed_key = taken.wanted_by;
    taken.wanted_by = job.key;
    job.runner = Some(taken.name.clone());
    let spare = own.filter(|own| is_free(own));
    if let Some(own) = &spare {
        debug_assert_ne!(own.name, taken.name);
    }
    let Some(robbed) = robbed.filter(|robbed| robbed.runner.as_ref() == Some(&taken.name) && !robbed.state.is_end())
    else {
        return;
    };
    match spare {
        Some(own) => {
            own.wanted_by = robbed_key;
            robbed.runner = Some(own.name.clone());
        }
        None if robbed.state == JobState::Launching => {
            robbed.state = JobState::Queued;
            robbed.runner = None;
            robbed.due_at = Some(now);
        }
        None => robbed.runner = None,
    }
}

/// Whether a runner is on its way to, or open for, a job.
fn is_free(runner: &Runner) -> bool {
    runner.job.is_none()
        && matches!(
            runner.state,
            RunnerState::Requested | RunnerState::Launched | RunnerState::Enrolled
        )
}

/// A job is over: what is known of those whom it concerns, and what becomes of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completed {
    /// The job itself.
    pub job: Option<Job>,
    /// The runner that ran it, if it is ours.
    pub ran: Option<Runner>,
    /// The runner that was launched for it, if that is another.
    pub own: Option<Runner>,
}

/// Ends the job, the runner that ran it, and the one that it needs no more. A job that was never
/// heard of is remembered all the same, so that a `job.queued` that comes later launches nothing.
#[must_use]
pub fn completed(known: Completed, event: &JobEvent, now: Timestamp, deadlines: &Deadlines) -> Completed {
    let conclusion = event.conclusion.unwrap_or(Conclusion::Unknown);
    let mut job = known.job.unwrap_or_else(|| launch::new_job(event));
    job.state = JobState::Finished { conclusion };
    job.due_at = None;
    job.ended_at.get_or_insert(now);
    let ran = known.ran.map(|mut runner| {
        runner.job = Some(event.key());
        runner.job_run = Some(event.run);
        if !matches!(runner.state, RunnerState::Lost | RunnerState::Gone) {
            runner.end(RunnerState::Done, Ending::JobOver, now, deadlines);
        }
        runner
    });
    let own = known.own.map(|mut runner| {
        if is_free(&runner) {
            runner.end(RunnerState::Done, Ending::NotNeeded, now, deadlines);
        }
        runner
    });
    Completed {
        job: Some(job),
        ran,
        own,
    }
}

/// Whether a job that ended so on a runner that was interrupted has to be run again.
#[must_use]
pub fn was_interrupted(conclusion: Conclusion) -> bool {
    match conclusion {
        Conclusion::Success
        | Conclusion::Skipped
        | Conclusion::Cancelled
        | Conclusion::Neutral
        | Conclusion::ActionRequired
        | Conclusion::Stale => false,
        Conclusion::Failure | Conclusion::TimedOut | Conclusion::StartupFailure | Conclusion::Unknown => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::fixtures::{claimed, deadlines, event, launched, now, runner};
    use crate::ids::JobId;

    fn enrolled(job: u64, instance: &str) -> (Job, Runner) {
        let (job, mut runner) = claimed(job);
        runner.launched = Some(launched(instance));
        runner.enter(RunnerState::Enrolled, now(), &deadlines());
        (job, runner)
    }

    #[test]
    fn a_job_that_starts_on_its_own_runner_is_bound_to_it() {
        let (job, runner) = enrolled(11, "i-1");
        let known = Started {
            job: Some(job),
            taken: Some(runner),
            ..Started::default()
        };
        let after = started(known, &event(11), now(), &deadlines()).unwrap();
        let taken = after.taken.unwrap();
        assert_eq!(
            (taken.state, taken.job.map(|key| key.job)),
            (RunnerState::Busy, Some(JobId(11)))
        );
        assert!(matches!(after.job.unwrap().state, JobState::Running { .. }));
    }

    #[test]
    fn a_job_that_takes_anothers_runner_leaves_its_own_in_return() {
        let (robbed, taken) = enrolled(12, "i-2");
        let (job, own) = claimed(11);
        let known = Started {
            job: Some(job),
            taken: Some(taken),
            own: Some(own),
            robbed: Some(robbed),
        };
        let after = started(known, &event(11), now(), &deadlines()).unwrap();
        let (job, taken) = (after.job.unwrap(), after.taken.unwrap());
        let (robbed, own) = (after.robbed.unwrap(), after.own.unwrap());
        assert_eq!((job.runner.as_ref(), taken.wanted_by), (Some(&taken.name), job.key));
        assert_eq!((robbed.runner.as_ref(), own.wanted_by), (Some(&own.name), robbed.key));
    }

    #[test]
    fn a_job_that_was_robbed_and_gets_nothing_in_return_waits_again() {
        let (robbed, taken) = enrolled(12, "i-2");
        let known = Started {
            job: None,
            taken: Some(taken),
            own: None,
            robbed: Some(robbed),
        };
        let robbed = started(known, &event(11), now(), &deadlines()).unwrap().robbed.unwrap();
        assert_eq!(
            (robbed.state, robbed.due_at, robbed.runner),
            (JobState::Queued, Some(now()), None)
        );
    }

    #[test]
    fn a_start_that_comes_after_the_end_changes_nothing() {
        let (mut job, runner) = enrolled(11, "i-1");
        job.state = JobState::Finished {
            conclusion: Conclusion::Success,
        };
        let known = Started {
            job: Some(job),
            taken: Some(runner),
            ..Started::default()
        };
        assert_eq!(started(known, &event(11), now(), &deadlines()), None);
    }

    #[test]
    fn a_job_on_a_runner_that_is_not_ours_leaves_its_own_to_idle_out() {
        let (job, own) = enrolled(11, "i-1");
        let known = Started {
            job: Some(job),
            own: Some(own),
            ..Started::default()
        };
        let after = started(known, &event(11), now(), &deadlines()).unwrap();
        assert_eq!((after.taken, after.own), (None, None));
    }

    #[test]
    fn a_completed_job_ends_its_runner_and_the_one_it_never_needed() {
        let (job, own) = claimed(11);
        let known = Completed {
            job: Some(job),
            ran: Some(runner(RunnerState::Busy)),
            own: Some(own),
        };
        let after = completed(known, &event(11), now(), &deadlines());
        assert_eq!(after.ran.unwrap().state, RunnerState::Done);
        assert_eq!(after.own.unwrap().ending, Some(Ending::NotNeeded));
    }

    #[test]
    fn a_completed_job_that_was_never_heard_of_is_remembered() {
        let after = completed(Completed::default(), &event(11), now(), &deadlines());
        assert!(matches!(
            launch::on_queued(after.job.as_ref()),
            launch::Need::Nothing(_)
        ));
    }

    #[test]
    fn a_runner_that_another_job_has_taken_is_not_ended() {
        let (job, _) = claimed(11);
        let mut own = runner(RunnerState::Busy);
        own.job = Some(event(99).key());
        let after = completed(
            Completed {
                job: Some(job),
                ran: None,
                own: Some(own.clone()),
            },
            &event(11),
            now(),
            &deadlines(),
        );
        assert_eq!(after.own, Some(own));
    }
}
