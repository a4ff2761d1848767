//! Registration turns. GitHub takes a limited number of registrations a minute, and the instances of a burst boot
//! together: each gets a turn, maybe in the future, and comes back for it.

use std::time::Duration;

use dayfly_records::{BucketId, Runner, TokenRequest};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::time::Timestamp;

/// How long a turn is kept for a late instance. Turns that are used much later than given would come together.
const KEPT: Duration = Duration::from_secs(10);

/// How far ahead a turn may lie. An instance that gets none asks again.
const FARTHEST: Duration = Duration::from_mins(30);

/// A runner's turn to register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationTurn {
    Now,
    After(Duration),
    /// It has none yet.
    None,
}

/// Returns the bucket and the kind of token that a registration needs.
#[must_use]
pub fn token_request(runner: &Runner) -> (BucketId, TokenRequest) {
    (
        BucketId::Registrations(runner.installation),
        TokenRequest::Within(FARTHEST),
    )
}

#[must_use]
pub fn turn(runner: &Runner, now: Timestamp) -> RegistrationTurn {
    match runner.register_at {
        Some(at) if at > now => RegistrationTurn::After(at.since(now)),
        Some(at) if now.since(at) <= KEPT => RegistrationTurn::Now,
        _ => RegistrationTurn::None,
    }
}

/// Returns the runner with a turn to come back for. Its instance has booted, so the boot deadline does not run
/// while it waits.
#[must_use]
pub fn wait_for_turn(runner: &Runner, turn: Timestamp, now: Timestamp, deadlines: &Deadlines) -> Runner {
    let mut waits = Runner {
        register_at: Some(turn),
        heartbeat_at: Some(now),
        ..runner.clone()
    };
    waits.due_at = waits.next_deadline(deadlines);
    waits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{deadlines, now, runner};
    use dayfly_records::RunnerState;

    #[test]
    fn turn_is_waited_for_and_kept_for_a_moment() {
        let launched = runner(RunnerState::Launched);
        assert_eq!(turn(&launched, now()), RegistrationTurn::None);
        let waiting = wait_for_turn(&launched, now().after(Duration::from_secs(60)), now(), &deadlines());
        for (seconds, expected) in [
            (0, RegistrationTurn::After(Duration::from_secs(60))),
            (59, RegistrationTurn::After(Duration::from_secs(1))),
            (60, RegistrationTurn::Now),
            (70, RegistrationTurn::Now),
            (71, RegistrationTurn::None),
        ] {
            let at = now().after(Duration::from_secs(seconds));
            assert_eq!(turn(&waiting, at), expected, "after {seconds} s");
        }
    }

    #[test]
    fn instance_waiting_for_its_turn_has_not_failed_to_boot() {
        let launched = runner(RunnerState::Launched);
        let at = now().after(Duration::from_mins(20));
        let waiting = wait_for_turn(&launched, at, now(), &deadlines());
        assert_eq!(waiting.due_at, Some(at.after(deadlines().boot)));
    }
}
