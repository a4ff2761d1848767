//! What EC2 says of an instance.

use dayfly_config::Rebalance;
use dayfly_records::lifecycle::RunnerStep;
use dayfly_records::{Ending, Runner, RunnerState};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::time::Timestamp;

/// What EC2 said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It takes the instance back in two minutes.
    Warning,
    /// It might.
    Rebalance,
    /// The instance runs: from now on it is billed.
    Running,
    /// The instance is ending or has ended.
    Ended,
}

/// The runner after EC2's word of what was so at `said`; nothing if the word changes nothing.
#[must_use]
pub fn heard(runner: &Runner, word: Word, said: Timestamp, now: Timestamp, deadlines: &Deadlines) -> Option<Runner> {
    let mut next = runner.clone();
    match word {
        Word::Running => {
            next.running_at.get_or_insert(said);
        }
        Word::Rebalance => {
            next.rebalance_at.get_or_insert(now);
            // GitHub may be giving it a job at this moment: then it keeps it, because its registration is
            // removed before its instance ends.
            if runner.plan.spec().rebalance == Rebalance::DrainIfIdle && runner.job.is_none() {
                next.end(RunnerStep::Rebalance, Ending::Rebalanced, now, deadlines);
            }
        }
        Word::Warning => {
            next.interrupted_at.get_or_insert(now);
            next.end(
                RunnerStep::Notice,
                unless_over(runner, Ending::Interrupted),
                now,
                deadlines,
            );
        }
        Word::Ended => {
            next.instance_ended = true;
            next.instance_ended_at = Some(next.instance_ended_at.map_or(said, |at| at.min(said)));
            let ending = if runner.has_outlived(now, deadlines) && !runner.fell_silent_first(now, deadlines) {
                Ending::Lifetime
            } else {
                unless_over(runner, Ending::Vanished)
            };
            next.end(RunnerStep::Vanish, ending, now, deadlines);
            if !runner.instance_ended && matches!(next.state, RunnerState::Done | RunnerState::Lost) {
                // It may have been left to EC2 until later.
                next.due_at = Some(now);
            }
            if next.state == RunnerState::Gone {
                next.due_at = next.next_look(deadlines);
            }
        }
    }
    (next != *runner).then_some(next)
}

/// The runner once EC2 names its instance no more; nothing if that changes nothing. When it ended is left to
/// EC2's word, which may still be on its way: it was not after `now`.
#[must_use]
pub fn named_no_more(runner: &Runner, now: Timestamp, deadlines: &Deadlines) -> Option<Runner> {
    let mut next = heard(runner, Word::Ended, now, now, deadlines)?;
    next.instance_ended_at = runner.instance_ended_at;
    next.terminated_at.get_or_insert(now);
    if next.state == RunnerState::Gone {
        next.due_at = next.next_look(deadlines);
    }
    (next != *runner).then_some(next)
}

