//! What the outcome of a launch try means for the runner and its job.

use dayfly_policy::Refused;
use dayfly_records::steps::RunnerStep;
use dayfly_records::{CheckContent, Ending, GateState, Instance, Job, JobState, Launched, Runner, RunnerState};
use dayfly_types::capacity::{self, FleetError, FleetErrorKind, LaunchFailure};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::{InstanceType, RunnerName};
use dayfly_types::time::Timestamp;

use crate::gate::fair_queue::QueuePosition;
use crate::gate::slots;
use crate::give_up;

/// The outcome of a launch try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TryOutcome {
    Launched(Launched),
    /// There is no instance.
    Failed {
        /// EC2's error for each pool.
        errors: Vec<FleetError>,
    },
    /// EC2's answer is unknown and no longer waited for.
    NeverAnswered {
        /// The last error.
        error: FleetError,
    },
    /// EC2 was not called: it is not the runner's turn.
    Queued(Box<QueuePosition<RunnerName>>),
    /// EC2 will not be called: the runner's turn can never come.
    Refused(Refused),
    /// EC2 will not be called: the launch could cost more than is left.
    Unaffordable(Refused),
}

/// What follows a launch try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterTry {
    Nothing,
    /// The next launch option, at once.
    NextOption,
}

/// What a launch try changes, to be recorded together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TryRecords {
    pub runner: Runner,
    pub instance: Option<Instance>,
    /// The job, if it is given up.
    pub job: Option<Job>,
    /// The job's next check run.
    pub content: Option<CheckContent>,
    pub next: AfterTry,
}

impl TryRecords {
    fn of(runner: Runner) -> Self {
        Self {
            runner,
            instance: None,
            job: None,
            content: None,
            next: AfterTry::Nothing,
        }
    }
}

/// Returns what to record of a launch try. The runner may have moved on since: if it is no longer
/// needed, it is left to the sweeper together with its instance.
#[must_use]
pub fn record(
    runner: Runner,
    job: Option<Job>,
    outcome: TryOutcome,
    now: Timestamp,
    deadlines: &Deadlines,
) -> TryRecords {
    match outcome {
        TryOutcome::Launched(launched) => launch(runner, launched, now, deadlines),
        TryOutcome::Failed { errors } => failed(runner, job, &errors, now, deadlines),
        TryOutcome::NeverAnswered { error } => {
            let mut runner = runner;
            capacity::record_failure(&mut runner.tried, runner.plan.option().lifecycle, &error, now);
            // An instance that it may have launched is found by its tag.
            give_up(runner, job, RunnerStep::DropNeed, now, deadlines)
        }
        TryOutcome::Queued(queued) => wait(runner, &queued, now, deadlines),
        // The runner has moved on since it asked.
        TryOutcome::Refused(_) if !slots::needs_slot(&runner) => TryRecords::of(runner),
        TryOutcome::Refused(refused) | TryOutcome::Unaffordable(refused) => {
            refuse(runner, job, &refused, now, deadlines)
        }
    }
}

/// Ends a runner whose launch the stack policy refuses, and refuses its job.
fn refuse(
    mut runner: Runner,
    job: Option<Job>,
    refused: &Refused,
    now: Timestamp,
    deadlines: &Deadlines,
) -> TryRecords {
    let reason = refused.to_string();
    let ending = Ending::Unlaunchable { reason: reason.clone() };
    if !runner.end(RunnerStep::GiveUpLaunch, ending, now, deadlines) {
        // It has moved on since it asked.
        return TryRecords::of(runner);
    }
    let refused = job
        .filter(|job| job.runner.as_ref() == Some(&runner.name))
        .and_then(|job| match (&runner.message, job.state.is_given_up()) {
            (None, _) if job.state == JobState::Launching => Some(give_up::refuse(job, reason, now)),
            (Some(_), true) => Some(give_up::cannot_send(job, reason, Vec::new(), now)),
            _ => None,
        });
    let (job, content) = refused.unzip();
    TryRecords {
        job,
        content,
        ..TryRecords::of(runner)
    }
}

