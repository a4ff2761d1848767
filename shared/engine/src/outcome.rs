//! What the answer of EC2 means for a runner that was asked for, and for its job.

use dayfly_policy::Refused;
use dayfly_records::lifecycle::RunnerStep;
use dayfly_records::{CheckContent, Ending, Instance, Job, JobState, Launched, Runner, RunnerState};
use dayfly_types::capacity::{self, FleetError, FleetErrorKind, Tried};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::{InstanceType, RunnerName};
use dayfly_types::time::Timestamp;

use crate::turns::Queued;
use crate::{gate, giving_up};

/// How an attempt went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempted {
    /// There is an instance.
    Launched(Launched),
    /// There is none, and EC2 said why.
    Failed {
        /// Its words, for each pool.
        errors: Vec<FleetError>,
    },
    /// Nobody knows, and nobody waits for EC2's answer any longer.
    NeverAnswered {
        /// What was seen last.
        error: FleetError,
    },
    /// None was made: it is not the runner's turn.
    Queued(Box<Queued<RunnerName>>),
    /// None ever will be: its turn cannot come.
    Refused(Refused),
    /// None will be: it could cost more than is left.
    Unaffordable(Refused),
}

/// What becomes of the runner's launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing more.
    Nothing,
    /// The next attempt, at once.
    Attempt,
}

/// What became of an attempt, to be recorded together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The runner.
    pub runner: Runner,
    /// The instance, if there is one.
    pub instance: Option<Instance>,
    /// The job, if it is given up.
    pub job: Option<Job>,
    /// What there is to say about the job now.
    pub content: Option<CheckContent>,
    /// What follows.
    pub next: Next,
}

impl Recorded {
    pub(super) fn of(runner: Runner) -> Self {
        Self {
            runner,
            instance: None,
            job: None,
            content: None,
            next: Next::Nothing,
        }
    }
}

/// Records how an attempt went. The runner may have moved on since it began: one that is no longer
/// wanted is left to the sweeper, together with its instance.
#[must_use]
pub fn record(
    runner: Runner,
    job: Option<Job>,
    attempted: Attempted,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Recorded {
    match attempted {
        Attempted::Launched(launched) => got(runner, launched, now, deadlines),
        Attempted::Failed { errors } => failed(runner, job, &errors, now, deadlines),
        Attempted::NeverAnswered { error } => {
            let mut runner = runner;
            capacity::note(&mut runner.tried, runner.plan.option().lifecycle, &error, now);
            // What it may have come to is found by its tag.
            give_up(runner, job, RunnerStep::DropNeed, now, deadlines)
        }
        Attempted::Queued(queued) => gate::wait(runner, &queued, now, deadlines),
        // It has moved on since it asked.
        Attempted::Refused(_) if !gate::needs_place(&runner) => Recorded::of(runner),
        Attempted::Refused(refused) | Attempted::Unaffordable(refused) => refuse(runner, job, &refused, now, deadlines),
    }
}

/// A runner that the stack policy lets have no instance, now that it is about to be launched: its job is
/// refused.
fn refuse(mut runner: Runner, job: Option<Job>, refused: &Refused, now: Timestamp, deadlines: &Deadlines) -> Recorded {
    let reason = refused.to_string();
    let ending = Ending::Unlaunchable { reason: reason.clone() };
    if !runner.end(RunnerStep::GiveUpLaunch, ending, now, deadlines) {
        // It has moved on since it asked.
        return Recorded::of(runner);
    }
    let told = job
        .filter(|job| job.runner.as_ref() == Some(&runner.name))
        .and_then(|job| match (&runner.message, job.state.is_given_up()) {
            (None, _) if job.state == JobState::Launching => Some(giving_up::refuse(job, reason, now)),
            (Some(_), true) => Some(giving_up::cannot_send(job, reason, Vec::new(), now)),
            _ => None,
        });
    let (job, content) = told.unzip();
    Recorded {
        job,
        content,
        ..Recorded::of(runner)
    }
}

fn got(mut runner: Runner, launched: Launched, now: Timestamp, deadlines: &Deadlines) -> Recorded {
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
            // It is ending, and there is something to end now. Should even that be over, patrol
            // finds an instance whose runner is gone.
            runner.due_at = runner.next_look(deadlines);
        }
    }
    Recorded {
        instance: Some(instance),
        content: (runner.state == RunnerState::Launched).then_some(content),
        ..Recorded::of(runner)
    }
}

fn failed(
    mut runner: Runner,
    job: Option<Job>,
    errors: &[FleetError],
    now: Timestamp,
    deadlines: &Deadlines,
) -> Recorded {
    for error in errors {
        capacity::note(&mut runner.tried, runner.plan.option().lifecycle, error, now);
    }
    runner.fleet = None;
    if runner.state != RunnerState::Requested {
        // It is ending anyway.
        return Recorded::of(runner);
    }
    let all = |never: fn(FleetErrorKind) -> bool| !errors.is_empty() && errors.iter().all(|error| never(error.kind));
    runner.plan.hopeful |= !all(stays_so);
    if runner.plan.next(all(|kind| kind == FleetErrorKind::BadRequest)) {
        let runner = super::launch::resume(runner, now, deadlines);
        return Recorded {
            next: Next::Attempt,
            ..Recorded::of(runner)
        };
    }
    let next = now.after(deadlines.retry(runner.plan.round));
    let last_moment = runner.begun_at().after(deadlines.give_up);
    if !runner.plan.hopeful || next > last_moment {
        return give_up(runner, job, RunnerStep::GiveUpLaunch, now, deadlines);
    }
    runner.plan.begin_again();
    runner.launch_due = next;
    runner.due_at = runner.next_look(deadlines);
    let content = CheckContent::Waiting {
        next_at: next,
        tried: runner.tried.clone(),
    };
    Recorded {
        content: Some(content),
        ..Recorded::of(runner)
    }
}

