//! Whether a runner can be interrupted: a function of what is known of it, and of nothing else.

use dayfly_records::RunnerState;

use super::seen::{Placed, Seen};

/// Why a runner cannot be interrupted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The table has none of this name.
    #[error("there is no runner `{0}`")]
    Unknown(String),
    /// It is gone, or on its way.
    #[error("the runner `{runner}` {state} already: {because}")]
    Ending {
        /// Its name.
        runner: String,
        /// `is gone`, `ends`.
        state: &'static str,
        /// Why.
        because: String,
    },
    /// It has no instance yet.
    #[error("the runner `{0}` has no instance yet: wait until it is launched")]
    NoInstance(String),
    /// Its instance is not on spot.
    #[error(
        "the runner `{runner}` is on an on-demand instance ({instance}), which EC2 never takes back: only one on spot can be interrupted"
    )]
    OnDemand {
        /// Its name.
        runner: String,
        /// Its instance.
        instance: String,
    },
}

/// Where the runner is, if it can be interrupted there.
pub(crate) fn choose<'a>(name: &str, runner: Option<&'a Seen>) -> Result<&'a Placed, Refusal> {
    let runner = runner.ok_or_else(|| Refusal::Unknown(name.to_owned()))?;
    let name = runner.name.to_string();
    let ending = |state| Refusal::Ending {
        runner: name.clone(),
        state,
        because: runner.ending.clone().unwrap_or_else(|| "it was told to".to_owned()),
    };
    match runner.state {
        RunnerState::Gone => return Err(ending("is gone")),
        RunnerState::Draining | RunnerState::Done | RunnerState::Lost => return Err(ending("ends")),
        RunnerState::Requested | RunnerState::Launched | RunnerState::Enrolled | RunnerState::Busy => {}
    }
    match &runner.placed {
        None => Err(Refusal::NoInstance(name)),
        Some(placed) if !placed.spot => Err(Refusal::OnDemand {
            runner: name,
            instance: placed.instance.to_string(),
        }),
        Some(placed) => Ok(placed),
    }
}
