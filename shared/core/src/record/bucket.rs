//! How many calls of a kind the clients that share them may still make.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::InstallationId;
use crate::time::Timestamp;

/// Whose calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "is", content = "of", rename_all = "snake_case")]
pub enum BucketId {
    /// EC2's `CreateFleet` calls, of the account in the region.
    CreateFleet,
    /// Calls that register runners, of an installation.
    Registrations(InstallationId),
}

impl fmt::Display for BucketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateFleet => f.write_str("CreateFleet"),
            Self::Registrations(installation) => write!(f, "Registrations/{installation}"),
        }
    }
}

impl BucketId {
    /// How many calls may be made at once, and how many more each second.
    ///
    /// EC2 refills a launch's bucket with 2 a second
    /// (<https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>). GitHub allows 900
    /// points a minute, of which a registration takes 5
    /// (<https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>): 180 a minute,
    /// of which some are left for what else there is to write.
    #[must_use]
    pub fn limits(self) -> (u32, u32) {
        match self {
            Self::CreateFleet => (5, 2),
            Self::Registrations(_) => (40, 2),
        }
    }
}

/// A token bucket, as it stood at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Whose calls.
    pub id: BucketId,
    /// Thousandths of a call that were left.
    pub left: u64,
    /// When.
    pub at: Timestamp,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn full(id: BucketId, now: Timestamp) -> Self {
        Self {
            id,
            left: u64::from(id.limits().0) * 1000,
            at: now,
        }
    }

    /// The bucket once a call is taken out of it.
    ///
    /// # Errors
    /// How long to wait for one, if none is left.
    pub fn take(self, now: Timestamp) -> Result<Self, Duration> {
        let (size, refill) = self.id.limits();
        let refilled = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        let left = self
            .left
            .saturating_add(refilled.saturating_mul(u64::from(refill)))
            .min(u64::from(size) * 1000);
        match left.checked_sub(1000) {
            Some(left) => Ok(Self {
                left,
                // Clocks differ: one that is behind must not fill it twice.
                at: now.max(self.at),
                ..self
            }),
            None => Err(Duration::from_millis((1000 - left).div_ceil(u64::from(refill)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn who_finds_none_is_told_when_there_will_be_one() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let mut bucket = Bucket::full(BucketId::CreateFleet, now);
        for _ in 0..5 {
            bucket = bucket.take(now).unwrap();
        }
        let wait = bucket.take(now).unwrap_err();
        assert_eq!(wait, Duration::from_millis(500));
        assert!(bucket.take(now.after(wait)).is_ok());
    }

    proptest! {
        #[test]
        fn never_more_are_given_than_fit_and_flow_in(steps in proptest::collection::vec(0u64..2_000, 1..200)) {
            let start = Timestamp::from_seconds(1_800_000_000);
            let mut now = start;
            let mut bucket = Bucket::full(BucketId::CreateFleet, now);
            let mut given = 0u64;
            for step in steps {
                now = now.after(Duration::from_millis(step));
                if let Ok(next) = bucket.take(now) {
                    bucket = next;
                    given += 1;
                }
                let (size, refill) = BucketId::CreateFleet.limits();
                let most = u64::from(size) * 1000 + u64::try_from(now.since(start).as_millis()).unwrap() * u64::from(refill);
                prop_assert!(given * 1000 <= most);
            }
        }
    }
}
