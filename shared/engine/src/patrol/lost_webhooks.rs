//! Lost webhooks: jobs whose state on GitHub shows that an event is missing, and failed deliveries.

use std::time::Duration;

use dayfly_records::{Job, JobState, Patrol};
use dayfly_types::deadlines::{Deadlines, MAX_REDELIVERIES};
use dayfly_types::ids::DeliveryId;

/// A job's state on GitHub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobOnGitHub {
    Queued,
    Running {
        /// Whether its runner's name is one of ours.
        ours: bool,
    },
    Over,
}

/// Whether a job's state on GitHub shows that a webhook was lost. `age` is the time since GitHub
/// created the job: a young one's webhook may be under way.
#[must_use]
pub fn is_lost(known: Option<&Job>, on_github: JobOnGitHub, age: Duration, deadlines: &Deadlines) -> bool {
    if age < deadlines.webhook {
        return false;
    }
    match (on_github, known.map(|job| &job.state)) {
        (JobOnGitHub::Queued | JobOnGitHub::Running { ours: true }, None)
        | (JobOnGitHub::Running { .. }, Some(JobState::Queued | JobState::Launching)) => true,
        (JobOnGitHub::Over, Some(state)) => !matches!(state, JobState::Finished { .. }),
        (JobOnGitHub::Queued | JobOnGitHub::Running { .. } | JobOnGitHub::Over, _) => false,
    }
}

/// A failed webhook delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedDelivery {
    /// GitHub's number of this try.
    pub number: u64,
    pub delivery: DeliveryId,
}

/// Returns the failed deliveries to request again, the earliest first, each by the number of its last
/// try and with the patrol's record to store after that request.
#[must_use]
pub fn redeliveries(patrol: &Patrol, mut failed: Vec<FailedDelivery>) -> Vec<(FailedDelivery, Patrol)> {
    failed.sort_by_key(|one| one.number);
    let mut known = patrol.clone();
    // A delivery that has left the list of failures was delivered or given up.
    known
        .redelivered
        .retain(|delivery, _| failed.iter().any(|one| one.delivery == *delivery));
    let mut requested = Vec::new();
    for index in 0..failed.len() {
        let one = &failed[index];
        known.deliveries_seen = known.deliveries_seen.max(one.number);
        let again_later = failed[index + 1..].iter().any(|later| later.delivery == one.delivery);
        let times = known.redelivered.get(&one.delivery).copied().unwrap_or(0);
        if again_later || times >= MAX_REDELIVERIES {
            continue;
        }
        known.redelivered.insert(one.delivery.clone(), times + 1);
        requested.push((one.clone(), known.clone()));
    }
    requested
}

#[cfg(test)]
mod tests;
