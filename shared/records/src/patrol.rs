//! What patrol remembers from one round to the next.

use std::collections::BTreeMap;

use dayfly_types::deadlines::WATCH;
use dayfly_types::ids::{DeliveryId, InstallationId, Repository};
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How many repositories are watched at most, so that the record stays small.
const MAX_WATCHED: usize = 500;

/// A repository is written down again only so long after the last time.
const REFRESH: std::time::Duration = std::time::Duration::from_secs(6 * 3600);

/// The repositories that had jobs of ours of late. A push is seen on GitHub's list of repositories;
/// a job that a schedule or a person started is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// By repository.
    pub repositories: BTreeMap<Repository, WatchedRepository>,
}

/// A repository that had a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedRepository {
    /// The App's installation that sees it.
    pub installation: InstallationId,
    /// When it was last written down.
    pub at: Timestamp,
}

impl Watched {
    /// With a repository that has a job now; nothing if it was written down of late.
    #[must_use]
    pub fn with(&self, repository: &Repository, installation: InstallationId, now: Timestamp) -> Option<Self> {
        let known = self.repositories.get(repository);
        if known.is_some_and(|known| known.installation == installation && now.since(known.at) < REFRESH) {
            return None;
        }
        let mut next = self.clone();
        next.repositories.retain(|_, watched| now.since(watched.at) < WATCH);
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

/// How far patrol has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patrol {
    /// The highest number of a failed delivery that was dealt with.
    pub deliveries_seen: u64,
    /// How often deliveries that failed of late were asked for again.
    pub redelivered: BTreeMap<DeliveryId, u32>,
    /// The repository that was looked at last: the next patrol goes on behind it.
    #[serde(default)]
    pub looked_at: Option<Repository>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_written_down_once_in_a_while_and_forgotten_in_time() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let (one, two): (Repository, Repository) = ("octo/one".parse().unwrap(), "octo/two".parse().unwrap());
        let watched = Watched::default().with(&one, InstallationId(7), now).unwrap();
        assert_eq!(watched.with(&one, InstallationId(7), now), None);
        assert!(
            watched.with(&one, InstallationId(8), now).is_some(),
            "the App was installed anew"
        );
        assert!(watched.with(&one, InstallationId(7), now.after(REFRESH)).is_some());
        let later = watched.with(&two, InstallationId(7), now.after(WATCH)).unwrap();
        assert_eq!(later.repositories.keys().collect::<Vec<_>>(), [&two]);
    }

    #[test]
    fn the_record_stays_small() {
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
