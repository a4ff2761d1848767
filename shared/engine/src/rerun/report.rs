//! The check run of an interrupted job: what happened, and what follows.

use dayfly_records::{AfterInterruption, CheckContent, CheckRun, Ending, Job, Launched, Rerun, Run, Runner};
use dayfly_types::capacity::{InstanceLifecycle, Pool};
use dayfly_types::ids::RunAttempt;
use dayfly_types::time::Timestamp;

use crate::rerun;

/// Returns the check run of a job whose runner was interrupted.
#[must_use]
pub fn interrupted(runner: &Runner, next: AfterInterruption, now: Timestamp) -> CheckContent {
    CheckContent::Interrupted {
        at: runner.interrupted_at.unwrap_or(now),
        what: what_happened(runner),
        ran_on: runner.launched.as_ref().map(ran_on),
        next,
    }
}

fn ran_on(launched: &Launched) -> (Pool, InstanceLifecycle) {
    (launched.pool(), launched.lifecycle)
}

/// Returns what happened to a runner, as the beginning of a sentence, with the known times.
fn what_happened(runner: &Runner) -> String {
    let heard = runner.heartbeat_at.map_or_else(String::new, |at| {
        format!("; the last heartbeat came at {} UTC", at.utc_time())
    });
    let recommended = runner.rebalance_at.map_or_else(String::new, |at| {
        format!(", after a rebalance recommendation at {} UTC", at.utc_time())
    });
    match (&runner.ending, runner.interrupted_at) {
        (_, Some(at)) => format!(
            "EC2 gave notice at {} UTC that it takes the instance back{recommended}",
            at.utc_time()
        ),
        (Some(Ending::Vanished), None) => {
            format!("the instance ended without a notice, and dayfly had not ended it{recommended}{heard}")
        }
        (Some(Ending::HeartbeatLost), None) => format!("the instance stopped sending heartbeats{recommended}{heard}"),
        (ending, None) => {
            let words = ending.as_ref().map_or("the instance was lost", Ending::words);
            format!("{words}{recommended}{heard}")
        }
    }
}

/// Whether the end of a runner without a job is an interruption, which is worth a report.
#[must_use]
pub fn is_interruption(runner: &Runner) -> bool {
    let by_ec2 = |ending: &Ending| matches!(ending, Ending::Interrupted | Ending::Vanished | Ending::Rebalanced);
    runner.launched.is_some() && runner.ending.as_ref().is_some_and(by_ec2)
}

/// Returns the check run of an interrupted job after a decision on its run, or `None` if it says so already.
#[must_use]
pub fn of_run(known: Option<&CheckRun>, job: &Job, run: &Run, now: Timestamp) -> Option<CheckRun> {
    let then = match &run.rerun {
        Rerun::NotYet | Rerun::Intended => AfterInterruption::WhenRunIsOver,
        Rerun::Accepted => AfterInterruption::Rerun {
            attempt: RunAttempt(run.key.attempt.0 + 1),
            with_failed: run.with_failed,
        },
        Rerun::Declined { reason } => AfterInterruption::NotRerun { reason: reason.clone() },
    };
    let content = match known.map(|known| &known.content) {
        Some(CheckContent::Interrupted { next, .. }) if *next == then => return None,
        Some(CheckContent::Interrupted { at, what, ran_on, .. }) => CheckContent::Interrupted {
            at: *at,
            what: what.clone(),
            ran_on: ran_on.clone(),
            next: then,
        },
        _ => CheckContent::Interrupted {
            at: run.at,
            what: "the instance was lost".to_owned(),
            ran_on: None,
            next: then,
        },
    };
    Some(CheckRun::of(known.cloned(), job, content, now))
}

