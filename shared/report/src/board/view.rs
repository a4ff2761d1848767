//! What the board shows, as plain values, and how these follow from the records.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dayfly_records::costs::{MIN_BILLED, Tariff};
use dayfly_records::event::Conclusion;
use dayfly_records::{Cost, Job, JobState, Ledger, Purpose, Runner, RunnerState};
use dayfly_types::budget::Budget;
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::checkin::Stage;
use dayfly_types::deadlines::MAX_OVERRUN;
use dayfly_types::ids::{InstanceId, InstanceType, JobId, JobKey, Repository, RunId, RunnerName, Zone};
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;

use crate::sums::Sums;

/// Everything on the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub appearance: Appearance,
    /// GitHub's address, without a slash at its end.
    pub web_url: String,
    /// The month whose budgets are shown.
    pub month: Month,
    /// Whether more runners live or more jobs wait than were read.
    pub is_cut: bool,
    /// The longest-lived first.
    pub live: Vec<LiveRunner>,
    /// The jobs for which nothing is launched yet, the longest-waiting first.
    pub waiting: Vec<WaitingJob>,
    pub today: Today,
    /// In the order in which they are shown.
    pub budgets: Vec<Gauge>,
    /// The latest first.
    pub past: Vec<PastJob>,
}

/// The cost of the instances that ended since midnight (UTC), as far as it belongs to this month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Today {
    pub spent: MicroDollars,
    /// Whether there may be more costs than were read.
    pub is_cut: bool,
}

impl Today {
    /// Sums up the costs. `oldest` is the earliest launch among them if there are costs before it, and `lifetime`
    /// the longest life of an instance.
    #[must_use]
    pub fn of(costs: &[Cost], oldest: Option<Timestamp>, lifetime: Duration, now: Timestamp) -> Self {
        let (midnight, month) = (now.utc_midnight(), Month::of(now));
        let ended = costs.iter().filter(|cost| cost.to >= midnight);
        let of_month = ended.flat_map(|cost| cost.amounts.iter().filter(|(of, _)| *of == month));
        Self {
            spent: of_month.map(|(_, amounts)| amounts.total()).sum(),
            is_cut: oldest.is_some_and(|at| at.after(lifetime + MAX_OVERRUN) >= midnight),
        }
    }
}

/// How the board is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appearance {
    /// `None` follows the reader's system.
    pub theme: Option<Theme>,
    /// The width in pixels; `None` follows the container.
    pub width: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    Light,
    Dark,
}

/// A job with what its link needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLink {
    pub repository: Repository,
    pub run: RunId,
    pub job: JobId,
    pub name: Option<String>,
}

/// What a runner is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The job waits for a launch or for its turn.
    Queued,
    /// EC2 is asked for the instance.
    Launching,
    /// The instance boots, up to the start of GitHub's runner.
    Booting,
    Idle,
    Running,
    Ending,
}

/// The instance of a live runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveInstance {
    pub instance: InstanceId,
    pub instance_type: InstanceType,
    pub zone: Zone,
    pub lifecycle: InstanceLifecycle,
    /// Without disk and address.
    pub per_hour: Option<MicroDollars>,
    /// Start of billing.
    pub from: Timestamp,
    /// End of billing.
    pub to: Option<Timestamp>,
    pub tariff: Option<Tariff>,
}

impl LiveInstance {
    fn of(runner: &Runner) -> Option<Self> {
        let launched = runner.launched.as_ref()?;
        let on_demand = launched.on_demand.map(|price| price.per_hour);
        let per_hour = launched.price_per_hour.or(match launched.lifecycle {
            InstanceLifecycle::OnDemand => on_demand,
            InstanceLifecycle::Spot => None,
        });
        let tariff = runner.reserved.as_ref().map(|reserved| reserved.tariff);
        Some(Self {
            instance: launched.instance.clone(),
            instance_type: launched.instance_type.clone(),
            zone: launched.zone.clone(),
            lifecycle: launched.lifecycle,
            per_hour,
            from: runner.running_at.unwrap_or(launched.at).max(launched.at),
            to: runner.instance_ended_at,
            // The reserved tariff has the highest price that an hour can cost.
            tariff: tariff.map(|tariff| Tariff {
                compute: per_hour.unwrap_or(tariff.compute),
                ..tariff
            }),
        })
    }

