//! Mechanisms that keep promises, disabled one at a time: at the edge of the world, never in the code
//! under test.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use dayfly_types::deadlines::Deadlines;

/// A mechanism that keeps a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Guard {
    /// The webhook's memory of deliveries.
    Dedupe,
    /// A repeated `CreateFleet` with the same token is the same call.
    ClientToken,
    /// A job whose end arrives before its start is remembered.
    Tombstone,
    /// A write names the version it was decided on.
    ConditionalClaim,
    /// GitHub's runner is removed before the instance ends, and 422 means that it is busy.
    RunnerFirst,
    /// A silent instance is given up.
    Heartbeat,
    /// An instance that never checks in is given up.
    BootDeadline,
    /// The instance's own timers.
    AgentTimer,
    /// The sweep every minute.
    Sweep,
    /// The patrol every quarter of an hour.
    Patrol,
    /// The tags that lead from an instance to its runner.
    Tags,
    /// Failed deliveries are redelivered.
    Redelivery,
    /// GitHub is searched for jobs whose webhooks were lost.
    LostJobs,
    /// Leftover registrations are removed.
    Offline,
    /// GitHub is asked if a job still waits before it gets another runner.
    AskFirst,
    /// A launch during the switch-off of the schedule is found.
    QuietRecheck,
    /// Waits between retries grow.
    Backoff,
    /// GitHub is asked if a newer run supersedes a re-run.
    Concurrency,
    /// The count of our re-runs, from attempt to attempt.
    RerunCount,
    /// The message that makes a runner a messenger.
    Message,
    /// Failed reports are retried.
    SayAgain,
    /// The token buckets in front of GitHub's calls.
    Buckets,
    /// A gate is written at the version it was read at.
    Gate,
    /// A ledger is written at the version it was decided on.
    Ledgers,
    /// A reservation is released when its instance's cost is counted.
    Costing,
    /// The most a launch may cost is reserved in the same write as its call.
    Booking,
    /// A settled runner is written over the version that was not settled.
    SettledOnce,
    /// The cost of unrecorded instances is counted.
    Orphans,
    /// A ledger remembers the thresholds that were passed.
    Passed,
    /// A threshold that was not reported is reported by a sweep.
    ToldLater,
    /// A fallback to something more expensive reserves more.
    Rereserve,
}

impl Guard {
    pub const ALL: &'static [Self] = &[
        Self::Dedupe,
        Self::ClientToken,
        Self::Tombstone,
        Self::ConditionalClaim,
        Self::RunnerFirst,
        Self::Heartbeat,
        Self::BootDeadline,
        Self::AgentTimer,
        Self::Sweep,
        Self::Patrol,
        Self::Tags,
        Self::Redelivery,
        Self::LostJobs,
        Self::Offline,
        Self::AskFirst,
        Self::QuietRecheck,
        Self::Backoff,
        Self::Concurrency,
        Self::RerunCount,
        Self::Message,
        Self::SayAgain,
        Self::Buckets,
        Self::Gate,
        Self::Ledgers,
        Self::Costing,
        Self::Booking,
        Self::SettledOnce,
        Self::Orphans,
        Self::Passed,
        Self::ToldLater,
        Self::Rereserve,
    ];

    /// Whether a promise depends on it. None depends on the webhook's memory of deliveries: every
    /// handler may run twice, and the memory only saves work.
    #[must_use]
    pub fn has_teeth(self) -> bool {
        self != Self::Dedupe
    }

    /// Whether it keeps the promises on money.
    #[must_use]
    pub fn is_of_money(self) -> bool {
        matches!(
            self,
            Self::Ledgers
                | Self::Costing
                | Self::Booking
                | Self::SettledOnce
                | Self::Orphans
                | Self::Passed
                | Self::Rereserve
        )
    }

    /// Returns the guard that has the same effect in another way, so that a promise breaks only without
    /// both.
    #[must_use]
    pub fn second(self) -> Option<Self> {
        match self {
            // A job whose webhook failed is also found as a lost job.
            Self::Redelivery => Some(Self::LostJobs),
            _ => None,
        }
    }

    /// Returns the deadlines without these guards.
    #[must_use]
    pub fn without(guards: &[Self], mut deadlines: Deadlines) -> Deadlines {
        const NEVER: Duration = Duration::from_secs(30 * 24 * 3600);
        for guard in guards {
            match guard {
                Self::Heartbeat => deadlines.heartbeat_lost = NEVER,
                Self::BootDeadline => deadlines.boot = NEVER,
                Self::Backoff => deadlines.retries = [Duration::from_millis(1); 5],
                _ => {}
            }
        }
        deadlines
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_possible_value() {
            Some(value) => f.write_str(value.get_name()),
            None => fmt::Debug::fmt(self, f),
        }
    }
}
