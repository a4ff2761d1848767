//! Whether a run of which jobs were interrupted is run again, and how.

use std::time::Duration;

use crate::config::MAX_RERUNS;
use crate::deadlines::{LONGEST_PAUSE, RERUN_RETRY};
use crate::decide::settle;
use crate::event::{Conclusion, RunEvent};
use crate::ids::{JobId, RunAttempt};
use crate::record::{Job, JobState, Rerun, Run, RunEnd};
use crate::time::Timestamp;

/// The run once GitHub has said that it is over; nothing if that changes nothing.
#[must_use]
pub fn completed(run: &Run, event: &RunEvent, now: Timestamp) -> Option<Run> {
    if run.completed.is_some() {
        return None;
    }
    let mut next = run.clone();
    next.completed = Some(RunEnd {
        at: now,
        conclusion: event.conclusion.unwrap_or(Conclusion::Unknown),
    });
    next.due_at = Some(now);
    Some(next)
}

/// Where GitHub says that the run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its latest attempt.
    pub attempt: RunAttempt,
    /// Whether that is over.
    pub completed: bool,
    /// How it ended.
    pub conclusion: Option<Conclusion>,
}

/// What to ask of GitHub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To run this job again.
    Job(JobId),
    /// To run all failed jobs again: a call for each job would lose all but the first.
    FailedJobs,
}

/// What to do about a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing more.
    Settled,
    /// Record this; there is nothing to ask of GitHub now.
    Record(Run),
    /// Record this, then ask GitHub.
    Ask(Run, Ask),
}

/// Decides on a run with interrupted jobs. `jobs` are the records of those jobs.
#[must_use]
pub fn decide(run: &Run, seen: Seen, jobs: &[Job], now: Timestamp) -> Next {
    if !matches!(run.rerun, Rerun::NotYet | Rerun::Intended) || run.interrupted.is_empty() {
        return if run.due_at.is_none() {
            Next::Settled
        } else {
            Next::Record(Run {
                due_at: None,
                ..run.clone()
            })
        };
    }
    if seen.attempt > run.key.attempt {
        // By our own call, whose answer was lost, or by a person: there is one either way.
        let rerun = if run.rerun == Rerun::Intended {
            Rerun::Accepted
        } else {
            declined("it was run again already")
        };
        return settled(run, rerun);
    }
    if !seen.completed {
        return Next::Record(Run {
            due_at: Some(now.after(until_next_look(run, now))),
            ..run.clone()
        });
    }
    if seen.conclusion == Some(Conclusion::Cancelled) {
        return settled(run, declined("the run was cancelled"));
    }
    if run.key.attempt.0 > MAX_RERUNS {
        return settled(run, declined("it was run again as often as is allowed"));
    }
    let again: Vec<&Job> = jobs.iter().filter(|job| needs_another_go(job)).collect();
    let ask = match again.as_slice() {
        [] => return settled(run, declined("its interrupted jobs ended well all the same")),
        [job] => Ask::Job(job.key.job),
        _ => Ask::FailedJobs,
    };
    Next::Ask(
        Run {
            rerun: Rerun::Intended,
            due_at: Some(now.after(RERUN_RETRY)),
            ..run.clone()
        },
        ask,
    )
}

/// Its end comes by webhook; a run that is long over and was not said to be is looked at seldom.
fn until_next_look(run: &Run, now: Timestamp) -> Duration {
    (now.since(run.at) / 4).clamp(RERUN_RETRY, LONGEST_PAUSE)
}

fn needs_another_go(job: &Job) -> bool {
    match &job.state {
        JobState::Finished { conclusion } => settle::was_interrupted(*conclusion),
        // The run is over, so the job is; its own end was not told to us yet.
        JobState::Queued | JobState::Launching | JobState::Running { .. } => true,
        JobState::Refused { .. } | JobState::Unlaunchable { .. } => false,
    }
}

fn declined(reason: &str) -> Rerun {
    Rerun::Declined {
        reason: reason.to_owned(),
    }
}

