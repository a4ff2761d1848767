//! The end of a runner: first its registration at GitHub, then its instance, then its job and its cost.

use dayfly_engine::runner::timeouts::{self, RemovalResult};
use dayfly_ports::{ApiError, Fleet, GitHub, Ports, Removal, Scope, Store, StoreError};
use dayfly_records::{Change, Ending, Runner, RunnerState, Stored};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::InstanceId;
use dayfly_types::time::Timestamp;

use super::reschedule_job;
use crate::cost::{INLINE_SETTLE_TRIES, PriceCache, settle_costs};
use crate::{FlowError, MAX_CONFLICTS, commit_if_current, leave_gate};

/// Ends a runner as far as it can end now. The registration goes first: GitHub does not remove a runner that
/// runs a job, and such a runner keeps its instance unless it was given up.
///
/// # Errors
/// The table, the bus or EC2 does not answer. The record stays due.
pub async fn reap<P: Ports>(
    ports: &P,
    prices: &PriceCache,
    runner: Stored<Runner>,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<(), FlowError> {
    let registration = unregister(ports.github(), &runner.record).await;
    let ended = end_instance(ports, &runner.record, registration, now, deadlines).await?;
    // The job does not wait for an instance that is only left to EC2.
    if ended || runner.record.left_to_ec2_until(now, deadlines).is_some() {
        reschedule_job(ports.store(), ports.bus(), &runner.record, now).await?;
    }
    let end = End {
        registration,
        ended,
        ending: runner.record.ending.clone(),
    };
    if let Some(gone) = record_end(ports.store(), runner, &end, now, deadlines).await? {
        release_ended_runner(ports, prices, gone, now, deadlines).await;
    }
    Ok(())
}

/// Releases what a runner that is gone still holds: its slot at the gate and its reservation. What fails is
/// done when the gate is reconciled, or by the next sweep.
pub async fn release_ended_runner<P: Ports>(
    ports: &P,
    prices: &PriceCache,
    runner: Stored<Runner>,
    now: Timestamp,
    deadlines: &Deadlines,
) {
    leave_gate(ports.store(), ports.bus(), &runner.record, now).await;
    let name = runner.record.name.clone();
    // Boxed, because the futures of all callers would contain this large one.
    let settled = Box::pin(settle_costs(
        ports,
        prices,
        vec![runner],
        INLINE_SETTLE_TRIES,
        now,
        deadlines,
    ))
    .await;
    if let Err(error) = settled {
        tracing::warn!(runner = %name, %error, "the runner's cost is counted at the next sweep");
    }
}

/// What was ended: facts, whatever the record says by now.
#[derive(Debug)]
struct End {
    registration: RemovalResult,
    ended: bool,
    ending: Option<Ending>,
}

/// Records the end on the current record: an instance that was ended stays ended, for the reason it was
/// ended for, even if a last heartbeat was written in between. Returns the runner if it is gone.
async fn record_end<S: Store>(
    store: &S,
    mut runner: Stored<Runner>,
    end: &End,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<Option<Stored<Runner>>, FlowError> {
    for _ in 0..MAX_CONFLICTS {
        let next = timeouts::after_end(&runner.record, end.registration, end.ended, now, deadlines);
        let gone = next.state == RunnerState::Gone;
        tracing::info!(
            runner = %next.name,
            instance = next.instance().map(InstanceId::as_str),
            because = end.ending.as_ref().map(Ending::words),
            state = ?next.state,
            ?end,
            "ended a runner as far as possible",
        );
        let mut changes = vec![Change::update(runner.version, next.clone())];
        if gone {
            changes.extend(look_up_job_end(store, &runner.record, now, deadlines).await?);
        }
        if commit_if_current(store, changes).await? {
            return Ok(gone.then(|| Stored::over(runner.version, next)));
        }
        match store.runner(&runner.record.name).await? {
            Some(current) if end.ended && timeouts::is_same_end(&runner.record, &current.record) => runner = current,
            // Another call has moved it on or recorded its launch. If it still has to end, it is still due.
            _ => return Ok(None),
        }
        runner.record.ending = end.ending.clone().or(runner.record.ending);
    }
    Err(StoreError::Conflict.into())
}

/// Makes the job of a runner that is gone due, if GitHub has not reported the job's end.
async fn look_up_job_end<S: Store>(
    store: &S,
    runner: &Runner,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<Option<Change>, StoreError> {
    let Some(Stored { record, version }) = store.job(runner.job.unwrap_or(runner.wanted_by)).await? else {
        return Ok(None);
    };
    Ok(timeouts::await_missing_end(&record, runner, now, deadlines).map(|job| Change::update(version, job)))
}

async fn unregister<G: GitHub>(github: &G, runner: &Runner) -> RemovalResult {
    match try_unregister(github, runner).await {
        Ok(registration) => registration,
        Err(error) => {
            tracing::warn!(runner = %runner.name, %error, "GitHub did not remove the runner; it is tried again");
            RemovalResult::Unclear(error.wait())
        }
    }
}

async fn try_unregister<G: GitHub>(github: &G, runner: &Runner) -> Result<RemovalResult, ApiError> {
    let scope = Scope::of_runner(runner);
    let mut ids = Vec::new();
    ids.extend(runner.runner_id);
    // A registration that failed may have been made all the same, with an id that no answer brought. So may
    // one whose record the table has lost: the same call to EC2 leads to the same instance.
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
    let mut registration = RemovalResult::Removed;
    for id in ids {
        if github.remove_runner(&scope, id).await? == Removal::Busy {
            registration = RemovalResult::Busy;
        }
    }
    Ok(registration)
}

/// Returns whether a runner without an instance will certainly get none: it is in no fleet call, or the
/// call's answer is recorded.
async fn is_never_launched<S: Store>(store: &S, runner: &Runner) -> Result<bool, FlowError> {
    let Some(fleet) = &runner.fleet else {
        return Ok(true);
    };
    let call = store.fleet_call(fleet).await?;
    Ok(call.is_none_or(|call| call.record.due_at.is_none()))
}

/// Ends the instance if it may end. Returns `true` if it is ended, or there will never be one.
async fn end_instance<P: Ports>(
    ports: &P,
    runner: &Runner,
    registration: RemovalResult,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<bool, FlowError> {
    if runner.instance_ended {
        return Ok(true);
    }
    let end = timeouts::instance_end(runner, registration, now, deadlines);
    let Some(instance) = runner.instance() else {
        return is_never_launched(ports.store(), runner).await;
    };
    if end.terminate {
        let instances = std::slice::from_ref(instance);
        ports.fleet().terminate(instances, end.at_once).await?;
    }
    Ok(end.terminate)
}
