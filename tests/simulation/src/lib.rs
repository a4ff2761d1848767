//! Histories full of faults on a virtual clock: the real handlers and the agent's real decisions, on
//! simulated ports, with the promises checked at every step. One seed is one history, the same on every
//! machine.

mod admission;
mod budgets;
mod checkin;
mod checks;
mod cloud;
mod config;
mod coverage;
mod dice;
mod effects;
mod engine;
mod faults;
mod github;
mod github_limits;
mod guards;
mod hub;
mod inspect;
mod lambda;
mod machine;
mod many;
mod money;
mod month;
mod organisation;
mod plan;
mod policy_limits;
mod ports;
mod process;
mod promises;
mod purchases;
mod reads;
mod recovery;
mod shrink;
mod sim;
mod table;
mod tally;

pub use guards::Guard;
pub use many::{Many, Stop, first_broken, run_many};
pub use month::{JobEnds, Month, month};
pub use organisation::REPOSITORIES;
pub use plan::{Plan, clock};
pub use promises::Broken;
pub use reads::sweep_reads;
pub use recovery::Recovery;
pub use shrink::shrink;
pub use table::Table as SimulatedTable;
pub use tally::Tally;

use sim::Sim;

/// The result of a history.
pub struct Outcome {
    /// The promise that was broken, if any.
    pub broken: Option<Broken>,
    pub tally: Tally,
    /// A hash of every line of the history.
    pub hash: u64,
    /// The lines of the history, if requested.
    pub lines: Vec<String>,
}

/// Runs a history.
#[must_use]
pub fn run(plan: Plan, without: &[Guard], keep_lines: bool) -> Outcome {
    let sim = Sim::new(plan, without, keep_lines);
    sim.run(&|_| {});
    let outcome = outcome(&sim);
    sim.end_all();
    outcome
}

fn outcome(sim: &Sim) -> Outcome {
    Outcome {
        broken: sim.promises.borrow().broken.clone(),
        tally: sim.tally.borrow().clone(),
        hash: sim.hash(),
        lines: sim.lines(),
    }
}
