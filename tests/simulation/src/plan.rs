//! What a seed draws before anything happens: the workload and the faults, as a list of items any of
//! which can be left out.

mod draw;

use std::fmt;
use std::time::Duration;

use dayfly_policy::{Caps, Limits};
use dayfly_types::time::Timestamp;

use crate::config::Ways;
use crate::dice::Dice;
use crate::{money, policy_limits};

/// A temporary fault of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outage {
    /// The table does not answer, or takes effect without an answer.
    Table,
    /// The bus refuses events.
    Bus,
    /// The bus delivers late.
    BusLate,
    /// The bus delivers twice.
    BusDouble,
    /// Functions are killed between any two effects.
    LambdaKill,
    /// Functions are killed when an effect has happened and its answer has not arrived.
    LambdaDies,
    /// Functions are throttled.
    LambdaThrottle,
    /// EC2's API does not answer, or takes effect without an answer.
    Ec2,
    /// EC2's API throttles.
    Ec2Throttle,
    /// There is little or no spot capacity.
    Drought,
    /// There is no on-demand capacity.
    NoOnDemand,
    /// The account's quota is used up.
    NoQuota,
    /// EC2's events are lost.
    Ec2EventsLost,
    /// GitHub's API answers 5xx, possibly after taking effect.
    GitHub,
    /// The rate limit is used up.
    GitHubLimit,
    /// Webhooks are never sent.
    WebhookLost,
    /// Webhooks fail, which GitHub records.
    WebhookFailed,
    /// Webhooks are late, and so out of order.
    WebhookLate,
    /// Webhooks come twice.
    WebhookDouble,
    /// Agents' calls are late, and so out of order.
    AgentLate,
    /// Schedules fire late.
    SchedulerLate,
    /// The schedule cannot be switched or read.
    SchedulerApi,
    /// AWS returns no prices.
    Prices,
    /// Alerts fail.
    Alerts,
}

/// A fault of an instance or its runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstanceFault {
    /// It never boots.
    BootFailure,
    /// Its agent crashes, and the user data powers off.
    AgentCrash,
    /// Everything on it stands still, including timers.
    Freeze,
    /// Its network is cut, for a while or for good.
    NetworkCut,
    /// EC2 reclaims it, with a notice.
    Interruption,
    /// EC2 recommends a rebalance, and does not reclaim it.
    Rebalance,
    /// It ends without a report.
    Vanish,
    /// GitHub removes its idle runner.
    Eviction,
    /// Its runner cannot be started.
    RunnerBroken,
    /// Its job never ends.
    HungJob,
    /// Its runner does not exit after its job.
    HungRunner,
    /// GitHub lists its busy runner as idle.
    FalseIdle,
    /// A job has taken it over: it checks in but ignores orders, and so do its timers.
    Hostile,
}

/// A workflow run.
#[derive(Clone, Debug)]
pub struct PlannedRun {
    /// When it starts, after the beginning.
    pub at: Duration,
    /// The number of its repository.
    pub repository: u64,
    /// How long each of its jobs takes.
    pub jobs: Vec<Duration>,
    /// When a person cancels it, after it started.
    pub cancelled: Option<Duration>,
    /// When another runner takes a waiting job of it, after it started.
    pub elsewhere: Option<Duration>,
    /// Whether its labels match no runner.
    pub impossible: bool,
    /// Whether it fails at start-up, with its jobs queued forever.
    pub startup_failure: bool,
    /// Whether its first job fails by itself.
    pub fails: bool,
    /// When a person re-runs it, after it ended.
    pub rerun: Option<Duration>,
}

/// An item of a history.
#[derive(Clone, Debug)]
pub enum Item {
    Run(PlannedRun),
    /// An outage between two moments, with the probability that it hits a call.
    Outage(Outage, Duration, Duration, f64),
    /// A fault, with its probability per instance.
    InstanceFault(InstanceFault, f64),
    /// Everything in the table is lost.
    Emptied(Duration),
    /// A run with one job of this duration, started this long before the minute after a moment.
    AtSweep(Duration, Duration, Duration),
}

