//! Counts runners.

use dayfly_records::{Record, Runner, RunnerState};

use crate::{Metric, RunnerPhase};

/// The number of runners in each phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runners {
    pub launching: u64,
    pub live: u64,
}

impl Runners {
    #[must_use]
    pub fn count<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut counted = Self::default();
        for record in records {
            let Record::Runner(runner) = record else { continue };
            match phase(runner) {
                Some(RunnerPhase::Launching) => counted.launching += 1,
                Some(RunnerPhase::Live) => counted.live += 1,
                None => {}
            }
        }
        counted
    }

    pub fn publish(self) {
        for (phase, number) in [(RunnerPhase::Launching, self.launching), (RunnerPhase::Live, self.live)] {
            Metric::Runners(phase).publish(number);
        }
    }
}

/// Returns a runner's phase, or `None` if it waits for its turn or has no instance.
fn phase(runner: &Runner) -> Option<RunnerPhase> {
    match runner.state {
        RunnerState::Requested => (!runner.waits_at_gate()).then_some(RunnerPhase::Launching),
        RunnerState::Launched => Some(RunnerPhase::Launching),
        RunnerState::Enrolled | RunnerState::Busy | RunnerState::Draining | RunnerState::Done | RunnerState::Lost => {
            (runner.launched.is_some() && !runner.instance_ended).then_some(RunnerPhase::Live)
        }
        RunnerState::Gone => None,
    }
}

#[cfg(test)]
mod tests {
    use dayfly_records::GateState;

    use super::*;
    use crate::changes::tests::busy;

    #[test]
    fn a_runner_is_launching_until_registered_then_live() {
        let of = |state, change: fn(&mut Runner)| {
            let mut runner = busy();
            runner.state = state;
            change(&mut runner);
            phase(&runner)
        };
        let nothing: fn(&mut Runner) = |_| {};
        for (state, change, expected) in [
            (RunnerState::Requested, nothing, Some(RunnerPhase::Launching)),
            (RunnerState::Requested, |it| it.gate = Some(GateState::Waiting), None),
            (RunnerState::Requested, |it| it.gate = Some(GateState::Called), None),
            (RunnerState::Launched, nothing, Some(RunnerPhase::Launching)),
            (RunnerState::Enrolled, nothing, Some(RunnerPhase::Live)),
            (RunnerState::Busy, nothing, Some(RunnerPhase::Live)),
            (RunnerState::Draining, nothing, Some(RunnerPhase::Live)),
            (RunnerState::Done, nothing, Some(RunnerPhase::Live)),
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
        assert_eq!(Runners::count(&records), Runners { launching: 1, live: 2 });
        assert_eq!(Runners::count([]), Runners::default());
    }
}
