//! Histories full of faults on a virtual clock: the real handlers and the agent's real decisions, on
//! simulated ports, with the promises checked at every step. One seed is one history, the same on
//! every machine.

mod admission;
mod bought;
mod budgets;
mod checkin;
mod checks;
mod cloud;
mod config;
mod dice;
mod effects;
mod engine;
mod github;
mod guards;
mod hub;
mod inspect;
mod lambda;
mod limits;
mod machine;
mod many;
mod money;
mod month;
mod organisation;
mod plan;
mod ports;
mod process;
mod promises;
mod reads;
mod shrink;
mod sim;
mod table;
mod tally;
mod trouble;
mod turns;

pub use guards::Guard;
pub use many::{Many, first_broken, run_many};
pub use month::{Ends, Month, month};
pub use organisation::REPOSITORIES;
pub use plan::{Plan, clock};
pub use promises::Broken;
pub use reads::sweep_reads;
pub use shrink::shrink;
pub use tally::Tally;

use sim::Sim;

/// What became of a history.
pub struct Outcome {
    /// The promise that was broken, if one was.
    pub broken: Option<Broken>,
    /// What was counted.
    pub tally: Tally,
    /// The history, as a hash of its every line.
    pub hash: u64,
    /// The history in words, if it was asked for.
    pub told: Vec<String>,
}

/// Lets a history happen.
#[must_use]
pub fn run(plan: Plan, without: &[Guard], told: bool) -> Outcome {
    let sim = Sim::new(plan, without, told);
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
        told: sim.told(),
    }
}