impl PlannedRun {
    /// A run with a single job.
    #[must_use]
    pub fn simple(repository: u64, at: Duration, works: Duration) -> Self {
        Self {
            at,
            repository,
            jobs: vec![works],
            cancelled: None,
            elsewhere: None,
            impossible: false,
            startup_failure: false,
            fails: false,
            rerun: None,
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(run) => {
                write!(
                    f,
                    "run at {} with {} jobs in r{}",
                    clock(run.at),
                    run.jobs.len(),
                    run.repository
                )?;
                if let Some(at) = run.cancelled {
                    write!(f, ", cancelled after {}", clock(at))?;
                }
                if let Some(at) = run.elsewhere {
                    write!(f, ", taken elsewhere after {}", clock(at))?;
                }
                if let Some(at) = run.rerun {
                    write!(f, ", run again by a person {} after its end", clock(at))?;
                }
                if run.impossible {
                    write!(f, ", asks for what nobody has")?;
                }
                if run.fails {
                    write!(f, ", the first of which fails")?;
                }
                if run.startup_failure {
                    write!(f, ", fails at start-up")?;
                }
                Ok(())
            }
            Self::Outage(kind, from, to, p) => write!(
                f,
                "{kind:?} from {} to {} ({:.0} %)",
                clock(*from),
                clock(*to),
                p * 100.0
            ),
            Self::InstanceFault(kind, p) => write!(f, "{kind:?} of {:.0} % of the instances", p * 100.0),
            Self::AtSweep(at, _, before) => {
                write!(
                    f,
                    "run with a short job {before:?} before the minute after {}",
                    clock(*at)
                )
            }
            Self::Emptied(at) => write!(f, "the table is emptied at {}", clock(*at)),
        }
    }
}

/// Formats a span as `1:02:03`.
#[must_use]
pub fn clock(span: Duration) -> String {
    let seconds = span.as_secs();
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

const TWICE_A_MINUTE: Duration = Duration::from_secs(30);

/// A history before it happens.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// The maximum lifetime of an instance.
    pub lifetime: Duration,
    /// The numbered items.
    pub items: Vec<(usize, Item)>,
    /// When the faults end and nothing new is queued.
    pub calm_from: Duration,
    /// How long nothing happens after everything is over.
    pub quiet: Duration,
    /// The stack policy's limits.
    pub limits: Limits,
    /// The stack policy's caps.
    pub caps: Caps,
    /// A later change of the caps.
    pub caps_later: Option<(Duration, Caps)>,
    /// When the history starts.
    pub start: Timestamp,
    /// How often the promises are checked that are not tied to an event.
    pub inspect_every: Duration,
    /// How its repositories are configured.
    pub ways: Ways,
}

pub(crate) const OUTAGES: [Outage; 24] = [
    Outage::Table,
    Outage::Bus,
    Outage::BusLate,
    Outage::BusDouble,
    Outage::LambdaKill,
    Outage::LambdaDies,
    Outage::LambdaThrottle,
    Outage::Ec2,
    Outage::Ec2Throttle,
    Outage::Drought,
    Outage::NoOnDemand,
    Outage::NoQuota,
    Outage::Ec2EventsLost,
    Outage::GitHub,
    Outage::GitHubLimit,
    Outage::WebhookLost,
    Outage::WebhookFailed,
    Outage::WebhookLate,
    Outage::WebhookDouble,
    Outage::AgentLate,
    Outage::SchedulerLate,
    Outage::SchedulerApi,
    Outage::Prices,
    Outage::Alerts,
];