    /// Returns the cost so far with disk and address, if it is known.
    #[must_use]
    pub fn so_far(&self, now: Timestamp) -> Option<MicroDollars> {
        let to = self.to.unwrap_or(now).min(now);
        let parts = self.tariff?.worst(self.from, to.max(self.from));
        Some(parts.into_iter().map(|(_, amount)| amount).sum())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveRunner {
    pub runner: RunnerName,
    pub state: RunnerState,
    /// Why it ends, once it does.
    pub ending: Option<String>,
    /// Whether it was sent to fail a job that is given up.
    pub is_messenger: bool,
    /// The job that it runs or was launched for.
    pub job: JobLink,
    pub instance: Option<LiveInstance>,
    /// The start of each phase, the earliest first.
    pub phases: Vec<(Phase, Timestamp)>,
}

impl LiveRunner {
    /// `job` is the one that the runner runs or was launched for, if it is still stored.
    #[must_use]
    pub fn of(runner: &Runner, job: Option<&Job>) -> Self {
        let ending = match runner.state {
            RunnerState::Draining | RunnerState::Done | RunnerState::Lost => runner.ending.as_ref(),
            _ => None,
        };
        Self {
            runner: runner.name.clone(),
            state: runner.state,
            ending: ending.map(|ending| ending.words().to_owned()),
            is_messenger: runner.message.is_some(),
            job: job_link(runner, job),
            instance: LiveInstance::of(runner),
            phases: phases(runner, job),
        }
    }

    /// Returns how long the runner was in each phase, up to `now`.
    #[must_use]
    pub fn spans(&self, now: Timestamp) -> Vec<(Phase, Duration)> {
        let ends = self.phases.iter().skip(1).map(|(_, at)| *at).chain([now]);
        let each = self.phases.iter().zip(ends);
        each.map(|((phase, from), to)| (*phase, to.since(*from))).collect()
    }
}

/// Returns the job that a runner runs or was launched for.
#[must_use]
pub fn job_of_runner(runner: &Runner) -> JobKey {
    runner.job.unwrap_or(runner.wanted_by)
}

fn job_link(runner: &Runner, job: Option<&Job>) -> JobLink {
    JobLink {
        repository: runner.repository.clone(),
        run: runner.job_run.unwrap_or(runner.run),
        job: job_of_runner(runner).job,
        name: job.map(|job| job.name.clone()),
    }
}

/// Returns the start of each phase. An instance reports times by its own clock, so no phase may start before the
/// previous one.
fn phases(runner: &Runner, job: Option<&Job>) -> Vec<(Phase, Timestamp)> {
    let reported = |wanted: Stage| {
        let found = runner.stages.iter().find(|(stage, _)| *stage == wanted);
        found.map(|(_, at)| *at)
    };
    let since = |states: &[RunnerState]| states.contains(&runner.state).then_some(runner.since);
    let launching = runner.launch_begun_at();
    let waited = (launching > runner.requested_at).then_some(runner.requested_at);
    let began = [
        (Phase::Queued, job.map(|job| job.queued_at).or(waited)),
        (Phase::Launching, Some(launching)),
        (Phase::Booting, runner.launched.as_ref().map(|launched| launched.at)),
        (
            Phase::Idle,
            reported(Stage::RunnerStarted).or_else(|| since(&[RunnerState::Enrolled])),
        ),
        (
            Phase::Running,
            reported(Stage::JobStarted).or_else(|| since(&[RunnerState::Busy])),
        ),
        (
            Phase::Ending,
            runner
                .job_over_at
                .or_else(|| since(&[RunnerState::Draining, RunnerState::Done, RunnerState::Lost])),
        ),
    ];
    let mut phases: Vec<(Phase, Timestamp)> = Vec::new();
    for (phase, at) in began {
        let Some(at) = at else { continue };
        let earliest = phases.last().map_or(at, |(_, before)| *before);
        phases.push((phase, at.max(earliest)));
    }
    phases
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingJob {
    pub job: JobLink,
    pub since: Timestamp,
    /// Whether its runner is launched as soon as a limit of the stack policy allows.
    pub for_its_turn: bool,
}

impl WaitingJob {
    /// Returns the job of a runner that waits for its turn. `job` is its record, if it is still stored.
    #[must_use]
    pub fn for_its_turn(runner: &Runner, job: Option<&Job>) -> Self {
        Self {
            job: job_link(runner, job),
            since: job.map_or(runner.requested_at, |job| job.queued_at),
            for_its_turn: true,
        }
    }

    /// Returns a job if it waits and nothing is launched for it.
    #[must_use]
    pub fn of(job: &Job) -> Option<Self> {
        (job.state == JobState::Queued).then(|| Self {
            job: JobLink {
                repository: job.repository.clone(),
                run: job.run,
                job: job.key.job,
                name: Some(job.name.clone()),
            },
            since: job.queued_at,
            for_its_turn: false,
        })
    }
}

/// What is spent and reserved of a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gauge {
    pub budget: Budget,
    /// The cost of ended instances.
    pub spent: MicroDollars,
    /// The most that live instances can still cost.
    pub reserved: MicroDollars,
    pub cap: Option<MicroDollars>,
}

impl Gauge {
    /// Returns the budgets to show: all with a cap, and the stack, organisations and repositories without one.
    #[must_use]
    pub fn all(ledgers: &[Ledger]) -> Vec<Self> {
        let shown = |ledger: &&Ledger| {
            let is_large = !matches!(ledger.budget, Budget::PullRequest { .. } | Budget::Actor { .. });
            is_large || ledger.cap.is_some()
        };
        let mut gauges: Vec<Self> = ledgers.iter().filter(shown).map(Self::of).collect();
        gauges.sort_by(|one, other| {
            let key = |it: &Self| {
                (
                    it.cap.is_none(),
                    rank(&it.budget),
                    std::cmp::Reverse(it.spent + it.reserved),
                )
            };
            key(one).cmp(&key(other)).then_with(|| one.budget.cmp(&other.budget))
        });
        gauges
    }

    fn of(ledger: &Ledger) -> Self {
        Self {
            budget: ledger.budget.clone(),
            spent: ledger.spent,
            reserved: ledger.reserved,
            cap: ledger.cap,
        }
    }
}

fn rank(budget: &Budget) -> u8 {
    match budget {
        Budget::Stack => 0,
        Budget::Organization { .. } => 1,
        Budget::Repository { .. } => 2,
        Budget::PullRequest { .. } => 3,
        Budget::Actor { .. } => 4,
    }
}

/// How the work on one or several instances ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobOutcome {
    Ended(Conclusion),
    /// The job ran, and its conclusion is unknown.
    Ran,
    Interrupted,
    /// No job came.
    Unused,
    /// A messenger failed the job.
    GivenUp,
    /// No runner's record named the instance.
    Orphan,
}

/// A past job with all instances that were launched for it, or an instance without a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastJob {
    pub job: Option<JobLink>,
    pub workflow: Option<String>,
    pub actor: Option<String>,
    pub pull: Option<u64>,
    pub outcome: JobOutcome,
    /// The last instance, with its type, zone and purchase option.
    pub instance: InstanceId,
    pub instance_type: InstanceType,
    pub zone: Zone,
    pub lifecycle: InstanceLifecycle,
    /// The number of instances.
    pub instances: usize,
    /// The billed time of all instances: at least a minute for each.
    pub billed: Duration,
    /// When the last instance ended.
    pub ended_at: Timestamp,
    pub cost: MicroDollars,
    /// The savings compared with on-demand capacity.
    pub saved: MicroDollars,
    /// Whether a price is from the table that ships with dayfly.
    pub is_estimated: bool,
}

