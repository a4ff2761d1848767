//! What the board shows, as plain values, and how they follow from the records.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dayfly_records::costs::{LEAST, Tariff};
use dayfly_records::event::Conclusion;
use dayfly_records::prices::PriceSource;
use dayfly_records::{Cost, Job, JobState, Ledger, Purpose, Runner, RunnerState};
use dayfly_types::budget::Budget;
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::checkin::Stage;
use dayfly_types::deadlines::OUTLIVES;
use dayfly_types::ids::{InstanceId, InstanceType, JobId, JobKey, Repository, RunId, RunnerName, Zone};
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;

/// All that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// How it is to look.
    pub look: Look,
    /// Where GitHub's pages are, without a slash at its end.
    pub web_url: String,
    /// The month whose money is shown.
    pub month: Month,
    /// Whether there is more that lives or waits than was looked at.
    pub is_cut: bool,
    /// The runners that live, those that live longest first.
    pub live: Vec<Live>,
    /// The jobs for which nothing is launched yet, those that wait longest first.
    pub waiting: Vec<Waiting>,
    /// What the instances have cost that ended today.
    pub today: Today,
    /// What is spent and reserved in that month, in the order in which it is shown.
    pub budgets: Vec<Gauge>,
    /// What ran last, the latest first.
    pub ran: Vec<Ran>,
}

/// What the instances have cost that ended since midnight in UTC: as much of it as belongs to this month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Today {
    /// All that was looked at.
    pub spent: MicroDollars,
    /// Whether there may be more than was looked at.
    pub is_cut: bool,
}

impl Today {
    /// What these costs come to. `oldest` is the launch of the earliest of them if there are others before it,
    /// and `lifetime` the longest that an instance lives.
    #[must_use]
    pub fn of(costs: &[Cost], oldest: Option<Timestamp>, lifetime: Duration, now: Timestamp) -> Self {
        let (midnight, month) = (now.utc_midnight(), Month::of(now));
        let ended = costs.iter().filter(|cost| cost.to >= midnight);
        let of_month = ended.flat_map(|cost| cost.amounts.iter().filter(|(of, _)| *of == month));
        Self {
            spent: of_month.map(|(_, amounts)| amounts.total()).sum(),
            is_cut: oldest.is_some_and(|at| at.after(lifetime + OUTLIVES) >= midnight),
        }
    }
}

/// How the board is to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Its colours; whatever the reader's system has, if nobody says.
    pub theme: Option<Theme>,
    /// How wide it is, in pixels; whatever it comes to, if nobody says.
    pub width: Option<u32>,
}

/// Colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// A job, and where GitHub shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLink {
    /// Its repository.
    pub repository: Repository,
    /// Its run.
    pub run: RunId,
    /// The job.
    pub job: JobId,
    /// Its name in the workflow, if that is known.
    pub name: Option<String>,
}

/// What a runner is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Its job waits, and nothing is under way for it; or it is not its turn.
    Queued,
    /// Its instance is asked for.
    Launching,
    /// Its instance starts, up to GitHub's runner on it.
    Booting,
    /// It waits for a job.
    Idle,
    /// It runs one.
    Running,
    /// It ends.
    Ending,
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Which.
    pub instance: InstanceId,
    /// Its type.
    pub instance_type: InstanceType,
    /// Its zone.
    pub zone: Zone,
    /// How it was bought.
    pub lifecycle: InstanceLifecycle,
    /// What an hour of it costs, without its disk and address, if that is known.
    pub per_hour: Option<MicroDollars>,
    /// From when it is billed.
    pub from: Timestamp,
    /// Until when, if it has ended.
    pub to: Option<Timestamp>,
    /// What it costs while it runs, if that is known.
    pub tariff: Option<Tariff>,
}

impl Placed {
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
            // The tariff is of the most that an hour can cost.
            tariff: tariff.map(|tariff| Tariff {
                compute: per_hour.unwrap_or(tariff.compute),
                ..tariff
            }),
        })
    }

    /// What it has cost so far, with its disk and address, as far as is known.
    #[must_use]
    pub fn so_far(&self, now: Timestamp) -> Option<MicroDollars> {
        let to = self.to.unwrap_or(now).min(now);
        let parts = self.tariff?.worst(self.from, to.max(self.from));
        Some(parts.into_iter().map(|(_, amount)| amount).sum())
    }
}

