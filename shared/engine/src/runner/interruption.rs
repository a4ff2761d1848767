//! EC2's signals about a runner's instance: interruption, rebalance recommendation, start and end.

use dayfly_config::Rebalance;
use dayfly_records::steps::RunnerStep;
use dayfly_records::{Ending, Runner, RunnerState};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::time::Timestamp;

/// A signal from EC2 about an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ec2Signal {
    /// The interruption notice: EC2 takes the instance back in two minutes.
    Warning,
    /// The rebalance recommendation: an interruption is likely.
    Rebalance,
    /// The instance runs: from now on it is billed.
    Running,
    /// The instance is ending or has ended.
    Ended,
}

/// Returns the runner after a signal about something that happened at `happened_at`, or `None` if it changes
/// nothing.
#[must_use]
pub fn apply(
    runner: &Runner,
    signal: Ec2Signal,
    happened_at: Timestamp,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Option<Runner> {
    let mut next = runner.clone();
    match signal {
        Ec2Signal::Running => {
            next.running_at.get_or_insert(happened_at);
        }
        Ec2Signal::Rebalance => {
            next.rebalance_at.get_or_insert(now);
            // If GitHub gives it a job at this moment, it keeps that job: its registration is removed before
            // its instance ends.
            if runner.plan.spec().rebalance == Rebalance::DrainIfIdle && runner.job.is_none() {
                next.end(RunnerStep::Rebalance, Ending::Rebalanced, now, deadlines);
            }
        }
        Ec2Signal::Warning => {
            next.interrupted_at.get_or_insert(now);
            next.end(
                RunnerStep::Notice,
                unless_over(runner, Ending::Interrupted),
                now,
                deadlines,
            );
        }
        Ec2Signal::Ended => {
            next.instance_ended = true;
            next.instance_ended_at = Some(next.instance_ended_at.map_or(happened_at, |at| at.min(happened_at)));
            let ending = if runner.has_outlived(now, deadlines) && !runner.lost_heartbeat_first(now, deadlines) {
                Ending::Lifetime
            } else {
                unless_over(runner, Ending::Vanished)
            };
            next.end(RunnerStep::Vanish, ending, now, deadlines);
            if !runner.instance_ended && matches!(next.state, RunnerState::Done | RunnerState::Lost) {
                // Its end may have been left to EC2 until later.
                next.due_at = Some(now);
            }
            if next.state == RunnerState::Gone {
                next.due_at = next.next_deadline(deadlines);
            }
        }
    }
    (next != *runner).then_some(next)
}

/// Returns the runner once EC2 does not list its instance any more, or `None` if that changes nothing. EC2's own
/// signal, which may still come, says when it ended: not after `now`.
#[must_use]
pub fn no_longer_listed(runner: &Runner, now: Timestamp, deadlines: &Deadlines) -> Option<Runner> {
    let mut next = apply(runner, Ec2Signal::Ended, now, now, deadlines)?;
    next.instance_ended_at = runner.instance_ended_at;
    next.terminated_at.get_or_insert(now);
    if next.state == RunnerState::Gone {
        next.due_at = next.next_deadline(deadlines);
    }
    (next != *runner).then_some(next)
}

/// Returns the ending of an interruption: none of the job's if the instance reported before that the job had
/// ended. A job that ended because of the notice is also reported, maybe before the notice itself.
fn unless_over(runner: &Runner, interruption: Ending) -> Ending {
    if runner.job_over_at.is_some() && !runner.drained_before_job_end() {
        Ending::JobOver
    } else {
        interruption
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{deadlines, now, option, runner};
    use dayfly_records::LaunchPlan;
    use dayfly_types::capacity::InstanceLifecycle;

    #[test]
    fn instance_that_ends_with_its_lifetime_has_not_vanished() {
        let mut runner = runner(RunnerState::Busy);
        let end = runner.lifetime_deadline(&deadlines());
        runner.heartbeat_at = Some(end);
        for (at, ending) in [(now(), Ending::Vanished), (end, Ending::Lifetime)] {
            let next = apply(&runner, Ec2Signal::Ended, at, at, &deadlines()).unwrap();
            assert_eq!(next.ending, Some(ending));
        }
    }

    #[test]
    fn instance_that_fell_silent_before_its_lifetime_ended_has_vanished() {
        let mut runner = runner(RunnerState::Busy);
        let end = runner.lifetime_deadline(&deadlines());
        runner.heartbeat_at = Some(now());
        let next = apply(&runner, Ec2Signal::Ended, end, end, &deadlines()).unwrap();
        assert_eq!(next.ending, Some(Ending::Vanished));
    }

    #[test]
    fn signal_after_the_job_ended_is_no_interruption() {
        for signal in [Ec2Signal::Warning, Ec2Signal::Ended] {
            let mut runner = runner(RunnerState::Busy);
            runner.job_over_at = Some(now());
            let next = apply(&runner, signal, now(), now(), &deadlines()).unwrap();
            assert_eq!(next.ending, Some(Ending::JobOver), "{signal:?}");
        }
    }

    #[test]
    fn job_ended_by_the_notice_was_interrupted_in_any_order() {
        use dayfly_types::checkin::Stage::{DrainStarted, JobFinished};
        let second = |n: u64| now().after(std::time::Duration::from_secs(n));
        for (stages, ending) in [
            (
                vec![(DrainStarted, second(1)), (JobFinished, second(3))],
                Ending::Interrupted,
            ),
            (
                vec![(JobFinished, second(3)), (DrainStarted, second(1))],
                Ending::Interrupted,
            ),
            (
                vec![(JobFinished, second(1)), (DrainStarted, second(3))],
                Ending::JobOver,
            ),
            (vec![(JobFinished, second(1))], Ending::JobOver),
        ] {
            let mut runner = runner(RunnerState::Busy);
            (runner.job_over_at, runner.stages) = (Some(second(3)), stages);
            let next = apply(&runner, Ec2Signal::Warning, second(4), second(4), &deadlines()).unwrap();
            assert_eq!(next.ending, Some(ending), "{:?}", runner.stages);
        }
    }

    #[test]
    fn warning_drains_a_live_runner_and_leaves_an_ending_one() {
        use RunnerState::{Busy, Done, Draining, Enrolled, Gone, Launched, Lost};
        for (before, after) in [
            (Launched, Draining),
            (Enrolled, Draining),
            (Busy, Draining),
            (Draining, Draining),
            (Done, Done),
            (Lost, Lost),
            (Gone, Gone),
        ] {
            let heard = apply(&runner(before), Ec2Signal::Warning, now(), now(), &deadlines()).unwrap();
            assert_eq!((heard.state, heard.interrupted_at), (after, Some(now())), "{before:?}");
        }
    }

    #[test]
    fn second_warning_changes_nothing() {
        let once = apply(
            &runner(RunnerState::Busy),
            Ec2Signal::Warning,
            now(),
            now(),
            &deadlines(),
        )
        .unwrap();
        assert_eq!(apply(&once, Ec2Signal::Warning, now(), now(), &deadlines()), None);
    }

    #[test]
    fn rebalance_recommendation_only_marks_the_runner_by_default() {
        for state in [RunnerState::Launched, RunnerState::Enrolled, RunnerState::Busy] {
            let heard = apply(&runner(state), Ec2Signal::Rebalance, now(), now(), &deadlines()).unwrap();
            assert_eq!((heard.state, heard.rebalance_at), (state, Some(now())));
        }
    }

    #[test]
    fn rebalance_recommendation_ends_an_idle_runner_if_configured() {
        use RunnerState::{Busy, Done, Draining, Enrolled, Launched};
        for (before, after) in [(Launched, Done), (Enrolled, Done), (Busy, Busy), (Draining, Draining)] {
            let mut runner = runner(before);
            let mut option = option(InstanceLifecycle::Spot);
            option.spec.rebalance = Rebalance::DrainIfIdle;
            runner.plan = LaunchPlan::new(option, Vec::new());
            let heard = apply(&runner, Ec2Signal::Rebalance, now(), now(), &deadlines()).unwrap();
            assert_eq!((heard.state, heard.rebalance_at), (after, Some(now())), "{before:?}");
            let ended = after == Done;
            assert_eq!(heard.ending == Some(Ending::Rebalanced), ended, "{before:?}");
            assert_eq!(
                heard.may_take_job(),
                ended,
                "{before:?}: GitHub may have given it a job"
            );
        }
    }

    #[test]
    fn instance_that_ends_unasked_is_lost_and_due_at_once() {
        let lost = apply(&runner(RunnerState::Busy), Ec2Signal::Ended, now(), now(), &deadlines()).unwrap();
        assert_eq!(
            (lost.state, lost.ending, lost.due_at),
            (RunnerState::Lost, Some(Ending::Vanished), Some(now()))
        );
    }

    #[test]
    fn run_and_end_times_are_ec2s_even_if_they_arrive_late() {
        let late = now().after(deadlines().idle);
        let earlier = now().after(deadlines().heartbeat);
        let runs = apply(
            &runner(RunnerState::Launched),
            Ec2Signal::Running,
            now(),
            late,
            &deadlines(),
        )
        .unwrap();
        assert_eq!((runs.running_at, runs.state), (Some(now()), RunnerState::Launched));
        assert_eq!(apply(&runs, Ec2Signal::Running, late, late, &deadlines()), None);
        let terminated = apply(&runs, Ec2Signal::Ended, late, late, &deadlines()).unwrap();
        assert_eq!(terminated.instance_ended_at, Some(late));
        let shutting_down = apply(&terminated, Ec2Signal::Ended, earlier, late, &deadlines()).unwrap();
        assert_eq!(shutting_down.instance_ended_at, Some(earlier));
    }

    #[test]
    fn unlisted_instance_ended_when_ec2_says() {
        let seen = now().after(deadlines().heartbeat);
        let gone = no_longer_listed(&runner(RunnerState::Busy), seen, &deadlines()).unwrap();
        assert_eq!(
            (
                gone.state,
                gone.instance_ended,
                gone.instance_ended_at,
                gone.terminated_at
            ),
            (RunnerState::Lost, true, None, Some(seen))
        );
        assert_eq!(no_longer_listed(&gone, seen, &deadlines()), None);
        let told = apply(&gone, Ec2Signal::Ended, now(), seen, &deadlines()).unwrap();
        assert_eq!(told.instance_ended_at, Some(now()));
    }

    #[test]
    fn instance_left_to_ec2_is_due_as_soon_as_it_ended() {
        for state in [RunnerState::Done, RunnerState::Lost] {
            let mut left = runner(state);
            left.due_at = Some(now().after(deadlines().boot));
            let taken = apply(&left, Ec2Signal::Ended, now(), now(), &deadlines()).unwrap();
            assert_eq!((taken.state, taken.due_at), (state, Some(now())));
            assert_eq!(apply(&taken, Ec2Signal::Ended, now(), now(), &deadlines()), None);
        }
    }

    #[test]
    fn instance_that_ends_after_its_notice_was_interrupted() {
        let draining = apply(
            &runner(RunnerState::Busy),
            Ec2Signal::Warning,
            now(),
            now(),
            &deadlines(),
        )
        .unwrap();
        let lost = apply(&draining, Ec2Signal::Ended, now(), now(), &deadlines()).unwrap();
        assert_eq!(
            (lost.state, lost.ending),
            (RunnerState::Lost, Some(Ending::Interrupted))
        );
    }
}
