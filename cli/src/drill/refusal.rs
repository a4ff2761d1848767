//! The decision if a runner can be interrupted.

use dayfly_records::RunnerState;

use super::snapshot::{Placement, RunnerSnapshot};
use crate::error::Error;

/// Why a runner cannot be interrupted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotInterruptible {
    #[error("there is no runner `{0}`")]
    Unknown(String),
    #[error("the runner `{runner}` {state} already: {because}")]
    Ending {
        runner: String,
        /// `is gone`, `ends`.
        state: &'static str,
        because: String,
    },
    #[error("the runner `{0}` has no instance yet: wait for its launch")]
    NoInstance(String),
    #[error(
        "the runner `{runner}` is on an on-demand instance ({instance}), which EC2 never interrupts: choose one on spot capacity"
    )]
    OnDemand { runner: String, instance: String },
}

impl NotInterruptible {
    pub(super) fn into_error(self, live: String) -> Error {
        Error::NotInterruptible {
            reason: self.to_string(),
            live,
        }
    }
}

/// Returns the runner's instance if it can be interrupted.
pub(crate) fn interruptible_placement<'a>(
    name: &str,
    runner: Option<&'a RunnerSnapshot>,
) -> Result<&'a Placement, NotInterruptible> {
    let runner = runner.ok_or_else(|| NotInterruptible::Unknown(name.to_owned()))?;
    let name = runner.name.to_string();
    let ending = |state| NotInterruptible::Ending {
        runner: name.clone(),
        state,
        because: runner
            .ending
            .clone()
            .unwrap_or_else(|| "it was asked to end".to_owned()),
    };
    match runner.state {
        RunnerState::Gone => return Err(ending("is gone")),
        RunnerState::Draining | RunnerState::Done | RunnerState::Lost => return Err(ending("ends")),
        RunnerState::Requested | RunnerState::Launched | RunnerState::Enrolled | RunnerState::Busy => {}
    }
    match &runner.placement {
        None => Err(NotInterruptible::NoInstance(name)),
        Some(placement) if !placement.spot => Err(NotInterruptible::OnDemand {
            runner: name,
            instance: placement.instance.to_string(),
        }),
        Some(placement) => Ok(placement),
    }
}
