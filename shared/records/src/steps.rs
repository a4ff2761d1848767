//! The tables of steps: the states of a runner, a job and an interrupted run, which step leads from one to
//! the next, and why. All changes of a state go through these tables, and the diagrams in
//! `docs/lifecycle.md` are drawn from them.

mod diagram;
mod job;
mod run;
mod runner;

use std::fmt::Debug;

pub use diagram::document;
pub use job::{JobKind, JobStep};
pub use run::{RerunKind, RunStep};
pub use runner::RunnerStep;

/// A step that moves a record from one state to another.
pub trait LifecycleStep: Copy + Debug + Eq + 'static {
    type State: Copy + Debug + Eq + 'static;

    /// All steps, in the order in which a record usually takes them.
    const ALL: &'static [Self];

    /// The states that the step may lead from; none for a step that creates the record.
    fn from(self) -> &'static [Self::State];

    /// The state that the step leads to.
    fn to(self) -> Self::State;

    /// The reason, which completes the sentence "because …".
    fn because(self) -> &'static str;

    fn leads_from(self, state: Self::State) -> bool {
        self.from().contains(&state)
    }
}

/// Writes a table of steps: `/// doc` `Name: [from, …] => to, "because …";`.
macro_rules! steps {
    (
        $(#[$meta:meta])* $name:ident over $state:ident;
        $($(#[$step_meta:meta])* $step:ident: [$($from:ident),*] => $to:ident, $because:literal;)+
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $(#[doc = concat!("Because ", $because, ".")] $(#[$step_meta])* $step,)+
        }

        impl $crate::steps::LifecycleStep for $name {
            type State = $state;

            const ALL: &'static [Self] = &[$(Self::$step,)+];

            fn from(self) -> &'static [$state] {
                match self {
                    $(Self::$step => &[$($state::$from,)*],)+
                }
            }

            fn to(self) -> $state {
                match self {
                    $(Self::$step => $state::$to,)+
                }
            }

            fn because(self) -> &'static str {
                match self {
                    $(Self::$step => $because,)+
                }
            }
        }
    };
}
use steps;
