//! Token buckets that limit calls to EC2 and GitHub.

use std::fmt;
use std::time::Duration;

use dayfly_types::ids::InstallationId;
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The calls that share a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "is", content = "of", rename_all = "snake_case")]
pub enum BucketId {
    /// EC2's `CreateFleet` calls of the account in the region.
    CreateFleet,
    /// Calls of an installation that register runners.
    ///
    /// GitHub has two limits: 1,500 calls in five minutes per repository or organisation, and 900 points a minute
    /// per caller and endpoint, which are 180 calls a minute of 5 points each per installation. The second is
    /// the tighter one, so keeping it keeps the first as well, in each of the installation's repositories and
    /// in all of them together.
    Registrations(InstallationId),
    /// Calls of an installation that write content: check runs and comments.
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
    /// Rewaits the size of the bucket, and the time in which one token flows in.
    ///
    /// - EC2 refills the bucket of launches with 2 a second
    ///   (<https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>).
    /// - GitHub allows 180 registrations a minute: 20 at once and then 150 a minute leave some for agents that
    ///   are a little late.
    /// - GitHub allows 80 writes of content a minute and 500 an hour: 70 at once and then 7 a minute are 77 in
    ///   the first minute and 494 in the first hour
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

/// A request for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRequest {
    /// Now, if `leaving` tokens remain for others.
    Now { leaving: u32 },
    /// Now, or reserved for a call within this time.
    Within(Duration),
}

/// A token bucket. Its state is one number, so that a single conditional write takes a token without a read
/// before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    pub id: BucketId,
    /// When it is full again if no more tokens are taken: as many are missing as flow in until then.
    pub full_at: Timestamp,
}

impl Bucket {
    #[must_use]
    pub fn full(id: BucketId, now: Timestamp) -> Self {
        Self { id, full_at: now }
    }

    /// Rewaits the latest `full_at` at which the request can have a token.
    #[must_use]
    pub fn latest(id: BucketId, request: TokenRequest, now: Timestamp) -> Timestamp {
        let (size, every) = id.limits();
        match request {
            TokenRequest::Now { leaving } => now.after(every * size.saturating_sub(1 + leaving)),
            TokenRequest::Within(span) => now.after(every * (size - 1)).after(span),
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// The time to wait, if the request cannot have one.
    pub fn take(self, request: TokenRequest, now: Timestamp) -> Result<Self, Duration> {
        let latest = Self::latest(self.id, request, now);
        self.take_by(latest, now).ok_or_else(|| self.full_at.since(latest))
    }

    /// Takes a token. Rewaits `None` if the bucket is full only after `latest`.
    #[must_use]
    pub fn take_by(self, latest: Timestamp, now: Timestamp) -> Option<Self> {
        // Clocks differ: one that is behind must not fill the bucket.
        let full_at = self.full_at.max(now);
        let (_, every) = self.id.limits();
        (full_at <= latest).then(|| Self {
            full_at: full_at.after(every),
            ..self
        })
    }

    /// When the call with the token taken last may be made.
    #[must_use]
    pub fn ready_at(&self, now: Timestamp) -> Timestamp {
        let (size, every) = self.id.limits();
        let size = i64::from(size) * i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
        now.max(Timestamp::from_millis(self.full_at.millis().saturating_sub(size)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALONE: TokenRequest = TokenRequest::Now { leaving: 0 };
    const REGISTRATIONS: BucketId = BucketId::Registrations(InstallationId(7));
    const WRITES: BucketId = BucketId::ContentWrites(InstallationId(7));

    fn start() -> Timestamp {
        Timestamp::from_seconds(1_800_000_000)
    }

    #[test]
    fn empty_bucket_rewaits_the_wait() {
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
    fn request_can_leave_tokens_for_others() {
        let now = start();
        let mut bucket = Bucket::full(WRITES, now);
        let mut given = 0;
        while let Ok(next) = bucket.take(TokenRequest::Now { leaving: 40 }, now) {
            bucket = next;
            given += 1;
        }
        assert_eq!(given, 30);
        assert!(bucket.take(ALONE, now).is_ok());
        let all = TokenRequest::Now { leaving: 100 };
        assert!(
            Bucket::full(WRITES, now).take(all, now).is_ok(),
            "a full bucket always grants one"
        );
    }

    #[test]
    fn burst_is_spread_over_time() {
        let now = start();
        let mut bucket = Bucket::full(REGISTRATIONS, now);
        let mut waits = Vec::new();
        while let Ok(next) = bucket.take(TokenRequest::Within(Duration::from_mins(2)), now) {
            bucket = next;
            waits.push(bucket.ready_at(now).since(now));
        }
        assert_eq!(waits[19], Duration::ZERO);
        assert_eq!(waits[20], Duration::from_millis(400));
        assert_eq!(waits[255], Duration::from_millis(400 * 236), "256 jobs at once");
        assert_eq!(waits.last(), Some(&Duration::from_mins(2)));
    }

    #[test]
    fn limits_of_github_hold_by_minute_and_hour() {
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
        fn tokens_never_exceed_size_and_refill(steps in proptest::collection::vec(0u64..2_000, 1..200)) {
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
