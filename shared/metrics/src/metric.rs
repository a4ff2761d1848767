//! The closed list of metrics. Each has at most one dimension, whose values are a closed list too: CloudWatch
//! bills each value as a metric for the hours in which it is published.

use dayfly_types::capacity::{FleetErrorKind, InstanceLifecycle};

/// A unit of CloudWatch's.
///
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Count,
    Milliseconds,
    Percent,
    /// Dollars, for which CloudWatch has no unit.
    None,
}

impl Unit {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
            Self::Percent => "Percent",
            Self::None => "None",
        }
    }
}

macro_rules! dimension {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$about])* $variant,)+
        }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

dimension! {
    /// How a job ended.
    JobOutcome {
        Succeeded = "succeeded",
        /// By itself, or for an unknown reason.
        Failed = "failed",
        /// By a person, a newer run, or GitHub's time limit.
        Cancelled = "cancelled",
        /// It lost its instance.
        Interrupted = "interrupted",
        /// Its request is not allowed or not valid.
        Refused = "refused",
        /// No instance was available in time.
        GivenUp = "given-up",
    }
}

dimension! {
    /// What a job waited for.
    WaitStage {
        /// From the webhook to the claim.
        Claim = "claim",
        /// From the claim to its turn, if a limit held it back.
        Turn = "turn",
        /// From the claim, or its turn, to the instance.
        Launch = "launch",
        /// From the instance to its registration.
        Boot = "boot",
        /// From the registration to the job.
        Start = "start",
        /// From the webhook to the job.
        Whole = "whole",
    }
}

dimension! {
    /// How an instance was bought.
    Purchase {
        Spot = "spot",
        OnDemand = "on-demand",
        /// On demand, to report to a job that it is refused or given up.
        Messenger = "messenger",
    }
}

impl From<InstanceLifecycle> for Purchase {
    fn from(lifecycle: InstanceLifecycle) -> Self {
        match lifecycle {
            InstanceLifecycle::Spot => Self::Spot,
            InstanceLifecycle::OnDemand => Self::OnDemand,
        }
    }
}

dimension! {
    /// A runner's phase.
    RunnerPhase {
        /// Its instance is requested or starting.
        Launching = "launching",
        /// It is registered, until its instance ends.
        Live = "live",
    }
}

dimension! {
    /// The kind of an EC2 error.
    ErrorClass {
        /// The pool has no capacity left.
        Capacity = "capacity",
        /// The account's quota is used up.
        Quota = "quota",
        /// The account's quota is too small for one instance.
        QuotaTooSmall = "quota-too-small",
        /// The price exceeds the limit.
        Price = "price",
        /// The request can never succeed as it is.
        BadRequest = "bad-request",
        /// The client token was used by a call whose record is lost.
        TokenUsed = "token-used",
        Throttled = "throttled",
        Unknown = "unknown",
    }
}

impl From<FleetErrorKind> for ErrorClass {
    fn from(kind: FleetErrorKind) -> Self {
        match kind {
            FleetErrorKind::Capacity => Self::Capacity,
            FleetErrorKind::Quota => Self::Quota,
            FleetErrorKind::QuotaTooSmall => Self::QuotaTooSmall,
            FleetErrorKind::Price | FleetErrorKind::PriceLimitTooLow => Self::Price,
            FleetErrorKind::BadRequest => Self::BadRequest,
            FleetErrorKind::TokenUsed => Self::TokenUsed,
            FleetErrorKind::Throttled => Self::Throttled,
            FleetErrorKind::Unknown => Self::Unknown,
        }
    }
}

/// A metric, with the value of its dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    Jobs(JobOutcome),
    /// How long jobs waited.
    QueueTime(WaitStage),
    Launches(Purchase),
    Runners(RunnerPhase),
    LaunchErrors(ErrorClass),
    /// Errors that name a pool.
    PoolFailures(Purchase),
    Interruptions,
    Reruns,
    Spend,
    /// Compared with on-demand instances.
    Saved,
    /// Spent on interrupted jobs.
    Wasted,
    /// Launches refused because of a cap.
    CapsRefused,
    CapUsed,
    GitHubCallsLeft,
}

