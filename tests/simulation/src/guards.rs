//! What keeps a promise, taken away: one guard at a time, at the world's end and never in the code
//! that is tested.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use dayfly_types::deadlines::Deadlines;

/// Something that keeps a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Guard {
    /// The webhook's memory of deliveries.
    Dedupe,
    /// A repeated `CreateFleet` is the same call.
    ClientToken,
    /// A job that was said to be over before it was said to wait is remembered.
    Tombstone,
    /// A write names the version that it was decided on.
    ConditionalClaim,
    /// GitHub's runner is removed before the instance ends, and 422 means leave it.
    RunnerFirst,
    /// An instance that is not heard of is given up.
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
    /// Asking GitHub to deliver again what failed.
    Redelivery,
    /// Looking at GitHub for jobs that nobody told of.
    LostJobs,
    /// Removing registrations that are left over.
    Offline,
    /// Asking GitHub whether a job still waits before it is given another runner.
    AskFirst,
    /// A launch at the moment at which the schedule goes off is found out.
    QuietRecheck,
    /// Pauses between tries grow.
    Backoff,
    /// Asking GitHub whether a newer run has made a re-run moot.
    Concurrency,
    /// The count of our re-runs, from attempt to attempt.
    RerunCount,
    /// The words that make a runner a messenger.
    Message,
    /// Saying again what could not be said.
    SayAgain,
    /// The buckets that several functions draw on before they call GitHub.
    Buckets,
    /// Who passes the gate names the version that it was read at.
    Gate,
    /// What is written into a ledger names the version that it was decided on.
    Ledgers,
    /// What was reserved for an instance is given back when its cost is counted.
    Costing,
    /// What a launch may cost is set aside with the record of its call.
    Booking,
    /// A runner whose cost is counted is written over the version of which it was not.
    SettledOnce,
    /// What an instance has cost is counted of which no record knows.
    Orphans,
    /// A ledger remembers the thresholds that were passed.
    Passed,
    /// A threshold that nobody was told of is told at a sweep.
    ToldLater,
    /// Who goes on to something dearer sets more aside.
    Rereserve,
}

impl Guard {
    /// All there are.
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

    /// Whether a promise hangs on it. None does on the webhook's memory of deliveries: every handler
    /// stands being run twice, and the memory only saves it the work.
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

    /// The guard that does the same in another way, so that a promise breaks only without both.
    #[must_use]
    pub fn second(self) -> Option<Self> {
        match self {
            // A job whose webhook failed is found among those that nobody told of, too.
            Self::Redelivery => Some(Self::LostJobs),
            _ => None,
        }
    }

    /// The deadlines without it.
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