/// Returns the check run of a job in the attempt after `previous`, or `None` unless we re-ran it because of this job.
#[must_use]
pub fn rerun_content(previous: &Run, job: &Job, lifecycle: InstanceLifecycle) -> Option<CheckContent> {
    let is_ours = rerun::our_rerun_count(previous).is_some() && previous.names.contains(&job.name);
    is_ours.then_some(CheckContent::Rerun {
        of: previous.key.attempt,
        lifecycle,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{claimed, now, runner};
    use crate::runner::ending;
    use dayfly_records::RunnerState;
    use dayfly_types::ids::RunKey;

    fn lost(ending: Ending) -> Runner {
        Runner {
            ending: Some(ending),
            ..runner(RunnerState::Busy)
        }
    }

    fn run() -> Run {
        let runner = lost(Ending::Interrupted);
        let key = RunKey {
            run: runner.run,
            attempt: RunAttempt(1),
        };
        ending::add_interrupted_job(None, None, &runner, (runner.wanted_by, Some("test")), key, now()).unwrap()
    }

    #[test]
    fn report_names_the_times_and_the_pool() {
        let mut noticed = lost(Ending::Interrupted);
        noticed.interrupted_at = Some(now());
        let mut warned = lost(Ending::Vanished);
        warned.rebalance_at = Some(now());
        warned.heartbeat_at = Some(now());
        for (runner, expected) in [
            (
                noticed,
                "EC2 gave notice at 08:00:00 UTC that it takes the instance back",
            ),
            (
                warned,
                "the instance ended without a notice, and dayfly had not ended it, after a rebalance recommendation \
                 at 08:00:00 UTC; the last heartbeat came at 08:00:00 UTC",
            ),
            (lost(Ending::HeartbeatLost), "the instance stopped sending heartbeats"),
        ] {
            let content = interrupted(&runner, AfterInterruption::WhenRunIsOver, now());
            let CheckContent::Interrupted { what, ran_on, .. } = content else {
                panic!("{content:?}")
            };
            let (pool, lifecycle) = ran_on.unwrap();
            assert_eq!(what, expected);
            assert_eq!(
                (pool.to_string().as_str(), lifecycle),
                ("g5.xlarge in eu-west-1a", InstanceLifecycle::Spot)
            );
        }
    }

    #[test]
    fn consequence_is_added_to_the_report_once() {
        let job = claimed(11).0;
        let content = interrupted(&lost(Ending::Vanished), AfterInterruption::WhenRunIsOver, now());
        let first = CheckRun::of(None, &job, content, now());
        assert_eq!(of_run(Some(&first), &job, &run(), now()), None, "it still waits");
        let accepted = Run {
            with_failed: true,
            ..rerun::accepted(&run())
        };
        let second = of_run(Some(&first), &job, &accepted, now()).unwrap();
        let CheckContent::Interrupted { ran_on, next, .. } = &second.content else {
            panic!("{second:?}")
        };
        let again = AfterInterruption::Rerun {
            attempt: RunAttempt(2),
            with_failed: true,
        };
        assert_eq!((next, ran_on.is_some()), (&again, true));
        assert_eq!(of_run(Some(&second), &job, &accepted, now()), None);
        let superseded = rerun::superseded(&run(), dayfly_types::ids::RunId(77));
        let third = of_run(None, &job, &superseded, now()).unwrap();
        assert!(matches!(
            third.content,
            CheckContent::Interrupted {
                next: AfterInterruption::NotRerun { .. },
                ..
            }
        ));
    }

    #[test]
    fn only_the_interrupted_job_is_reported_as_a_rerun() {
        let job = claimed(12).0;
        let other = Job {
            name: "other".to_owned(),
            ..job.clone()
        };
        let accepted = rerun::accepted(&run());
        let content = rerun_content(&accepted, &job, InstanceLifecycle::OnDemand);
        assert!(matches!(content, Some(CheckContent::Rerun { of: RunAttempt(1), .. })));
        assert_eq!(rerun_content(&accepted, &other, InstanceLifecycle::Spot), None);
        assert_eq!(
            rerun_content(&run(), &job, InstanceLifecycle::Spot),
            None,
            "a person ran it again"
        );
    }
}
