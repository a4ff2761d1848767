//! How many runners there are.

use dayfly_records::{Record, Runner, RunnerState};

use crate::{Metric, Standing};

/// How many runners there are, by where they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runners {
    /// Those whose instance is asked for, or starts.
    pub launching: u64,
    /// Those that are registered, up to their end.
    pub live: u64,
}

impl Runners {
    /// Those among these records.
    #[must_use]
    pub fn among<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut counted = Self::default();
        for record in records {
            let Record::Runner(runner) = record else { continue };
            match standing(runner) {
                Some(Standing::Launching) => counted.launching += 1,
                Some(Standing::Live) => counted.live += 1,
                None => {}
            }
        }
        counted
    }

    /// Tells them.
    pub fn tell(self) {
        for (standing, number) in [(Standing::Launching, self.launching), (Standing::Live, self.live)] {
            Metric::Runners(standing).tell(number);
        }
    }
}

/// Where a runner stands; nothing if it waits for its turn, or has no instance that could run.
fn standing(runner: &Runner) -> Option<Standing> {
    match runner.state {
        RunnerState::Requested => (!runner.waits_for_its_turn()).then_some(Standing::Launching),
        RunnerState::Launched => Some(Standing::Launching),
        RunnerState::Enrolled | RunnerState::Busy | RunnerState::Draining | RunnerState::Done | RunnerState::Lost => {
            (runner.launched.is_some() && !runner.instance_ended).then_some(Standing::Live)
        }
        RunnerState::Gone => None,
    }
}

#[cfg(test)]
mod tests {
    use dayfly_records::Turn;

    use super::*;
    use crate::changes::tests::busy;

    #[test]
    fn a_runner_is_launching_until_it_is_registered_and_live_until_its_instance_ends() {
        let of = |state, change: fn(&mut Runner)| {
            let mut runner = busy();
            runner.state = state;
            change(&mut runner);
            standing(&runner)
        };
        let nothing: fn(&mut Runner) = |_| {};
        for (state, change, expected) in [
            (RunnerState::Requested, nothing, Some(Standing::Launching)),
            (RunnerState::Requested, |it| it.turn = Some(Turn::Waits), None),
            (RunnerState::Requested, |it| it.turn = Some(Turn::Asks), None),
            (RunnerState::Launched, nothing, Some(Standing::Launching)),
            (RunnerState::Enrolled, nothing, Some(Standing::Live)),
            (RunnerState::Busy, nothing, Some(Standing::Live)),
            (RunnerState::Draining, nothing, Some(Standing::Live)),
            (RunnerState::Done, nothing, Some(Standing::Live)),
            (RunnerState::Done, |it| it.launched = None, None),
            (RunnerState::Lost, |it| it.instance_ended = true, None),
            (RunnerState::Gone, nothing, None),
        ] {
            assert_eq!(of(state, change), expected, "{state:?}");
        }
    }

    #[test]
    fn all_runners_among_the_records_are_counted() {
        let with = |state| Record::from(Runner { state, ..busy() });
        let records = [
            RunnerState::Launched,
            RunnerState::Busy,
            RunnerState::Gone,
            RunnerState::Enrolled,
        ]
        .map(with);
        assert_eq!(Runners::among(&records), Runners { launching: 1, live: 2 });
        assert_eq!(Runners::among([]), Runners::default());
    }
}