impl Metric {
    /// Returns all metrics with each value of their dimensions.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        all.extend(JobOutcome::ALL.iter().copied().map(Self::Jobs));
        all.extend(WaitStage::ALL.iter().copied().map(Self::QueueTime));
        all.extend(Purchase::ALL.iter().copied().map(Self::Launches));
        all.extend(RunnerPhase::ALL.iter().copied().map(Self::Runners));
        all.extend(ErrorClass::ALL.iter().copied().map(Self::LaunchErrors));
        // A messenger uses the pools of on-demand instances.
        all.extend([Purchase::Spot, Purchase::OnDemand].map(Self::PoolFailures));
        all.extend([
            Self::Interruptions,
            Self::Reruns,
            Self::Spend,
            Self::Saved,
            Self::Wasted,
            Self::CapsRefused,
            Self::CapUsed,
            Self::GitHubCallsLeft,
        ]);
        all
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Jobs(_) => "Jobs",
            Self::QueueTime(_) => "QueueTime",
            Self::Launches(_) => "Launches",
            Self::Runners(_) => "Runners",
            Self::LaunchErrors(_) => "LaunchErrors",
            Self::PoolFailures(_) => "PoolFailures",
            Self::Interruptions => "Interruptions",
            Self::Reruns => "Reruns",
            Self::Spend => "Spend",
            Self::Saved => "Saved",
            Self::Wasted => "Wasted",
            Self::CapsRefused => "CapsRefused",
            Self::CapUsed => "CapUsed",
            Self::GitHubCallsLeft => "GitHubCallsLeft",
        }
    }

    #[must_use]
    pub fn unit(self) -> Unit {
        match self {
            Self::QueueTime(_) => Unit::Milliseconds,
            Self::CapUsed => Unit::Percent,
            Self::Spend | Self::Saved | Self::Wasted => Unit::None,
            Self::Jobs(_)
            | Self::Launches(_)
            | Self::Runners(_)
            | Self::LaunchErrors(_)
            | Self::PoolFailures(_)
            | Self::Interruptions
            | Self::Reruns
            | Self::CapsRefused
            | Self::GitHubCallsLeft => Unit::Count,
        }
    }

    /// Returns the dimension besides the stack, with its value.
    #[must_use]
    pub fn dimension(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Jobs(outcome) => Some(("Outcome", outcome.as_str())),
            Self::QueueTime(wait) => Some(("Stage", wait.as_str())),
            Self::Launches(bought) | Self::PoolFailures(bought) => Some(("Lifecycle", bought.as_str())),
            Self::LaunchErrors(class) => Some(("Class", class.as_str())),
            Self::Runners(phase) => Some(("State", phase.as_str())),
            Self::Interruptions
            | Self::Reruns
            | Self::Spend
            | Self::Saved
            | Self::Wasted
            | Self::CapsRefused
            | Self::CapUsed
            | Self::GitHubCallsLeft => None,
        }
    }

    /// Describes when the metric is published.
    #[must_use]
    pub fn published(self) -> &'static str {
        match self {
            Self::Jobs(_) => {
                "when a job's end is recorded: as concluded by GitHub, or as refused or given up by dayfly. A job that \
                 its messenger then fails is not counted again; a skipped job is not counted at all"
            }
            Self::QueueTime(_) => {
                "when the stage ends: for a job's first runner (`claim`), for each runner that completes the stage \
                 (`turn`, `launch`, `boot`, `start`), and when a job starts on a runner of ours (`whole`). A runner \
                 that never completes a stage shows in `Runners` only"
            }
            Self::Launches(_) => "when an instance launched by EC2 is recorded",
            Self::Runners(_) => {
                "every minute while there are runners, and once when there are none left: those whose instance is \
                 requested or starting (`launching`), and those registered whose instance has not ended (`live`), \
                 among the first 1,000 records that are due. Runners that wait for their turn are not counted"
            }
            Self::LaunchErrors(_) => {
                "when EC2 answers a launch with errors, or not at all: one per error in the answer"
            }
            Self::PoolFailures(_) => "with each error that names a pool",
            Self::Interruptions => {
                "when a runner that is needed loses its instance: EC2 sent an interruption notice, or the instance ended \
                 without being asked to"
            }
            Self::Reruns => "when GitHub accepts the re-run of a run with interrupted jobs",
            Self::Spend => "when a job's cost is settled: the total, in dollars",
            Self::Saved => "with `Spend`: what on-demand instances would have cost on top",
            Self::Wasted => "with `Spend`: the part wasted by an interruption",
            Self::CapsRefused => "when a launch is refused because it might exceed a cap",
            Self::CapUsed => {
                "when money of the current month is reserved or settled: the part of the stack's monthly cap that is spent \
                 or reserved"
            }
            Self::GitHubCallsLeft => {
                "every 5 minutes at most, while an installation has less than three quarters of its calls per hour left"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn each_metric_name_has_one_unit_and_one_dimension() {
        let all = Metric::all();
        let series: BTreeSet<_> = all.iter().map(|metric| (metric.name(), metric.dimension())).collect();
        assert_eq!(series.len(), all.len());
        let mut shapes = BTreeMap::new();
        for metric in all {
            let shape = (metric.unit(), metric.dimension().map(|(name, _)| name));
            assert_eq!(*shapes.entry(metric.name()).or_insert(shape), shape, "{metric:?}");
        }
    }

    #[test]
    fn dimension_values_are_words_and_few() {
        let all = Metric::all();
        assert!(all.len() <= 36, "each of the {} costs while it is published", all.len());
        for (_, value) in all.iter().filter_map(|metric| metric.dimension()) {
            assert!(
                value.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{value}"
            );
        }
    }
}
