//! All metrics there are: a closed list, and with each at most one dimension whose values are a closed list
//! too. CloudWatch bills each value of it as a metric, while it is told.

use dayfly_types::capacity::{FleetErrorKind, InstanceLifecycle};

/// What a metric is measured in, as CloudWatch names it.
///
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// So many.
    Count,
    /// So long.
    Milliseconds,
    /// So much of a hundred.
    Percent,
    /// Dollars, for which CloudWatch has no unit.
    None,
}

impl Unit {
    /// As CloudWatch writes it.
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
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// As it is told.
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
    Outcome {
        /// Well.
        Succeeded = "succeeded",
        /// By itself, or as nobody knows why.
        Failed = "failed",
        /// By a person, a newer run, or GitHub's patience.
        Cancelled = "cancelled",
        /// With its instance.
        Interrupted = "interrupted",
        /// It asked for what it cannot have.
        Refused = "refused",
        /// No instance was to be had in time.
        GivenUp = "given-up",
    }
}

dimension! {
    /// What a job waited for.
    Wait {
        /// From its webhook to the claim.
        Claim = "claim",
        /// From the claim to its turn, where a limit held it back.
        Turn = "turn",
        /// From the claim, or its turn, to the instance.
        Launch = "launch",
        /// From the instance to its registration.
        Boot = "boot",
        /// From the registration to the job.
        Start = "start",
        /// All of it: from the webhook to the job.
        Whole = "whole",
    }
}

dimension! {
    /// How an instance was bought.
    Bought {
        /// As spare capacity.
        Spot = "spot",
        /// At its full price.
        OnDemand = "on-demand",
        /// At its full price, and for no job: it tells one that it is given up.
        Messenger = "messenger",
    }
}

impl From<InstanceLifecycle> for Bought {
    fn from(lifecycle: InstanceLifecycle) -> Self {
        match lifecycle {
            InstanceLifecycle::Spot => Self::Spot,
            InstanceLifecycle::OnDemand => Self::OnDemand,
        }
    }
}

dimension! {
    /// Where a runner stands.
    Standing {
        /// Its instance is asked for, or starts.
        Launching = "launching",
        /// Its instance is registered, up to its end.
        Live = "live",
    }
}

dimension! {
    /// What kind of failure EC2 named.
    ErrorClass {
        /// The pools have nothing left.
        Capacity = "capacity",
        /// The account may not have more.
        Quota = "quota",
        /// The account may not have even one.
        QuotaTooSmall = "quota-too-small",
        /// The price limit is below the price.
        Price = "price",
        /// The request can never succeed as it is.
        BadRequest = "bad-request",
        /// Its token was used by a call whose record is lost.
        TokenUsed = "token-used",
        /// Too many requests.
        Throttled = "throttled",
        /// Anything else.
        Unknown = "unknown",
    }
}

impl From<FleetErrorKind> for ErrorClass {
    fn from(kind: FleetErrorKind) -> Self {
        match kind {
            FleetErrorKind::Capacity => Self::Capacity,
            FleetErrorKind::Quota => Self::Quota,
            FleetErrorKind::QuotaTooSmall => Self::QuotaTooSmall,
            FleetErrorKind::Price | FleetErrorKind::TooDear => Self::Price,
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
    /// Jobs that ended.
    Jobs(Outcome),
    /// What they waited.
    QueueTime(Wait),
    /// Instances that were launched.
    Launches(Bought),
    /// Runners that there are.
    Runners(Standing),
    /// Errors that EC2 named.
    LaunchErrors(ErrorClass),
    /// Pools that could not serve.
    PoolFailures(Bought),
    /// Instances that were taken back.
    Interruptions,
    /// Runs that were run again.
    Reruns,
    /// What was spent.
    Spend,
    /// What was saved.
    Saved,
    /// What interruptions wasted.
    Wasted,
    /// Launches that a cap forbade.
    CapsRefused,
    /// How much of a cap is used.
    CapUsed,
    /// How many calls GitHub still takes.
    GitHubCallsLeft,
}

impl Metric {
    /// All of them, with each value of their dimensions.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        all.extend(Outcome::ALL.iter().copied().map(Self::Jobs));
        all.extend(Wait::ALL.iter().copied().map(Self::QueueTime));
        all.extend(Bought::ALL.iter().copied().map(Self::Launches));
        all.extend(Standing::ALL.iter().copied().map(Self::Runners));
        all.extend(ErrorClass::ALL.iter().copied().map(Self::LaunchErrors));
        // A messenger's pools are those of an on-demand instance.
        all.extend([Bought::Spot, Bought::OnDemand].map(Self::PoolFailures));
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

    /// Its name.
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

    /// What it is measured in.
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

    /// Its dimension besides the stack, and the value.
    #[must_use]
    pub fn dimension(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Jobs(outcome) => Some(("Outcome", outcome.as_str())),
            Self::QueueTime(wait) => Some(("Stage", wait.as_str())),
            Self::Launches(bought) | Self::PoolFailures(bought) => Some(("Lifecycle", bought.as_str())),
            Self::LaunchErrors(class) => Some(("Class", class.as_str())),
            Self::Runners(standing) => Some(("State", standing.as_str())),
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

    /// When it is told, in words.
    #[must_use]
    pub fn told(self) -> &'static str {
        match self {
            Self::Jobs(_) => {
                "when a job's end is written down: GitHub's word on it, or ours that it is refused or given up. \
                 What its messenger makes of a job is not counted again, a job that GitHub skips not at all"
            }
            Self::QueueTime(_) => {
                "when the stage ends, for the first runner of a job (`claim`), for each runner that got there \
                 (`turn`, `launch`, `boot`, `start`), and when a job starts on a runner of ours (`whole`). One that \
                 never gets there is seen in `Runners` only"
            }
            Self::Launches(_) => "when the instance that EC2 launched is written down",
            Self::Runners(_) => {
                "with each call of the minute schedule while there are any, and once that there are none: those whose \
                 instance is asked for or starts (`launching`), and those that are registered, up to their end \
                 (`live`), as far as they are among the first 1,000 records that somebody must look at. What waits for \
                 its turn is neither"
            }
            Self::LaunchErrors(_) => {
                "when EC2 answers a call with errors, or not at all: one for each error of the answer"
            }
            Self::PoolFailures(_) => "with the errors that name a pool",
            Self::Interruptions => {
                "when a runner that is needed loses its instance: EC2 gave check_run, or it ended and nobody had asked for it"
            }
            Self::Reruns => "when GitHub has taken the re-run of a run in which jobs were interrupted",
            Self::Spend => "when a job's cost is settled: all of it, in dollars",
            Self::Saved => "with `Spend`: what on-demand instances would have cost more",
            Self::Wasted => "with `Spend`: the part of it that an interruption made useless",
            Self::CapsRefused => "when a launch is refused because it might pass a cap",
            Self::CapUsed => {
                "when money of this month is reserved or settled: spent and reserved of the stack's monthly cap"
            }
            Self::GitHubCallsLeft => {
                "every 5 minutes at most, while less than three quarters of the calls that GitHub takes in an \
                 hour are left to an installation"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn a_metric_is_told_under_one_name_only_and_a_name_has_one_unit_and_one_dimension() {
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
    fn values_of_dimensions_are_words_and_few() {
        let all = Metric::all();
        assert!(all.len() <= 36, "each of the {} costs while it is told", all.len());
        for (_, value) in all.iter().filter_map(|metric| metric.dimension()) {
            assert!(
                value.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{value}"
            );
        }
    }
}