/// The job that an instance was launched for, or the instance itself if there is none.
type Subject<'a> = (Option<JobKey>, Option<&'a InstanceId>);

fn subject(cost: &Cost) -> Subject<'_> {
    (cost.job, cost.job.is_none().then_some(&cost.instance))
}

impl PastJob {
    /// Returns the costs of the `limit` jobs that ended last. A long job may have ended after many short ones that
    /// were launched later.
    #[must_use]
    pub fn last(costs: &[Cost], limit: usize) -> Vec<Cost> {
        let mut ends: BTreeMap<Subject<'_>, Timestamp> = BTreeMap::new();
        for cost in costs {
            let end = ends.entry(subject(cost)).or_insert(cost.to);
            *end = cost.to.max(*end);
        }
        let mut ends: Vec<_> = ends.into_iter().map(|(of, at)| (std::cmp::Reverse(at), of)).collect();
        ends.sort_unstable();
        let last: BTreeSet<_> = ends.into_iter().take(limit).map(|(_, of)| of).collect();
        let of_those = costs.iter().filter(|cost| last.contains(&subject(cost)));
        of_those.cloned().collect()
    }

    /// Groups costs by job, the latest first. `jobs` are those that are still stored.
    #[must_use]
    pub fn all(costs: &[Cost], jobs: &BTreeMap<JobKey, Job>) -> Vec<Self> {
        let mut by_job: BTreeMap<Subject<'_>, Vec<&Cost>> = BTreeMap::new();
        for cost in costs {
            by_job.entry(subject(cost)).or_default().push(cost);
        }
        let mut all: Vec<Self> = by_job
            .into_iter()
            .filter_map(|((key, _), costs)| Self::of(&costs, key.and_then(|key| jobs.get(&key))))
            .collect();
        all.sort_by_key(|ran| (std::cmp::Reverse(ran.ended_at), ran.instance.clone()));
        all
    }