/// Lets a runner wait for its turn.
fn wait(mut runner: Runner, queued: &QueuePosition<RunnerName>, now: Timestamp, deadlines: &Deadlines) -> TryRecords {
    if runner.state != RunnerState::Requested || !slots::needs_slot(&runner) {
        // It has moved on since it asked.
        return TryRecords::of(runner);
    }
    runner.gate = Some(GateState::Waiting);
    runner.launch_due = now.after(slots::ask_again(&runner.name));
    runner.due_at = runner.next_deadline(deadlines);
    let content = CheckContent::Queued {
        place: queued.place,
        of: queued.of,
        words: queued.words(),
    };
    TryRecords {
        content: Some(content),
        ..TryRecords::of(runner)
    }
}

fn launch(mut runner: Runner, launched: Launched, now: Timestamp, deadlines: &Deadlines) -> TryRecords {
    let instance = Instance {
        instance: launched.instance.clone(),
        runner: runner.name.clone(),
        at: launched.at,
    };
    let content = CheckContent::Launched {
        pool: launched.pool(),
        lifecycle: launched.lifecycle,
        tried: runner.tried.clone(),
    };
    if runner.launched.is_none() {
        runner.launched = Some(launched);
        if !runner.take(RunnerStep::Launch, now, deadlines) {
            // The runner is ending and now has an instance to end. If it is gone already, the patrol
            // finds the instance.
            runner.due_at = runner.next_deadline(deadlines);
        }
    }
    TryRecords {
        instance: Some(instance),
        content: (runner.state == RunnerState::Launched).then_some(content),
        ..TryRecords::of(runner)
    }
}

fn failed(
    mut runner: Runner,
    job: Option<Job>,
    errors: &[FleetError],
    now: Timestamp,
    deadlines: &Deadlines,
) -> TryRecords {
    for error in errors {
        capacity::record_failure(&mut runner.tried, runner.plan.option().lifecycle, error, now);
    }
    runner.fleet = None;
    if runner.state != RunnerState::Requested {
        // It is ending anyway.
        return TryRecords::of(runner);
    }
    let all = |is: fn(FleetErrorKind) -> bool| !errors.is_empty() && errors.iter().all(|error| is(error.kind));
    runner.plan.hopeful |= !all(is_permanent);
    if runner.plan.next(all(|kind| kind == FleetErrorKind::BadRequest)) {
        let runner = super::claim::resume(runner, now, deadlines);
        return TryRecords {
            next: AfterTry::NextOption,
            ..TryRecords::of(runner)
        };
    }
    let next = now.after(deadlines.retry(runner.plan.round));
    let last_moment = runner.launch_begun_at().after(deadlines.give_up);
    if !runner.plan.hopeful || next > last_moment {
        return give_up(runner, job, RunnerStep::GiveUpLaunch, now, deadlines);
    }
    runner.plan.begin_again();
    runner.launch_due = next;
    runner.due_at = runner.next_deadline(deadlines);
    let content = CheckContent::Waiting {
        next_at: next,
        tried: runner.tried.clone(),
    };
    TryRecords {
        content: Some(content),
        ..TryRecords::of(runner)
    }
}

/// Whether waiting cannot help.
fn is_permanent(kind: FleetErrorKind) -> bool {
    match kind {
        FleetErrorKind::BadRequest | FleetErrorKind::QuotaTooSmall | FleetErrorKind::PriceLimitTooLow => true,
        FleetErrorKind::Capacity
        | FleetErrorKind::Quota
        | FleetErrorKind::Price
        | FleetErrorKind::TokenUsed
        | FleetErrorKind::Throttled
        | FleetErrorKind::Unknown => false,
    }
}

