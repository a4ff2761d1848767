//! The life of a run in which a job was interrupted.

use super::steps;
use crate::Rerun;

/// Where the re-run of an interrupted run stands, without the particulars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RerunKind {
    /// The run is not over yet.
    NotYet,
    /// GitHub is being asked.
    Intended,
    /// GitHub has taken it.
    Accepted,
    /// It will not be.
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
    /// What moves an interrupted run on.
    RunStep over RerunKind;
    Interrupt: [] => NotYet, "a job of it lost its instance";
    Intend: [NotYet] => Intended, "the run is over, and GitHub is asked to run the job again";
    Accept: [Intended] => Accepted, "GitHub runs it again";
    Decline: [NotYet, Intended] => Declined, "it was cancelled, run again by somebody else or as often as allowed, ended well, or has a newer one in its place";
}
