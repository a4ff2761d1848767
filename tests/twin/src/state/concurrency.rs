//! Concurrency groups: one run of a group at a time, and one that waits for it.

use jiff::Timestamp;

use super::State;
use crate::model::{Run, RunId, Status};

impl State {
    /// Lets a run in that has just been made, or run again: it waits while another of its group is not
    /// done, and takes the place of one that waits. With `cancel-in-progress` the other is cancelled.
    ///
    /// <https://docs.github.com/en/actions/how-tos/write-workflows/choose-when-workflows-run/control-workflow-concurrency>
    pub(super) fn enter_group(&mut self, id: RunId, now: Timestamp) {
        let Some(group) = self.runs[&id].concurrency.clone() else {
            return;
        };
        for other in self.others_of_group(id) {
            let waits = self.runs[&other].status == Status::Pending;
            if waits || group.cancel_in_progress {
                // It is one that is not done.
                let _ = self.cancel_run(other, false, now);
            }
        }
        if !self.others_of_group(id).is_empty() {
            self.change_run(id, now, |run| run.status = Status::Pending);
        }
    }

    /// Lets the run go on that waited for one that is done.
    pub(super) fn leave_group(&mut self, id: RunId, now: Timestamp) {
        let others = self.others_of_group(id);
        let is_pending = |other: &&RunId| self.runs[*other].status == Status::Pending;
        let next = others.iter().find(is_pending).copied();
        if let Some(next) = next.filter(|_| others.len() == 1) {
            self.change_run(next, now, |run| run.status = Status::Queued);
            self.advance_run(next, now);
        }
    }

    /// The other runs of a run's group that are not done.
    fn others_of_group(&self, id: RunId) -> Vec<RunId> {
        let run = &self.runs[&id];
        let name = |run: &Run| run.concurrency.as_ref().map(|group| group.name.to_lowercase());
        let Some(wanted) = name(run) else {
            return Vec::new();
        };
        let others = self.runs.values().filter(|other| {
            other.id != id && other.repo == run.repo && other.status.is_open() && name(other).as_ref() == Some(&wanted)
        });
        others.map(|other| other.id).collect()
    }
}