/// What an interruption is to a runner: nothing to its job, if the instance has said that this had
/// ended before. It says so, too, of a job that it had end because of the notice, and may be heard of
/// that before it is of the notice.
fn unless_over(runner: &Runner, interruption: Ending) -> Ending {
    if runner.job_over_at.is_some() && !runner.had_its_job_end() {
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
    fn an_instance_that_ends_at_the_end_of_its_lifetime_has_not_vanished() {
        let mut runner = runner(RunnerState::Busy);
        let end = runner.lifetime_deadline(&deadlines());
        runner.heartbeat_at = Some(end);
        for (at, ending) in [(now(), Ending::Vanished), (end, Ending::Lifetime)] {
            let next = heard(&runner, Word::Ended, at, at, &deadlines()).unwrap();
            assert_eq!(next.ending, Some(ending));
        }
    }

    #[test]
    fn an_instance_that_fell_silent_before_the_end_of_its_lifetime_has_vanished() {
        let mut runner = runner(RunnerState::Busy);
        let end = runner.lifetime_deadline(&deadlines());
        runner.heartbeat_at = Some(now());
        let next = heard(&runner, Word::Ended, end, end, &deadlines()).unwrap();
        assert_eq!(next.ending, Some(Ending::Vanished));
    }

    #[test]
    fn what_befalls_an_instance_after_its_job_is_no_interruption_of_it() {
        for word in [Word::Warning, Word::Ended] {
            let mut runner = runner(RunnerState::Busy);
            runner.job_over_at = Some(now());
            let next = heard(&runner, word, now(), now(), &deadlines()).unwrap();
            assert_eq!(next.ending, Some(Ending::JobOver), "{word:?}");
        }
    }

    #[test]
    fn a_job_that_ended_because_of_the_notice_was_interrupted_whichever_is_heard_first() {
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
            let next = heard(&runner, Word::Warning, second(4), second(4), &deadlines()).unwrap();
            assert_eq!(next.ending, Some(ending), "{:?}", runner.stages);
        }
    }

    #[test]
    fn a_warning_drains_a_runner_that_lives_and_leaves_one_that_ends() {
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
            let heard = heard(&runner(before), Word::Warning, now(), now(), &deadlines()).unwrap();
            assert_eq!((heard.state, heard.interrupted_at), (after, Some(now())), "{before:?}");
        }
    }

    #[test]
    fn a_second_warning_changes_nothing() {
        let once = heard(&runner(RunnerState::Busy), Word::Warning, now(), now(), &deadlines()).unwrap();
        assert_eq!(heard(&once, Word::Warning, now(), now(), &deadlines()), None);
    }

    #[test]
    fn a_rebalance_recommendation_only_marks_unless_more_is_wanted() {
        for state in [RunnerState::Launched, RunnerState::Enrolled, RunnerState::Busy] {
            let heard = heard(&runner(state), Word::Rebalance, now(), now(), &deadlines()).unwrap();
            assert_eq!((heard.state, heard.rebalance_at), (state, Some(now())));
        }
    }

    #[test]
    fn a_rebalance_recommendation_ends_a_runner_without_a_job_where_that_is_wanted() {
        use RunnerState::{Busy, Done, Draining, Enrolled, Launched};
        for (before, after) in [(Launched, Done), (Enrolled, Done), (Busy, Busy), (Draining, Draining)] {
            let mut runner = runner(before);
            let mut option = option(InstanceLifecycle::Spot);
            option.spec.rebalance = Rebalance::DrainIfIdle;
            runner.plan = LaunchPlan::new(option, Vec::new());
            let heard = heard(&runner, Word::Rebalance, now(), now(), &deadlines()).unwrap();
            assert_eq!((heard.state, heard.rebalance_at), (after, Some(now())), "{before:?}");
            let ended = after == Done;
            assert_eq!(heard.ending == Some(Ending::Rebalanced), ended, "{before:?}");
            assert_eq!(
                heard.may_be_taken(),
                ended,
                "{before:?}: GitHub may have given it a job"
            );
        }
    }

    #[test]
    fn an_instance_that_ends_unasked_is_lost_and_due_at_once() {
        let lost = heard(&runner(RunnerState::Busy), Word::Ended, now(), now(), &deadlines()).unwrap();
        assert_eq!(
            (lost.state, lost.ending, lost.due_at),
            (RunnerState::Lost, Some(Ending::Vanished), Some(now()))
        );
    }

    #[test]
    fn when_an_instance_ran_and_ended_is_what_ec2_says_of_it_whenever_that_comes() {
        let late = now().after(deadlines().idle);
        let earlier = now().after(deadlines().heartbeat);
        let runs = heard(&runner(RunnerState::Launched), Word::Running, now(), late, &deadlines()).unwrap();
        assert_eq!((runs.running_at, runs.state), (Some(now()), RunnerState::Launched));
        assert_eq!(heard(&runs, Word::Running, late, late, &deadlines()), None);
        let terminated = heard(&runs, Word::Ended, late, late, &deadlines()).unwrap();
        assert_eq!(terminated.instance_ended_at, Some(late));
        let shutting_down = heard(&terminated, Word::Ended, earlier, late, &deadlines()).unwrap();
        assert_eq!(shutting_down.instance_ended_at, Some(earlier));
    }

    #[test]
    fn an_instance_that_is_named_no_more_ended_when_ec2_says_and_not_when_that_was_seen() {
        let seen = now().after(deadlines().heartbeat);
        let gone = named_no_more(&runner(RunnerState::Busy), seen, &deadlines()).unwrap();
        assert_eq!(
            (
                gone.state,
                gone.instance_ended,
                gone.instance_ended_at,
                gone.terminated_at
            ),
            (RunnerState::Lost, true, None, Some(seen))
        );
        assert_eq!(named_no_more(&gone, seen, &deadlines()), None);
        let told = heard(&gone, Word::Ended, now(), seen, &deadlines()).unwrap();
        assert_eq!(told.instance_ended_at, Some(now()));
    }

    #[test]
    fn an_instance_that_was_left_to_ec2_is_due_as_soon_as_that_has_taken_it() {
        for state in [RunnerState::Done, RunnerState::Lost] {
            let mut left = runner(state);
            left.due_at = Some(now().after(deadlines().boot));
            let taken = heard(&left, Word::Ended, now(), now(), &deadlines()).unwrap();
            assert_eq!((taken.state, taken.due_at), (state, Some(now())));
            assert_eq!(heard(&taken, Word::Ended, now(), now(), &deadlines()), None);
        }
    }

    #[test]
    fn an_instance_that_ends_after_its_notice_was_interrupted() {
        let draining = heard(&runner(RunnerState::Busy), Word::Warning, now(), now(), &deadlines()).unwrap();
        let lost = heard(&draining, Word::Ended, now(), now(), &deadlines()).unwrap();
        assert_eq!(
            (lost.state, lost.ending),
            (RunnerState::Lost, Some(Ending::Interrupted))
        );
    }
}
