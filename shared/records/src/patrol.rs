//! What patrol keeps from one round to the next.

use std::collections::BTreeMap;

use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::deadlines::KEEP_WATCHED;
use dayfly_types::ids::{DeliveryId, InstallationId, InstanceId, InstanceType, Repository, Zone};
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The most repositories that are watched, so that the record stays small.
const MAX_WATCHED: usize = 500;

/// How long a recorded time stays as it is, so that not every job writes the record.
const REFRESH: std::time::Duration = std::time::Duration::from_secs(6 * 3600);

/// The repositories that had our jobs recently. GitHub's list of repositories shows a push, but not a job that a
/// schedule or a person started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    pub repositories: BTreeMap<Repository, WatchedRepository>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedRepository {
    pub installation: InstallationId,
    /// When a job was last recorded.
    pub at: Timestamp,
}

impl Watched {
    /// Adds a repository that has a job now. Returns `None` if that was recorded recently.
    #[must_use]
    pub fn with(&self, repository: &Repository, installation: InstallationId, now: Timestamp) -> Option<Self> {
        let known = self.repositories.get(repository);
        if known.is_some_and(|known| known.installation == installation && now.since(known.at) < REFRESH) {
            return None;
        }
        let mut next = self.clone();
        next.repositories
            .retain(|_, watched| now.since(watched.at) < KEEP_WATCHED);
        if next.repositories.len() >= MAX_WATCHED {
            let oldest = next.repositories.iter().min_by_key(|(_, watched)| watched.at);
            if let Some(oldest) = oldest.map(|(repository, _)| repository.clone()) {
                next.repositories.remove(&oldest);
            }
        }
        let watched = WatchedRepository { installation, at: now };
        next.repositories.insert(repository.clone(), watched);
        Some(next)
    }
}

/// The most orphans that are kept until their cost is counted, so that the record stays small.
const MAX_ORPHANS: usize = 500;

/// An orphan that patrol ends, as EC2 listed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    pub instance_type: InstanceType,
    pub zone: Zone,
    pub lifecycle: InstanceLifecycle,
    pub launched_at: Timestamp,
    /// Where its tags say that it registers.
    pub scope: Option<(InstallationId, Repository)>,
}

/// The progress of patrol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patrol {
    /// The highest number of a failed delivery that was handled.
    pub deliveries_seen: u64,
    /// How often the redelivery of each recent failed delivery was requested.
    pub redelivered: BTreeMap<DeliveryId, u32>,
    /// The repository that was checked last: the next patrol continues after it.
    pub last_checked: Option<Repository>,
    /// The orphans that patrol ends, until their cost is counted: EC2 may forget them before that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub orphans: BTreeMap<InstanceId, Orphan>,
}

impl Patrol {
    /// Adds an orphan, if there is room.
    pub fn keep_orphan(&mut self, instance: &InstanceId, orphan: Orphan) {
        if self.orphans.len() < MAX_ORPHANS {
            self.orphans.insert(instance.clone(), orphan);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_is_recorded_now_and_then_and_expires() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let (one, two): (Repository, Repository) = ("octo/one".parse().unwrap(), "octo/two".parse().unwrap());
        let watched = Watched::default().with(&one, InstallationId(7), now).unwrap();
        assert_eq!(watched.with(&one, InstallationId(7), now), None);
        assert!(
            watched.with(&one, InstallationId(8), now).is_some(),
            "the App was installed again"
        );
        assert!(watched.with(&one, InstallationId(7), now.after(REFRESH)).is_some());
        let later = watched.with(&two, InstallationId(7), now.after(KEEP_WATCHED)).unwrap();
        assert_eq!(later.repositories.keys().collect::<Vec<_>>(), [&two]);
    }

    #[test]
    fn record_stays_small() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let mut watched = Watched::default();
        for index in 0..MAX_WATCHED + 10 {
            let repository = format!("octo/r{index}").parse().unwrap();
            let at = now.after(std::time::Duration::from_secs(index as u64));
            watched = watched.with(&repository, InstallationId(7), at).unwrap();
        }
        assert_eq!(watched.repositories.len(), MAX_WATCHED);
        assert!(!watched.repositories.contains_key(&"octo/r0".parse().unwrap()));
    }
}
