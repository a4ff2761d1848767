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
    /// For an instance in all, whatever runs on it.
    pub lifetime: Duration,
    /// For a job to get an instance, before it is given up.
    pub give_up: Duration,
    /// Since the last launch, before the minute schedule may be switched off.
    pub quiet: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            boot: minutes(10),
            idle: minutes(5),
            heartbeat_lost: minutes(5),
            heartbeat: Duration::from_secs(30),
            drain: minutes(2),
            lifetime: minutes(6 * 60),
            give_up: minutes(15),
            quiet: minutes(2),
        }
    }
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

/// After how long a launch that failed for the `tries`-th time is tried again.
#[must_use]
pub fn launch_retry(tries: u32) -> Duration {
    minutes(match tries {
        0 | 1 => 1,
        2 => 2,
        3 => 5,
        4 => 10,
        _ => 20,
    })
}

/// How long an act that is under way is left to whoever began it: longer than any function may
/// run, so that nobody else is still at it when it is taken over.
pub const TAKE_OVER: Duration = Duration::from_secs(90);

/// How soon a runner that GitHub calls busy, or an end that failed, is looked at again.
pub const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// How soon a re-run that GitHub refused because the run is not over yet is asked for again.
pub const RERUN_RETRY: Duration = Duration::from_secs(20);

/// An instance that EC2 does not name is taken for gone only so long after its launch, for its
/// answers lag behind.
pub const ABSENCE_PROVES: Duration = minutes(5);

/// How often a job is given another runner after one that never took a job.
pub const MAX_LAUNCHES: u32 = 5;

/// How often an interrupted run is run again.
pub const MAX_RERUNS: u32 = 2;

/// How long a record is kept after its end, so that a late or repeated webhook finds it.
pub const KEEP_ENDED: Duration = minutes(7 * 24 * 60);

/// How long a delivery id is remembered: GitHub redelivers for three days.
pub const KEEP_DELIVERY: Duration = minutes(4 * 24 * 60);

/// How long a repository's configuration is used without asking GitHub whether it changed.
pub const CONFIG_FRESH: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_of_a_launch_grow_and_stay_at_the_last() {
        let minutes: Vec<u64> = (1..=7).map(|tries| launch_retry(tries).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 5, 10, 20, 20, 20]);
    }
}
