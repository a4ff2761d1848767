//! What to do: one module per kind of event, each a function of state, event and time.

pub mod admission;
pub mod caps;
pub mod checkin;
pub mod comment;
pub mod ending;
pub mod entries;
pub mod fleet;
pub mod giving_up;
pub mod interruption;
pub mod ladder;
pub mod launch;
pub mod news;
pub mod notice;
pub mod outcome;
pub mod patrol;
pub mod pools;
pub mod price_limit;
pub mod registration;
pub mod rerun;
pub mod settle;
pub mod settlement;
pub mod story;
pub mod sweep;
pub mod thresholds;
pub mod together;
pub mod turns;
pub mod turnstile;
pub mod usage;

#[cfg(test)]
pub(crate) mod fixtures;