    fn of(costs: &[&Cost], job: Option<&Job>) -> Option<Self> {
        let last = costs.iter().max_by_key(|cost| (cost.to, cost.id()))?;
        let sums = Sums::of(costs.iter().copied());
        let link = last.job.zip(last.run).zip(last.repository.clone());
        Some(Self {
            job: link.map(|((key, run), repository)| JobLink {
                repository,
                run,
                job: key.job,
                name: last.job_name.clone(),
            }),
            workflow: last.attribution.workflow.clone(),
            actor: last.attribution.actor.clone(),
            pull: last.attribution.pull,
            outcome: outcome(costs, job),
            instance: last.instance.clone(),
            instance_type: last.pool.instance_type.clone(),
            zone: last.pool.zone.clone(),
            lifecycle: last.lifecycle,
            instances: sums.instances,
            billed: costs.iter().map(|cost| cost.to.since(cost.from).max(MIN_BILLED)).sum(),
            ended_at: last.to,
            cost: sums.total,
            saved: sums.saved,
            is_estimated: sums.by_shipped_prices > 0,
        })
    }
}

/// Returns the outcome of several instances: running the job counts first, then the purposes in this order.
fn outcome(costs: &[&Cost], job: Option<&Job>) -> JobOutcome {
    let was = |purpose| costs.iter().any(|cost| cost.purpose == purpose);
    if was(Purpose::Job) {
        return match job.map(|job| &job.state) {
            Some(JobState::Finished { conclusion }) => JobOutcome::Ended(*conclusion),
            _ => JobOutcome::Ran,
        };
    }
    [
        (Purpose::Interrupted, JobOutcome::Interrupted),
        (Purpose::Message, JobOutcome::GivenUp),
        (Purpose::Idle, JobOutcome::Unused),
    ]
    .into_iter()
    .find(|(purpose, _)| was(*purpose))
    .map_or(JobOutcome::Orphan, |(_, outcome)| outcome)
}
