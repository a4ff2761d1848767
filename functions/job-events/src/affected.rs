//! The records that the start or the end of a job concerns.

use dayfly_engine::gate::slots;
use dayfly_engine::job_events::AffectedRecords;
use dayfly_ports::{Store, StoreError};
use dayfly_records::event::{JobEvent, LaunchDue};
use dayfly_records::{Change, Job, JobState, MessengerState, Record, Runner, Stored};
use dayfly_types::ids::{JobKey, RunnerName};
use dayfly_types::time::Timestamp;

/// These records as the table has them.
pub struct Loaded {
    job: Option<Stored<Job>>,
    actual_runner: Option<Stored<Runner>>,
    intended_runner: Option<Stored<Runner>>,
    displaced_job: Option<Stored<Job>>,
}

impl Loaded {
    pub async fn load<S: Store>(store: &S, event: &JobEvent) -> Result<Self, StoreError> {
        let job = store.job(event.key()).await?;
        let registered = event.runner_name.as_deref().unwrap_or_default();
        let actual_runner = match RunnerName::from_registered(registered) {
            Some(name) => store.runner(&name).await?,
            None => None,
        }
        .filter(|runner| runner.record.is_registered_as(registered));
        let intended_runner = match job.as_ref().and_then(|job| job.record.runner.as_ref()) {
            Some(name) if actual_runner.as_ref().is_none_or(|runner| runner.record.name != *name) => {
                store.runner(name).await?
            }
            _ => None,
        };
        let displaced_job = match &actual_runner {
            Some(runner) if runner.record.wanted_by != event.key() => store.job(runner.record.wanted_by).await?,
            _ => None,
        };
        Ok(Self {
            job,
            actual_runner,
            intended_runner,
            displaced_job,
        })
    }

    /// Returns whether neither the job nor the runner that took it is ours.
    pub fn is_foreign(&self) -> bool {
        self.job.is_none() && self.actual_runner.is_none()
    }

    pub fn known(&self) -> AffectedRecords {
        AffectedRecords {
            job: record(self.job.as_ref()),
            actual_runner: record(self.actual_runner.as_ref()),
            intended_runner: record(self.intended_runner.as_ref()),
            displaced_job: record(self.displaced_job.as_ref()),
        }
    }

    /// Returns the changed records, and `with`.
    pub fn changes(self, after: AffectedRecords, with: Option<Change>) -> Vec<Change> {
        [
            with,
            changed(self.job, after.job),
            changed(self.actual_runner, after.actual_runner),
            changed(self.intended_runner, after.intended_runner),
            changed(self.displaced_job, after.displaced_job),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Returns the job that lost its runner to another one, if it needs a new runner now.
pub fn displaced_job_to_launch(after: &AffectedRecords, now: Timestamp) -> Option<JobKey> {
    let job = after.displaced_job.as_ref()?;
    let waits = job.state == JobState::Queued || job.messenger_state == MessengerState::Due;
    (waits && job.due_at.is_some_and(|at| at <= now)).then_some(job.key)
}

/// Returns the turn of a runner at the gate that now belongs to another job, so that this job's check run
/// says so.
pub fn gate_turn_to_publish(after: &AffectedRecords, event: &JobEvent) -> Option<LaunchDue> {
    let runner = after.intended_runner.as_ref()?;
    let is_anothers = runner.wanted_by != event.key() && slots::is_at_gate(runner);
    is_anothers.then(|| LaunchDue {
        key: runner.wanted_by,
        runner: Some(runner.name.clone()),
    })
}

fn changed<R: PartialEq + Into<Record>>(before: Option<Stored<R>>, after: Option<R>) -> Option<Change> {
    match (before, after) {
        (Some(before), Some(after)) if before.record != after => Some(Change::update(before.version, after)),
        (None, Some(after)) => Some(Change::create(after)),
        _ => None,
    }
}

fn record<R: Clone>(stored: Option<&Stored<R>>) -> Option<R> {
    stored.map(|stored| stored.record.clone())
}