fn settled(run: &Run, rerun: Rerun) -> Next {
    Next::Record(Run {
        rerun,
        due_at: None,
        ..run.clone()
    })
}

/// The run once GitHub has taken the re-run.
#[must_use]
pub fn accepted(run: &Run) -> Run {
    Run {
        rerun: Rerun::Accepted,
        due_at: None,
        ..run.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::ending;
    use crate::decide::fixtures::{claimed, now, runner};
    use crate::ids::{JobKey, RunKey};
    use crate::record::RunnerState;

    fn finished(job: u64, conclusion: Conclusion) -> Job {
        Job {
            state: JobState::Finished { conclusion },
            ..claimed(job).0
        }
    }

    fn run(jobs: &[Job]) -> Run {
        let runner = runner(RunnerState::Busy);
        let mut run = None;
        for job in jobs {
            let key = RunKey {
                run: job.run,
                attempt: job.key.attempt,
            };
            run = ending::interrupt(run.as_ref(), &runner, job.key, key, now());
        }
        run.unwrap()
    }

    fn over(attempt: u32) -> Seen {
        Seen {
            attempt: RunAttempt(attempt),
            completed: true,
            conclusion: Some(Conclusion::Failure),
        }
    }

    #[test]
    fn one_interrupted_job_is_run_again_by_itself_and_several_together() {
        let one = [finished(11, Conclusion::Failure)];
        assert!(matches!(
            decide(&run(&one), over(1), &one, now()),
            Next::Ask(_, Ask::Job(JobId(11)))
        ));
        let two = [finished(11, Conclusion::Failure), finished(12, Conclusion::Failure)];
        assert!(matches!(
            decide(&run(&two), over(1), &two, now()),
            Next::Ask(_, Ask::FailedJobs)
        ));
    }

    #[test]
    fn a_run_that_is_not_over_is_waited_for() {
        let jobs = [finished(11, Conclusion::Failure)];
        let seen = Seen {
            completed: false,
            conclusion: None,
            ..over(1)
        };
        let Next::Record(run) = decide(&run(&jobs), seen, &jobs, now()) else {
            panic!()
        };
        assert_eq!((run.rerun, run.due_at), (Rerun::NotYet, Some(now().after(RERUN_RETRY))));
    }

    #[test]
    fn a_call_whose_answer_was_lost_is_not_made_twice() {
        let jobs = [finished(11, Conclusion::Failure)];
        let Next::Ask(intended, _) = decide(&run(&jobs), over(1), &jobs, now()) else {
            panic!()
        };
        let Next::Record(run) = decide(&intended, over(2), &jobs, now()) else {
            panic!()
        };
        assert_eq!((run.rerun, run.due_at), (Rerun::Accepted, None));
    }

    #[test]
    fn what_should_not_be_run_again_is_not() {
        let failed = [finished(11, Conclusion::Failure)];
        let passed = [finished(11, Conclusion::Success)];
        let cancelled = Seen {
            conclusion: Some(Conclusion::Cancelled),
            ..over(1)
        };
        let mut often = run(&failed);
        often.key.attempt = RunAttempt(MAX_RERUNS + 1);
        for (run, seen, jobs) in [
            (run(&failed), over(2), &failed),
            (run(&failed), cancelled, &failed),
            (run(&passed), over(1), &passed),
            (often, over(MAX_RERUNS + 1), &failed),
        ] {
            let Next::Record(run) = decide(&run, seen, jobs, now()) else {
                panic!("{run:?}")
            };
            assert!(
                matches!(run.rerun, Rerun::Declined { .. }) && run.due_at.is_none(),
                "{run:?}"
            );
        }
    }

    #[test]
    fn a_job_is_counted_as_interrupted_once() {
        let job = finished(11, Conclusion::Failure);
        let known = run(std::slice::from_ref(&job));
        let key = JobKey { ..job.key };
        assert_eq!(
            ending::interrupt(Some(&known), &runner(RunnerState::Busy), key, known.key, now()),
            None
        );
    }
}
