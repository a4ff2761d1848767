//! The end of a runner: GitHub's registration first, then the instance, then what follows.

use dayfly_engine::sweep::{self, Registration};
use dayfly_ports::{ApiError, Bus, Fleet, GitHub, Removal, Scope, Store, StoreError};
use dayfly_records::{Change, Ending, Runner, RunnerState, Stored};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::InstanceId;
use dayfly_types::time::Timestamp;

use crate::costing::AT_ONCE_TRIES;
use crate::{FlowError, MAX_CONFLICTS, PriceCache, cost_ended_runners, follow_up, leave_gate};

/// How far the end of a runner has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaped {
    /// Nothing of it is left.
    Gone,
    /// It runs a job, or something did not answer: it is due again.
    Later,
}

/// Ends a runner as far as it can be ended now. The GitHub runner goes first: one that runs a job
/// cannot be removed, and keeps its instance unless it was given up.
///
/// # Errors
/// If the table, the bus or EC2 do not answer. The record stays due.
pub async fn reap<S: Store, G: GitHub, F: Fleet, B: Bus>(
    (store, github, fleet, bus, prices): (&S, &G, &F, &B, &PriceCache),
    runner: Stored<Runner>,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<Reaped, FlowError> {
    let Stored {
        record: runner,
        version,
    } = runner;
    let registration = unregister(github, &runner).await;
    let ended = end_instance((store, fleet), &runner, registration, now, deadlines).await?;
    // What follows does not wait for an instance that is only left to EC2.
    if ended || runner.left_to_ec2_until(now, deadlines).is_some() {
        follow_up(store, bus, &runner, now).await?;
    }
    let end = End {
        registration,
        ended,
        ending: runner.ending.clone(),
    };
    let known = Stored {
        record: runner,
        version,
    };
    let gone = record(store, known, &end, now, deadlines).await?;
    let reaped = if gone.is_some() { Reaped::Gone } else { Reaped::Later };
    if let Some(runner) = gone {
        part_with((store, fleet, bus, prices), runner, now, deadlines).await;
    }
    Ok(reaped)
}

/// A runner is gone: it leaves the gate, and what it has cost is counted. What cannot be done now is
/// done by whoever looks after the gate, and by the next sweep.
pub async fn part_with<S: Store, F: Fleet, B: Bus>(
    (store, fleet, bus, prices): (&S, &F, &B, &PriceCache),
    runner: Stored<Runner>,
    now: Timestamp,
    deadlines: &Deadlines,
) {
    leave_gate(store, bus, &runner.record, now).await;
    let name = runner.record.name.clone();
    // Its future lies deep within those of all who call this.
    let settled = Box::pin(cost_ended_runners(
        (store, fleet, bus, prices),
        vec![runner],
        AT_ONCE_TRIES,
        now,
        deadlines,
    ))
    .await;
    if let Err(error) = settled {
        tracing::warn!(runner = %name, %error, "what a runner has cost is counted at the next sweep");
    }
}

/// How far the end was brought about: facts, whatever the record says meanwhile.
#[derive(Debug)]
struct End {
    registration: Registration,
    ended: bool,
    ending: Option<Ending>,
}

/// Records the end, on whatever the runner has become meanwhile: an instance that is ended stays
/// ended, for the reason it was ended for, though a last heartbeat of it came in between. Answers the
/// runner if it is gone.
async fn record<S: Store>(
    store: &S,
    mut runner: Stored<Runner>,
    end: &End,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<Option<Stored<Runner>>, FlowError> {
    for _ in 0..MAX_CONFLICTS {
        let next = sweep::after_end(&runner.record, end.registration, end.ended, now, deadlines);
        let gone = next.state == RunnerState::Gone;
        tracing::info!(
            runner = %next.name,
            instance = next.instance().map(InstanceId::as_str),
            because = end.ending.as_ref().map(Ending::words),
            state = ?next.state,
            ?end,
            "ended a runner as far as it can be",
        );
        let mut changes = vec![Change::update(runner.version, next.clone())];
        if gone {
            changes.extend(end_of_job(store, &runner.record, now, deadlines).await?);
        }
        match store.commit(changes).await {
            Err(StoreError::Conflict) => {}
            done => {
                done?;
                return Ok(gone.then(|| Stored::over(runner.version, next)));
            }
        }
        match store.runner(&runner.record.name).await? {
            Some(current) if end.ended && current.record.is_live() => runner = current,
            // Somebody else has moved it on; if it still has to end, it is due still.
            _ => return Ok(None),
        }
        runner.record.ending = end.ending.clone().or(runner.record.ending);
    }
    Err(StoreError::Conflict.into())
}

/// The job that ran on a runner that is gone is looked up if its own end is not told.
async fn end_of_job<S: Store>(
    store: &S,
    runner: &Runner,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<Option<Change>, StoreError> {
    let Some(Stored { record, version }) = store.job(runner.job.unwrap_or(runner.wanted_by)).await? else {
        return Ok(None);
    };
    Ok(sweep::end_is_missing(&record, runner, now, deadlines).map(|job| Change::update(version, job)))
}

async fn unregister<G: GitHub>(github: &G, runner: &Runner) -> Registration {
    match try_unregister(github, runner).await {
        Ok(registration) => registration,
        Err(error) => {
            tracing::warn!(runner = %runner.name, %error, "the runner could not be removed from GitHub; it is tried again");
            Registration::Unclear(error.wait())
        }
    }
}

async fn try_unregister<G: GitHub>(github: &G, runner: &Runner) -> Result<Registration, ApiError> {
    let scope = Scope {
        installation: runner.installation,
        repository: runner.repository.clone(),
    };
    let mut ids = Vec::new();
    ids.extend(runner.runner_id);
    // A registration that failed may have been made all the same, and nobody was told its id. So may one
    // whose record the table has lost: the same call to EC2 leads to the same instance.
    let unknown = match runner.runner_id {
        Some(_) => 1..runner.mints,
        None => 1..runner.mints.max(1) + 1,
    };
    for mint in unknown {
        if let Some(name) = runner.registration(mint) {
            let found = github.runner_named(&scope, &name).await?;
            ids.extend(found.map(|view| view.id));
        }
    }
    let mut registration = Registration::Removed;
    for id in ids {
        if github.remove_runner(&scope, id).await? == Removal::Busy {
            registration = Registration::Busy;
        }
    }
    Ok(registration)
}

/// Whether it is certain that a runner without an instance will not get one: it is in no call, or its
/// call's answer is recorded.
async fn never_launched<S: Store>(store: &S, runner: &Runner) -> Result<bool, FlowError> {
    let Some(fleet) = &runner.fleet else {
        return Ok(true);
    };
    let call = store.fleet_call(fleet).await?;
    Ok(call.is_none_or(|call| call.record.due_at.is_none()))
}

/// Ends the instance if it may end. Answers whether it is ended, or there will never be one.
async fn end_instance<S: Store, F: Fleet>(
    (store, fleet): (&S, &F),
    runner: &Runner,
    registration: Registration,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<bool, FlowError> {
    if runner.instance_ended {
        return Ok(true);
    }
    let end = sweep::instance_end(runner, registration, now, deadlines);
    let Some(instance) = runner.instance() else {
        return never_launched(store, runner).await;
    };
    if end.terminate {
        fleet.terminate(std::slice::from_ref(instance), end.at_once).await?;
    }
    Ok(end.terminate)
}
