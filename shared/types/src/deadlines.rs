//! How long everything may take. One place, all settable in the stack's parameters.

use std::time::Duration;

/// The deadlines of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// From the launch until the JIT config is handed out.
    pub boot: Duration,
    /// From then until the first job.
    pub idle: Duration,
    /// Since the last heartbeat, before the instance is given up as lost.
    pub heartbeat_lost: Duration,
    /// Between two heartbeats of the agent.
    pub heartbeat: Duration,
    /// For a runner to drain.
    pub drain: Duration,
    /// For a runner to leave once its job is over.
    pub leave: Duration,
    /// For an instance in all, even if a job runs on it.
    pub lifetime: Duration,
    /// For a job to get an instance, before it is given up.
    pub give_up: Duration,
    /// Since the last launch, before the minute schedule may be switched off.
    pub quiet: Duration,
    /// For a webhook to arrive, before it is taken for lost and GitHub is asked.
    pub webhook: Duration,
    /// Since the launch of an instance, before its absence from EC2's answers, which lag behind, proves that
    /// it is gone.
    pub absence: Duration,
    /// For EC2 to answer all questions about a runner that is gone, before its cost is counted without the
    /// answers.
    pub costing: Duration,
    /// The pause after the first, second … failure of a launch or an end; the last one repeats.
    pub retries: [Duration; 5],
}

impl Deadlines {
    /// Returns the pause after the failure number `tries`.
    #[must_use]
    pub fn retry(&self, tries: u32) -> Duration {
        let last = self.retries.len() - 1;
        let index = usize::try_from(tries.saturating_sub(1)).map_or(last, |index| index.min(last));
        self.retries[index]
    }

    /// How long to wait for EC2 to report when an instance ended that we have ended: its events take some
    /// seconds.
    #[must_use]
    pub fn ec2_event_delay(&self) -> Duration {
        2 * self.heartbeat
    }

    /// How long changes of jobs are collected, so that those that happen together are reported together.
    #[must_use]
    pub fn report_delay(&self) -> Duration {
        self.heartbeat / 2
    }

    /// Returns [`Deadlines::retry`], at most [`MAX_RETRY_PAUSE`], made up to a half longer depending on `what`:
    /// things that failed together are not retried together.
    #[must_use]
    pub fn jittered_retry(&self, tries: u32, what: &str) -> Duration {
        let pause = self.retry(tries).min(MAX_RETRY_PAUSE);
        let hash = what
            .bytes()
            .fold(tries, |hash, byte| hash.wrapping_mul(16_777_619) ^ u32::from(byte));
        pause + pause * (hash % 64) / 128
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            boot: minutes(10),
            idle: minutes(5),
            heartbeat_lost: minutes(5),
            heartbeat: Duration::from_secs(30),
            drain: minutes(2),
            leave: minutes(3),
            lifetime: minutes(6 * 60),
            give_up: minutes(15),
            quiet: minutes(2),
            webhook: minutes(2),
            absence: minutes(5),
            costing: minutes(60),
            retries: [minutes(1), minutes(2), minutes(5), minutes(10), minutes(20)],
        }
    }
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

/// How long an action under way is left to the function that began it: longer than any function may run, so
/// that the first one is dead when another takes over.
pub const TAKE_OVER: Duration = Duration::from_secs(90);

/// The longest that any function's call may take.
pub const LONGEST_CALL: Duration = minutes(2);

/// How long a function holds the right to publish a check run, a comment or a threshold: longer than that
/// function may run.
pub const PUBLISH_LEASE: Duration = Duration::from_secs(45);

/// The pause after GitHub refused a re-run because the run is not over yet.
pub const RERUN_RETRY: Duration = Duration::from_secs(20);

/// How far a job's webhook may lag behind its runner's own report, before the job that the runner was meant
/// for gets another runner.
pub const WEBHOOK_LAG: Duration = minutes(1);

/// The longest pause before an end is retried, though the retries of a launch may be further apart.
pub const MAX_RETRY_PAUSE: Duration = minutes(8);

/// The time between EC2's interruption notice and the interruption.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html>
pub const SPOT_NOTICE: Duration = minutes(2);

/// How much later than announced EC2 may take an instance, before we stop waiting for it.
pub const RECLAIM_SLACK: Duration = minutes(1);

/// A spot instance that EC2 takes back this soon after its launch is not billed; one that we end, or that
/// ends itself, is.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/billing-for-interrupted-spot-instances.html>
pub const FREE_HOUR: Duration = minutes(60);

/// How long GitHub lets a job wait for a runner.
///
/// <https://docs.github.com/en/actions/reference/limits>
pub const QUEUE_LIMIT: Duration = minutes(24 * 60);

/// How many runners are launched for a job when each one ends without taking a job.
pub const MAX_LAUNCHES: u32 = 5;

/// How long a record is kept after its end, so that a late or repeated webhook finds it.
pub const KEEP_ENDED: Duration = minutes(7 * 24 * 60);

/// How long the story of a job is kept.
pub const KEEP_STORY: Duration = minutes(90 * 24 * 60);

/// How long costs are kept: long enough to compare with the same month of the year before.
pub const KEEP_COSTS: Duration = minutes(400 * 24 * 60);

/// How much longer than its lifetime an instance may live until the control plane has ended it. The
/// reservation includes the cost of this time.
pub const MAX_OVERRUN: Duration = minutes(10);

/// How long a launch queue is kept after its last use.
pub const KEEP_QUEUE: Duration = minutes(24 * 60);

/// How long a repository is watched after its last job.
pub const KEEP_WATCHED: Duration = minutes(7 * 24 * 60);

/// How many redeliveries are requested for a failed webhook delivery.
pub const MAX_REDELIVERIES: u32 = 5;

/// How long a delivery id is kept: GitHub redelivers for three days.
pub const KEEP_DELIVERY: Duration = minutes(4 * 24 * 60);

/// How long a repository's configuration is used before GitHub is asked if it changed.
pub const CONFIG_FRESH: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_grow_and_repeat_the_last() {
        let deadlines = Deadlines::default();
        let minutes: Vec<u64> = (0..=7).map(|tries| deadlines.retry(tries).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 1, 2, 5, 10, 20, 20, 20]);
    }
}