pub(crate) const INSTANCE_FAULTS: [InstanceFault; 13] = [
    InstanceFault::BootFailure,
    InstanceFault::AgentCrash,
    InstanceFault::Freeze,
    InstanceFault::NetworkCut,
    InstanceFault::Interruption,
    InstanceFault::Rebalance,
    InstanceFault::Vanish,
    InstanceFault::Eviction,
    InstanceFault::RunnerBroken,
    InstanceFault::HungJob,
    InstanceFault::HungRunner,
    InstanceFault::FalseIdle,
    InstanceFault::Hostile,
];

impl Plan {
    /// Draws the history of `seed`.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::of(seed, "plan", "");
        let active = dice.seconds(1800, 3 * 3600);
        let mut items = Vec::new();
        draw::workload(&mut dice, active, &mut items);
        draw::failures(seed, &mut items);
        // Some histories have no faults at all, and some only few.
        let swarm = *dice.one_of(&[0.0, 0.1, 0.3, 0.3, 0.5]);
        for kind in OUTAGES {
            let mut dice = Dice::of(seed, "outage", &format!("{kind:?}"));
            if dice.happens(swarm) {
                draw::outages(&mut dice, kind, active, &mut items);
            }
        }
        for kind in INSTANCE_FAULTS {
            let mut dice = Dice::of(seed, "trouble", &format!("{kind:?}"));
            if dice.happens(swarm) {
                let rate = *dice.one_of(&[0.03, 0.1, 0.1, 0.3]);
                items.push(Item::InstanceFault(kind, rate));
            }
        }
        if swarm > 0.0 {
            draw::storm(seed, active, &mut items);
        } else {
            // Nothing else excuses a schedule that is off while something lives.
            let mut dice = Dice::of(seed, "drip", "");
            if dice.happens(0.5) {
                draw::drip(&mut dice, active, &mut items);
            }
        }
        if dice.happens(swarm * 0.2) {
            items.push(Item::Emptied(dice.seconds(60, active.as_secs())));
        }
        let (caps, caps_later) = money::draw(seed, active);
        let lifetime = Duration::from_secs(*dice.one_of(&[1200, 3600, 3600, 2 * 3600, 6 * 3600]));
        Self {
            seed,
            limits: policy_limits::draw(seed, &items, lifetime),
            caps,
            caps_later,
            start: money::start(seed),
            inspect_every: TWICE_A_MINUTE,
            ways: Ways::Drawn,
            lifetime,
            items: items.into_iter().enumerate().collect(),
            calm_from: active,
            quiet: if dice.happens(0.05) {
                Duration::from_secs(7 * 24 * 3600)
            } else {
                Duration::from_secs(3 * 3600)
            },
        }
    }

    /// An empty history.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            seed: 0,
            lifetime: Duration::from_secs(6 * 3600),
            items: Vec::new(),
            calm_from: Duration::ZERO,
            quiet: Duration::ZERO,
            limits: Limits::default(),
            caps: Caps::default(),
            caps_later: None,
            start: money::start(0),
            inspect_every: TWICE_A_MINUTE,
            ways: Ways::Drawn,
        }
    }

    /// Whether it has an outage of one of these kinds.
    #[must_use]
    pub(crate) fn has_any(&self, kinds: &[Outage]) -> bool {
        let of_kind = |item: &Item| matches!(item, Item::Outage(kind, ..) if kinds.contains(kind));
        self.items.iter().any(|(_, item)| of_kind(item))
    }

    /// Returns its faults.
    #[must_use]
    pub(crate) fn faults(&self) -> Vec<Item> {
        let items = self.items.iter().map(|(_, item)| item);
        items
            .filter(|item| !matches!(item, Item::Run(_) | Item::AtSweep(..)))
            .cloned()
            .collect()
    }

    /// Returns the plan with only these items.
    #[must_use]
    pub fn only(&self, numbers: &[usize]) -> Self {
        let mut plan = self.clone();
        plan.items.retain(|(number, _)| numbers.contains(number));
        plan
    }
}
