//! A runner's turn to be registered. GitHub takes so many registrations a minute, and the instances of a
//! burst boot together: each that asks is given a turn, some of them in the future, and comes back for it.

use std::time::Duration;

use dayfly_records::{BucketId, Runner, TokenTerms};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::time::Timestamp;

/// How long a turn is kept for an instance that comes late. Turns that are used much later than they were
/// given would come together.
const KEPT: Duration = Duration::from_secs(10);

/// How far ahead a turn may lie. Those for whom none is left ask again.
const FARTHEST: Duration = Duration::from_mins(30);

/// Where a runner stands in the queue to be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is its turn.
    Now,
    /// It is, after so long.
    After(Duration),
    /// It has none, and has to be given one.
    None,
}

/// Whose calls a registration is one of, and on what terms it is wanted.
#[must_use]
pub fn wanted(runner: &Runner) -> (BucketId, TokenTerms) {
    (
        BucketId::Registrations(runner.installation),
        TokenTerms::Within(FARTHEST),
    )
}

/// Whether it is a runner's turn.
#[must_use]
pub fn turn(runner: &Runner, now: Timestamp) -> Turn {
    match runner.register_at {
        Some(at) if at > now => Turn::After(at.since(now)),
        Some(at) if now.since(at) <= KEPT => Turn::Now,
        _ => Turn::None,
    }
}

/// The runner once it has a turn to come back for. Its instance has booted, so what is left of that time
/// does not run while it waits.
#[must_use]
pub fn waits(runner: &Runner, turn: Timestamp, now: Timestamp, deadlines: &Deadlines) -> Runner {
    let mut waits = Runner {
        register_at: Some(turn),
        heartbeat_at: Some(now),
        ..runner.clone()
    };
    waits.due_at = waits.next_look(deadlines);
    waits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{deadlines, now, runner};
    use dayfly_records::RunnerState;

    #[test]
    fn a_turn_is_waited_for_and_kept_for_a_moment() {
        let launched = runner(RunnerState::Launched);
        assert_eq!(turn(&launched, now()), Turn::None);
        let waiting = waits(&launched, now().after(Duration::from_secs(60)), now(), &deadlines());
        for (seconds, expected) in [
            (0, Turn::After(Duration::from_secs(60))),
            (59, Turn::After(Duration::from_secs(1))),
            (60, Turn::Now),
            (70, Turn::Now),
            (71, Turn::None),
        ] {
            let at = now().after(Duration::from_secs(seconds));
            assert_eq!(turn(&waiting, at), expected, "after {seconds} s");
        }
    }

    #[test]
    fn an_instance_that_waits_for_its_turn_is_not_taken_for_one_that_never_booted() {
        let launched = runner(RunnerState::Launched);
        let at = now().after(Duration::from_mins(20));
        let waiting = waits(&launched, at, now(), &deadlines());
        assert_eq!(waiting.due_at, Some(at.after(deadlines().boot)));
    }
}