fn give_up(
    mut runner: Runner,
    job: Option<Job>,
    step: RunnerStep,
    now: Timestamp,
    deadlines: &Deadlines,
) -> TryRecords {
    let reason = reason(&runner);
    let ending = Ending::Unlaunchable { reason: reason.clone() };
    runner.end(step, ending, now, deadlines);
    let given_up = job
        .filter(|job| job.runner.as_ref() == Some(&runner.name))
        .and_then(|job| give_up_job(job, &runner, reason, now));
    let (job, content) = given_up.unzip();
    TryRecords {
        job,
        content,
        ..TryRecords::of(runner)
    }
}

/// Gives the job up or, if its messenger could not be launched, leaves it without one.
fn give_up_job(job: Job, runner: &Runner, reason: String, now: Timestamp) -> Option<(Job, CheckContent)> {
    match (&runner.message, job.state.is_given_up()) {
        // If another runner has taken the job meanwhile, it goes on.
        (None, _) if job.state == JobState::Launching => {
            Some(give_up::unlaunchable(job, reason, runner.tried.clone(), now))
        }
        (Some(_), true) => Some(give_up::cannot_send(job, reason, runner.tried.clone(), now)),
        _ => None,
    }
}

/// Returns why no instance launched and what to do about it, for the job's author.
fn reason(runner: &Runner) -> String {
    let mut options: Vec<String> = Vec::new();
    for option in runner.plan.options() {
        let types: Vec<&str> = option.spec.instance_types.iter().map(InstanceType::as_str).collect();
        options.push(format!("{} {}", option.lifecycle, types.join(", ")));
    }
    let rounds = match runner.plan.round {
        1 => "one round".to_owned(),
        rounds => format!("{rounds} rounds"),
    };
    format!(
        "no instance could be had ({}) in {rounds} of launch tries; {}. {}",
        options.join("; "),
        errors(&runner.tried),
        remedy(runner)
    )
}

/// Returns EC2's errors, and why EC2 was not called for some options.
fn errors(tried: &[LaunchFailure]) -> String {
    let (not_asked, asked): (Vec<&LaunchFailure>, Vec<&LaunchFailure>) = tried
        .iter()
        .partition(|one| one.kind == FleetErrorKind::PriceLimitTooLow);
    let mut parts: Vec<String> = Vec::new();
    if !asked.is_empty() || not_asked.is_empty() {
        parts.push(format!("EC2 said: {}", distinct_errors(&asked).join(" · ")));
    }
    parts.extend(not_asked.iter().map(|one| one.message.clone()));
    parts.join("; ")
}

/// Returns each of EC2's errors once: they differ from pool to pool only in the pool's name.
fn distinct_errors(tried: &[&LaunchFailure]) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    let mut distinct = Vec::new();
    for one in tried {
        let error = format!("{}: {}", one.code, one.message);
        let without_pool = one.pool.as_ref().map_or_else(
            || error.clone(),
            |pool| {
                error
                    .replace(pool.instance_type.as_str(), "")
                    .replace(pool.zone.as_str(), "")
            },
        );
        if !known.contains(&without_pool) {
            known.push(without_pool);
            distinct.push(error);
        }
    }
    distinct
}

/// Returns what the job's author or the owner of the account can do.
fn remedy(runner: &Runner) -> &'static str {
    let had = |kind| runner.tried.iter().any(|one| one.kind == kind);
    if had(FleetErrorKind::Quota) || had(FleetErrorKind::QuotaTooSmall) {
        "The account may not run more of these: raise the quota in Service Quotas, or name other instance types"
    } else if had(FleetErrorKind::PriceLimitTooLow) && had(FleetErrorKind::Capacity) {
        "Raise `max_price`, name more or cheaper instance types, or run the job again later"
    } else if had(FleetErrorKind::Capacity) {
        "Name more instance types, allow `fallback: on-demand`, or run the job again later"
    } else if had(FleetErrorKind::Price) || had(FleetErrorKind::PriceLimitTooLow) {
        "Raise `max_price`, or name cheaper instance types"
    } else if had(FleetErrorKind::BadRequest) {
        "Fix the runner's entry in the configuration, or the stack's parameters, and run the job again"
    } else {
        "Run the job again later; if it stays so, the launch function's log says more"
    }
}

#[cfg(test)]
mod tests;