/// A runner that lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Its name.
    pub runner: RunnerName,
    /// Where it stands.
    pub state: RunnerState,
    /// Why it ends, once it does.
    pub ending: Option<String>,
    /// Whether it was sent to tell a job that it is given up.
    pub is_messenger: bool,
    /// The job that it runs, or was launched for.
    pub job: JobLink,
    /// Its instance, once there is one.
    pub placed: Option<Placed>,
    /// When each phase began that it came to, the earliest first.
    pub phases: Vec<(Phase, Timestamp)>,
}

impl Live {
    /// A runner, with the job that it runs or was launched for, if that is known.
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
            placed: Placed::of(runner),
            phases: phases(runner, job),
        }
    }

    /// How long it was in each phase, up to now.
    #[must_use]
    pub fn spans(&self, now: Timestamp) -> Vec<(Phase, Duration)> {
        let ends = self.phases.iter().skip(1).map(|(_, at)| *at).chain([now]);
        let each = self.phases.iter().zip(ends);
        each.map(|((phase, from), to)| (*phase, to.since(*from))).collect()
    }
}

/// The job that a runner runs, or was launched for.
#[must_use]
pub fn job_of(runner: &Runner) -> JobKey {
    runner.job.unwrap_or(runner.wanted_by)
}

fn job_link(runner: &Runner, job: Option<&Job>) -> JobLink {
    JobLink {
        repository: runner.repository.clone(),
        run: runner.job_run.unwrap_or(runner.run),
        job: job_of(runner).job,
        name: job.map(|job| job.name.clone()),
    }
}

/// When each phase began. What an instance says of itself is by its own clock, and nothing begins before
/// what was before it.
fn phases(runner: &Runner, job: Option<&Job>) -> Vec<(Phase, Timestamp)> {
    let told = |wanted: Stage| {
        let found = runner.stages.iter().find(|(stage, _)| *stage == wanted);
        found.map(|(_, at)| *at)
    };
    let since = |states: &[RunnerState]| states.contains(&runner.state).then_some(runner.since);
    let launching = runner.begun_at();
    let waited = (launching > runner.requested_at).then_some(runner.requested_at);
    let began = [
        (Phase::Queued, job.map(|job| job.queued_at).or(waited)),
        (Phase::Launching, Some(launching)),
        (Phase::Booting, runner.launched.as_ref().map(|launched| launched.at)),
        (
            Phase::Idle,
            told(Stage::RunnerStarted).or_else(|| since(&[RunnerState::Enrolled])),
        ),
        (
            Phase::Running,
            told(Stage::JobStarted).or_else(|| since(&[RunnerState::Busy])),
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

/// A job that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub job: JobLink,
    /// Since when.
    pub since: Timestamp,
    /// Whether it has a runner that is to be launched as soon as a limit of the stack policy allows.
    pub for_its_turn: bool,
}

impl Waiting {
    /// The job of a runner that waits for its turn, if more than the runner's record is known of it.
    #[must_use]
    pub fn for_its_turn(runner: &Runner, job: Option<&Job>) -> Self {
        Self {
            job: job_link(runner, job),
            since: job.map_or(runner.requested_at, |job| job.queued_at),
            for_its_turn: true,
        }
    }

    /// A job, if it waits and nothing is under way for it.
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

/// What is spent and reserved, by one who pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// Who.
    pub budget: Budget,
    /// What ended instances have cost.
    pub spent: MicroDollars,
    /// What those that live can still cost.
    pub reserved: MicroDollars,
    /// What they may cost together.
    pub cap: Option<MicroDollars>,
}

impl Gauge {
    /// Those that are shown: whoever has a cap; the stack, the organisations and the repositories, whether
    /// they have one or not.
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

/// What became of that for which instances were there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A job ran to its end.
    Ended(Conclusion),
    /// A job ran, and how it ended is not known.
    Ran,
    /// A job lost its instance.
    Interrupted,
    /// No job came.
    Unused,
    /// A job was told that it is given up.
    Told,
    /// No runner's record named the instance.
    Orphan,
}

/// A job that is over, with all instances that were there for it; or an instance that was there for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The job.
    pub job: Option<JobLink>,
    /// Its workflow.
    pub workflow: Option<String>,
    /// Who had its run started.
    pub actor: Option<String>,
    /// The pull request that it ran for.
    pub pull: Option<u64>,
    /// What became of it.
    pub outcome: Outcome,
    /// The last instance.
    pub instance: InstanceId,
    /// Its type.
    pub instance_type: InstanceType,
    /// Its zone.
    pub zone: Zone,
    /// How it was bought.
    pub lifecycle: InstanceLifecycle,
    /// How many instances there were.
    pub instances: usize,
    /// For how long they were billed together: each for a minute at least.
    pub billed: Duration,
    /// When the last was.
    pub ended_at: Timestamp,
    /// What they cost together.
    pub cost: MicroDollars,
    /// What was saved against on-demand capacity.
    pub saved: MicroDollars,
    /// Whether a price of the program's own table was used, because AWS could not be asked.
    pub is_estimated: bool,
}

/// What an instance was there for: a job, or nothing but itself.
type ThereFor<'a> = (Option<JobKey>, Option<&'a InstanceId>);