/// Whether a failure does not pass, however long anybody waits.
fn stays_so(kind: FleetErrorKind) -> bool {
    match kind {
        FleetErrorKind::BadRequest | FleetErrorKind::QuotaTooSmall | FleetErrorKind::TooDear => true,
        FleetErrorKind::Capacity
        | FleetErrorKind::Quota
        | FleetErrorKind::Price
        | FleetErrorKind::TokenUsed
        | FleetErrorKind::Throttled
        | FleetErrorKind::Unknown => false,
    }
}

fn give_up(mut runner: Runner, job: Option<Job>, step: RunnerStep, now: Timestamp, deadlines: &Deadlines) -> Recorded {
    let reason = why(&runner);
    let ending = Ending::Unlaunchable { reason: reason.clone() };
    runner.end(step, ending, now, deadlines);
    let told = job
        .filter(|job| job.runner.as_ref() == Some(&runner.name))
        .and_then(|job| tell(job, &runner, reason, now));
    let (job, content) = told.unzip();
    Recorded {
        job,
        content,
        ..Recorded::of(runner)
    }
}

/// What follows for the job: it is given up; or, if a messenger could not be launched, there is nobody
/// to tell it.
fn tell(job: Job, runner: &Runner, reason: String, now: Timestamp) -> Option<(Job, CheckContent)> {
    match (&runner.message, job.state.is_given_up()) {
        // One that another's runner took meanwhile needs none.
        (None, _) if job.state == JobState::Launching => {
            Some(giving_up::unlaunchable(job, reason, runner.tried.clone(), now))
        }
        (Some(_), true) => Some(giving_up::cannot_send(job, reason, runner.tried.clone(), now)),
        _ => None,
    }
}

/// Why no instance could be had, in words for the job's author, with what to do about it.
fn why(runner: &Runner) -> String {
    let mut asked: Vec<String> = Vec::new();
    for option in runner.plan.options() {
        let types: Vec<&str> = option.spec.instance_types.iter().map(InstanceType::as_str).collect();
        asked.push(format!("{} {}", option.lifecycle, types.join(", ")));
    }
    let rounds = match runner.plan.round {
        1 => "one round".to_owned(),
        rounds => format!("{rounds} rounds"),
    };
    format!(
        "no instance could be had ({}) in {rounds} of attempts; {}. {}",
        asked.join("; "),
        said(&runner.tried),
        mend(runner)
    )
}

/// What EC2 said, and why it was not asked.
fn said(tried: &[Tried]) -> String {
    let (not_asked, asked): (Vec<&Tried>, Vec<&Tried>) =
        tried.iter().partition(|one| one.kind == FleetErrorKind::TooDear);
    let mut parts: Vec<String> = Vec::new();
    if !asked.is_empty() || not_asked.is_empty() {
        parts.push(format!("EC2 said: {}", its_words(&asked).join(" · ")));
    }
    parts.extend(not_asked.iter().map(|one| one.message.clone()));
    parts.join("; ")
}

/// EC2's words, each once: what it says of one pool, it says of the next with that one's name.
fn its_words(tried: &[&Tried]) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    let mut said = Vec::new();
    for one in tried {
        let words = format!("{}: {}", one.code, one.message);
        let of_any_pool = one.pool.as_ref().map_or_else(
            || words.clone(),
            |pool| {
                words
                    .replace(pool.instance_type.as_str(), "")
                    .replace(pool.zone.as_str(), "")
            },
        );
        if !known.contains(&of_any_pool) {
            known.push(of_any_pool);
            said.push(words);
        }
    }
    said
}

/// What its author, or the owner of the account, can do.
fn mend(runner: &Runner) -> &'static str {
    let said = |kind| runner.tried.iter().any(|one| one.kind == kind);
    if said(FleetErrorKind::Quota) || said(FleetErrorKind::QuotaTooSmall) {
        "The account may not run more of these: raise the quota in Service Quotas, or name other instance types"
    } else if said(FleetErrorKind::TooDear) && said(FleetErrorKind::Capacity) {
        "Raise `max_price`, name more or cheaper instance types, or run the job again later"
    } else if said(FleetErrorKind::Capacity) {
        "Name more instance types, allow `fallback: on-demand`, or run the job again later"
    } else if said(FleetErrorKind::Price) || said(FleetErrorKind::TooDear) {
        "Raise `max_price`, or name cheaper instance types"
    } else if said(FleetErrorKind::BadRequest) {
        "Mend the runner's entry in the configuration, or the stack's parameters, and run the job again"
    } else {
        "Run the job again later; if it stays so, the launch function's log says more"
    }
}

#[cfg(test)]
#[path = "outcome_tests.rs"]
mod tests;
