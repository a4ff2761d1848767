//! How many calls of a kind the clients that share them may still make.

use std::fmt;
use std::time::Duration;

use dayfly_types::ids::InstallationId;
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Whose calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "is", content = "of", rename_all = "snake_case")]
pub enum BucketId {
    /// EC2's `CreateFleet` calls, of the account in the region.
    CreateFleet,
    /// Calls that register runners, of an installation.
    ///
    /// GitHub counts them twice: 1,500 in five minutes of a repository or organisation, and 900 points
    /// a minute of whoever calls one endpoint, which is an installation and makes 180 calls a minute of 5
    /// points each. The second is the narrower, so that whatever keeps it keeps the first too, in each of
    /// the installation's repositories and in all of them together.
    Registrations(InstallationId),
    /// Calls that write what people read, of an installation: check runs.
    ContentWrites(InstallationId),
}

impl fmt::Display for BucketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateFleet => f.write_str("CreateFleet"),
            Self::Registrations(installation) => write!(f, "Registrations/{installation}"),
            Self::ContentWrites(installation) => write!(f, "ContentWrites/{installation}"),
        }
    }
}

impl BucketId {
    /// How many calls may be made at once, and after how long another one may be.
    ///
    /// - EC2 refills a launch's bucket with 2 a second
    ///   (<https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>).
    /// - GitHub takes 180 registrations a minute: 20 at once and 150 that follow leave some for agents
    ///   that come a little late.
    /// - GitHub takes 80 writes of content a minute and 500 an hour: 70 at once and 7 a minute, which
    ///   are 77 in the first minute and 494 in the first hour
    ///   (<https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>).
    #[must_use]
    pub fn limits(self) -> (u32, Duration) {
        match self {
            Self::CreateFleet => (5, Duration::from_millis(500)),
            Self::Registrations(_) => (20, Duration::from_millis(400)),
            Self::ContentWrites(_) => (70, Duration::from_millis(8500)),
        }
    }
}

/// On what terms a call is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenTerms {
    /// Now, if so many are left to others then.
    Now {
        /// How many.
        leaving: u32,
    },
    /// Now or later, but no later than after so long.
    Within(Duration),
}

/// A token bucket. One number says all of it, so that a call can be taken out of it by one conditional
/// write that nobody has to have read it for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Whose calls.
    pub id: BucketId,
    /// When it is full again if nobody takes any more. It is as many calls short of full as flow in
    /// until then.
    pub full_at: Timestamp,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn full(id: BucketId, now: Timestamp) -> Self {
        Self { id, full_at: now }
    }

    /// The latest that the bucket may be full at for a call to be had on these terms.
    #[must_use]
    pub fn latest(id: BucketId, terms: TokenTerms, now: Timestamp) -> Timestamp {
        let (size, every) = id.limits();
        match terms {
            TokenTerms::Now { leaving } => now.after(every * size.saturating_sub(1 + leaving)),
            TokenTerms::Within(span) => now.after(every * (size - 1)).after(span),
        }
    }

    /// The bucket once a call is taken out of it on these terms.
    ///
    /// # Errors
    /// How long to wait, if none can be had.
    pub fn take(self, terms: TokenTerms, now: Timestamp) -> Result<Self, Duration> {
        let latest = Self::latest(self.id, terms, now);
        self.drawn(latest, now).ok_or_else(|| self.full_at.since(latest))
    }

    /// The bucket once a call is taken out of it; nothing if it is full only after `latest`.
    #[must_use]
    pub fn drawn(self, latest: Timestamp, now: Timestamp) -> Option<Self> {
        // Clocks differ: one that is behind must not fill it.
        let full_at = self.full_at.max(now);
        let (_, every) = self.id.limits();
        (full_at <= latest).then(|| Self {
            full_at: full_at.after(every),
            ..self
        })
    }

    /// When the call may be made that was the last to be taken out of it.
    #[must_use]
    pub fn turn(&self, now: Timestamp) -> Timestamp {
        let (size, every) = self.id.limits();
        let size = i64::from(size) * i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
        now.max(Timestamp::from_millis(self.full_at.millis().saturating_sub(size)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALONE: TokenTerms = TokenTerms::Now { leaving: 0 };
    const REGISTRATIONS: BucketId = BucketId::Registrations(InstallationId(7));
    const WRITES: BucketId = BucketId::ContentWrites(InstallationId(7));

    fn start() -> Timestamp {
        Timestamp::from_seconds(1_800_000_000)
    }

    #[test]
    fn who_finds_none_is_told_when_there_will_be_one() {
        let now = start();
        let mut bucket = Bucket::full(BucketId::CreateFleet, now);
        for _ in 0..5 {
            bucket = bucket.take(ALONE, now).unwrap();
        }
        let wait = bucket.take(ALONE, now).unwrap_err();
        assert_eq!(wait, Duration::from_millis(500));
        assert!(bucket.take(ALONE, now.after(wait)).is_ok());
    }

    #[test]
    fn what_can_wait_leaves_some_to_what_cannot() {
        let now = start();
        let mut bucket = Bucket::full(WRITES, now);
        let mut given = 0;
        while let Ok(next) = bucket.take(TokenTerms::Now { leaving: 40 }, now) {
            bucket = next;
            given += 1;
        }
        assert_eq!(given, 30);
        assert!(bucket.take(ALONE, now).is_ok());
        let all = TokenTerms::Now { leaving: 100 };
        assert!(
            Bucket::full(WRITES, now).take(all, now).is_ok(),
            "a full one has room for one"
        );
    }

    #[test]
    fn a_burst_is_given_one_turn_after_the_other() {
        let now = start();
        let mut bucket = Bucket::full(REGISTRATIONS, now);
        let mut turns = Vec::new();
        while let Ok(next) = bucket.take(TokenTerms::Within(Duration::from_mins(2)), now) {
            bucket = next;
            turns.push(bucket.turn(now).since(now));
        }
        assert_eq!(turns[19], Duration::ZERO);
        assert_eq!(turns[20], Duration::from_millis(400));
        assert_eq!(turns[255], Duration::from_millis(400 * 236), "256 jobs at once");
        assert_eq!(turns.last(), Some(&Duration::from_mins(2)));
    }

    #[test]
    fn githubs_limits_are_kept_by_the_minute_and_by_the_hour() {
        for (id, span, most) in [
            (REGISTRATIONS, Duration::from_mins(1), 180),
            (REGISTRATIONS, Duration::from_mins(5), 1500),
            (WRITES, Duration::from_mins(1), 80),
            (WRITES, Duration::from_mins(60), 500),
        ] {
            let (size, every) = id.limits();
            let given = u128::from(size) + span.as_millis() / every.as_millis();
            assert!(given <= most, "{given} calls of {id} in {span:?}");
        }
    }

    proptest! {
        #[test]
        fn never_more_are_given_than_fit_and_flow_in(steps in proptest::collection::vec(0u64..2_000, 1..200)) {
            let mut now = start();
            let mut bucket = Bucket::full(BucketId::CreateFleet, now);
            let mut given = 0u64;
            for step in steps {
                now = now.after(Duration::from_millis(step));
                if let Ok(next) = bucket.take(ALONE, now) {
                    bucket = next;
                    given += 1;
                }
                let (size, every) = BucketId::CreateFleet.limits();
                let every = u64::try_from(every.as_millis()).unwrap();
                let most = u64::from(size) + u64::try_from(now.since(start()).as_millis()).unwrap() / every;
                prop_assert!(given <= most);
            }
        }
    }
}