fn there_for(cost: &Cost) -> ThereFor<'_> {
    (cost.job, cost.job.is_none().then_some(&cost.instance))
}

impl Ran {
    /// Of these costs, those of the jobs whose last instance ended last, so many of them at most: a long job that
    /// was launched before many short ones may have ended after them.
    #[must_use]
    pub fn last(costs: &[Cost], limit: usize) -> Vec<Cost> {
        let mut ends: BTreeMap<ThereFor<'_>, Timestamp> = BTreeMap::new();
        for cost in costs {
            let end = ends.entry(there_for(cost)).or_insert(cost.to);
            *end = cost.to.max(*end);
        }
        let mut ends: Vec<_> = ends.into_iter().map(|(of, at)| (std::cmp::Reverse(at), of)).collect();
        ends.sort_unstable();
        let last: BTreeSet<_> = ends.into_iter().take(limit).map(|(_, of)| of).collect();
        let of_those = costs.iter().filter(|cost| last.contains(&there_for(cost)));
        of_those.cloned().collect()
    }

    /// What the costs of instances come to by jobs, of which `jobs` are known; the latest first.
    #[must_use]
    pub fn all(costs: &[Cost], jobs: &BTreeMap<JobKey, Job>) -> Vec<Self> {
        let mut by_job: BTreeMap<ThereFor<'_>, Vec<&Cost>> = BTreeMap::new();
        for cost in costs {
            by_job.entry(there_for(cost)).or_default().push(cost);
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
            instances: costs.len(),
            billed: costs.iter().map(|cost| cost.to.since(cost.from).max(LEAST)).sum(),
            ended_at: last.to,
            cost: costs.iter().map(|cost| cost.total()).sum(),
            saved: costs.iter().map(|cost| cost.saved()).sum(),
            is_estimated: costs.iter().any(|cost| cost.source == PriceSource::Shipped),
        })
    }
}

/// The first of these that was, of several instances.
fn outcome(costs: &[&Cost], job: Option<&Job>) -> Outcome {
    let was = |purpose| costs.iter().any(|cost| cost.purpose == purpose);
    if was(Purpose::Job) {
        return match job.map(|job| &job.state) {
            Some(JobState::Finished { conclusion }) => Outcome::Ended(*conclusion),
            _ => Outcome::Ran,
        };
    }
    [
        (Purpose::Interrupted, Outcome::Interrupted),
        (Purpose::Message, Outcome::Told),
        (Purpose::Idle, Outcome::Unused),
    ]
    .into_iter()
    .find(|(purpose, _)| was(*purpose))
    .map_or(Outcome::Orphan, |(_, outcome)| outcome)
}
