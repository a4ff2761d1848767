//! The steps of a run in which a job was interrupted.

use super::steps;
use crate::Rerun;

/// The state of the re-run of an interrupted run, without the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RerunKind {
    NotYet,
    Intended,
    Accepted,
    Declined,
}

impl From<&Rerun> for RerunKind {
    fn from(rerun: &Rerun) -> Self {
        match rerun {
            Rerun::NotYet => Self::NotYet,
            Rerun::Intended => Self::Intended,
            Rerun::Accepted => Self::Accepted,
            Rerun::Declined { .. } => Self::Declined,
        }
    }
}

steps! {
    /// The steps of an interrupted run.
    RunStep over RerunKind;
    Interrupt: [] => NotYet, "one of its jobs lost its instance";
    Intend: [NotYet] => Intended, "the run is over, and GitHub is asked to run the job again";
    Accept: [Intended] => Accepted, "GitHub runs it again";
    Decline: [NotYet, Intended] => Declined, "it was cancelled, run again by somebody else or as often as allowed, ended well, or was superseded by a newer one";
}
