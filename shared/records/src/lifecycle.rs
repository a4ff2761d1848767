//! The lives of a runner, a job and an interrupted run: which states there are, what leads from one
//! to the next, and why. Whatever changes a state asks these tables; the diagrams in
//! `docs/lifecycle.md` are made of them.

mod diagram;
mod job;
mod run;
mod runner;

use std::fmt::Debug;

pub use diagram::document;
pub use job::{JobKind, JobStep};
pub use run::{RerunKind, RunStep};
pub use runner::RunnerStep;

/// Something that moves a record from one state to another.
pub trait Step: Copy + Debug + Eq + 'static {
    /// The states of the record.
    type State: Copy + Debug + Eq + 'static;

    /// All there are, in the order in which they are met.
    const ALL: &'static [Self];

    /// The states that it may lead away from; none for the step that makes the record.
    fn from(self) -> &'static [Self::State];

    /// The state that it leads to.
    fn to(self) -> Self::State;

    /// Why, in words that end the sentence "because …".
    fn because(self) -> &'static str;

    /// Whether it leads away from `state`.
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

        impl $crate::lifecycle::Step for $name {
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
