//! EC2's token buckets: every request takes a token, and tokens are refilled over time.
//!
//! <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>

use std::collections::HashMap;
use std::time::Instant;

/// The throttled actions, each with its own bucket.
const THROTTLED: [&str; 2] = ["CreateFleet", "RunInstances"];

/// The rate limit of an action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Requests in a full bucket.
    pub size: u32,
    /// Refill per second.
    pub per_second: f64,
}

impl Bucket {
    /// AWS's documented limit of `RunInstances`, which a fleet launches with. For `CreateFleet` itself
    /// only the bucket of all unnamed writes is documented (50 and 5), and users see less.
    pub const EC2: Self = Self {
        size: 5,
        per_second: 2.0,
    };
}

/// The tokens left in one account's buckets.
#[derive(Debug, Default)]
pub(super) struct Buckets(HashMap<&'static str, Level>);

#[derive(Debug)]
struct Level {
    tokens: f64,
    at: Instant,
}

impl Buckets {
    /// Takes a token for a request of `action` at `now`. Returns whether one was left.
    pub(super) fn take(&mut self, bucket: Bucket, action: &str, now: Instant) -> bool {
        let Some(action) = THROTTLED.into_iter().find(|known| *known == action) else {
            return true;
        };
        let size = f64::from(bucket.size);
        let level = self.0.entry(action).or_insert(Level { tokens: size, at: now });
        let passed = now.saturating_duration_since(level.at).as_secs_f64();
        level.tokens = (level.tokens + passed * bucket.per_second).min(size);
        level.at = now;
        let enough = level.tokens >= 1.0;
        if enough {
            level.tokens -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_as_large_as_the_bucket_and_then_requests_come_as_tokens_do() {
        let mut buckets = Buckets::default();
        let start = Instant::now();
        let mut at = |millis| buckets.take(Bucket::EC2, "CreateFleet", start + Duration::from_millis(millis));
        assert_eq!([0; 6].map(&mut at), [true, true, true, true, true, false]);
        assert_eq!([400, 500, 600, 1000].map(&mut at), [false, true, false, true]);
        // It never holds more than its size, however long it was unused.
        let burst = [3_600_000; 7].map(at).into_iter().filter(|had| *had).count();
        assert_eq!(burst, 5);
    }

    #[test]
    fn each_action_has_a_bucket_of_its_own_and_most_have_none() {
        let mut buckets = Buckets::default();
        let one = Bucket {
            size: 1,
            per_second: 0.0,
        };
        let now = Instant::now();
        let mut take = |action| buckets.take(one, action, now);
        assert_eq!(
            ["CreateFleet", "CreateFleet", "RunInstances", "RunInstances"].map(&mut take),
            [true, false, true, false]
        );
        assert_eq!(["DescribeInstances"; 3].map(take), [true; 3]);
    }
}
