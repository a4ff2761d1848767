//! How long everything may take. One place, all settable in the stack's parameters.

use std::time::Duration;

/// The deadlines of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// From the launch to the JIT config's being handed out.
    pub boot: Duration,
    /// From then to the first job.
    pub idle: Duration,
    /// From one heartbeat to the next, before the instance is given up as lost.
    pub heartbeat_lost: Duration,
    /// Between two heartbeats, as told to the agent.
    pub heartbeat: Duration,
    /// For a runner that was told to end.
    pub drain: Duration,
    /// For a runner to leave once its job is over.
    pub leave: Duration,
    /// For an instance in all, whatever runs on it.
    pub lifetime: Duration,
    /// For a job to get an instance, before it is given up.
    pub give_up: Duration,
    /// Since the last launch, before the minute schedule may be switched off.
    pub quiet: Duration,
    /// For a webhook to come, before GitHub is asked whether it was lost, or is old.
    pub webhook: Duration,
    /// Since the launch of an instance, before its not being named by EC2, whose answers lag
    /// behind, proves that it is gone.
    pub absence: Duration,
    /// For EC2 to tell what is asked of it about a runner of which nothing is left, before what it has cost
    /// is counted by what is known.
    pub costing: Duration,
    /// After the first, second … failure of a launch or an end, before it is tried again; after
    /// the last of them, the last again.
    pub retries: [Duration; 5],
}

impl Deadlines {
    /// After how long what failed for the `tries`-th time is tried again.
    #[must_use]
    pub fn retry(&self, tries: u32) -> Duration {
        let last = self.retries.len() - 1;
        let index = usize::try_from(tries.saturating_sub(1)).map_or(last, |index| index.min(last));
        self.retries[index]
    }

    /// How long EC2 is given to tell when an instance ended that we have ended: its events take some seconds.
    #[must_use]
    pub fn ec2_tells(&self) -> Duration {
        2 * self.heartbeat
    }

    /// How long it takes until something new is told of jobs: those that happen together are told together.
    #[must_use]
    pub fn gather(&self) -> Duration {
        self.heartbeat / 2
    }

    /// The same as [`Deadlines::retry`] for an end, which is left alone for [`LONGEST_PAUSE`] at most, and up to a half
    /// longer depending on `what`: those that failed together are not tried again together.
    #[must_use]
    pub fn pause(&self, tries: u32, what: &str) -> Duration {
        let pause = self.retry(tries).min(LONGEST_PAUSE);
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

/// How long an act that is under way is left to whoever began it: longer than any function may
/// run, so that nobody else is still at it when it is taken over.
pub const TAKE_OVER: Duration = Duration::from_secs(90);

/// How long any call of a function may take.
pub const LONGEST_CALL: Duration = minutes(2);

/// How long saying something on a commit is left to whoever began it: longer than the function that
/// does it may run.
pub const SAYING: Duration = Duration::from_secs(45);

/// How soon a re-run that GitHub refused because the run is not over yet is asked for again.
pub const RERUN_RETRY: Duration = Duration::from_secs(20);

/// How far the webhook of a job may be behind what its runner itself has said of it, before the job that
/// the runner was meant for is given another.
pub const BEHIND: Duration = minutes(1);

/// No end that failed is left alone for longer, though the retries of a launch may be further apart.
pub const LONGEST_PAUSE: Duration = minutes(8);

/// How long EC2 leaves a spot instance from its notice.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html>
pub const SPOT_NOTICE: Duration = minutes(2);

/// How much later EC2 may take an instance than it said, before it is taken for not coming.
pub const RECLAIM_SLACK: Duration = minutes(1);

/// A spot instance that EC2 takes back so soon after its launch costs nothing; one that we end, or
/// that ends itself, does.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/billing-for-interrupted-spot-instances.html>
pub const FREE_HOUR: Duration = minutes(60);

/// How long GitHub lets a job wait for a runner.
///
/// <https://docs.github.com/en/actions/reference/limits>
pub const QUEUE_LIMIT: Duration = minutes(24 * 60);

/// How often a job is given another runner after one that never took a job.
pub const MAX_LAUNCHES: u32 = 5;

/// How long a record is kept after its end, so that a late or repeated webhook finds it.
pub const KEEP_ENDED: Duration = minutes(7 * 24 * 60);

/// How long the story of a job is kept.
pub const KEEP_STORY: Duration = minutes(90 * 24 * 60);

/// How long is kept what was spent: the same month of the year before can be looked at.
pub const KEEP_COSTS: Duration = minutes(400 * 24 * 60);

/// How much longer than its lifetime an instance may go on before the control plane has ended it. What it
/// costs by then is reserved with it.
pub const OUTLIVES: Duration = minutes(10);

/// How long is remembered who launched what, once nobody does any more.
pub const KEEP_QUEUE: Duration = minutes(24 * 60);

/// How long a repository is watched after its last job.
pub const WATCH: Duration = minutes(7 * 24 * 60);

/// How often a delivery that failed is asked for again.
pub const MAX_REDELIVERIES: u32 = 5;

/// How long a delivery id is remembered: GitHub redelivers for three days.
pub const KEEP_DELIVERY: Duration = minutes(4 * 24 * 60);

/// How long a repository's configuration is used without asking GitHub whether it changed.
pub const CONFIG_FRESH: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_grow_and_stay_at_the_last() {
        let deadlines = Deadlines::default();
        let minutes: Vec<u64> = (0..=7).map(|tries| deadlines.retry(tries).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 1, 2, 5, 10, 20, 20, 20]);
    }
}
