//! Those whom the start or the end of a job concerns: loaded, and written if they changed.

use dayfly_engine::gate;
use dayfly_engine::job_events::Concerned;
use dayfly_ports::{Store, StoreError};
use dayfly_records::event::{JobEvent, LaunchDue};
use dayfly_records::{Change, Job, JobState, MessengerState, Record, Runner, Stored};
use dayfly_types::ids::{JobKey, RunnerName};
use dayfly_types::time::Timestamp;

/// Them, as they lie in the table.
pub struct Loaded {
    job: Option<Stored<Job>>,
    taken: Option<Stored<Runner>>,
    own: Option<Stored<Runner>>,
    displaced: Option<Stored<Job>>,
}

impl Loaded {
    /// Loads them.
    pub async fn load<S: Store>(store: &S, event: &JobEvent) -> Result<Self, StoreError> {
        let job = store.job(event.key()).await?;
        let taken = match event.runner_name.as_deref().and_then(RunnerName::from_registered) {
            Some(name) => store.runner(&name).await?,
            None => None,
        };
        let own = match job.as_ref().and_then(|job| job.record.runner.as_ref()) {
            Some(name) if taken.as_ref().is_none_or(|taken| taken.record.name != *name) => store.runner(name).await?,
            _ => None,
        };
        let displaced = match &taken {
            Some(taken) if taken.record.wanted_by != event.key() => store.job(taken.record.wanted_by).await?,
            _ => None,
        };
        Ok(Self {
            job,
            taken,
            own,
            displaced,
        })
    }

    /// Whether nothing of it is ours: neither the job nor the runner that took it.
    pub fn is_foreign(&self) -> bool {
        self.job.is_none() && self.taken.is_none()
    }

    /// What is known of them.
    pub fn known(&self) -> Concerned {
        Concerned {
            job: record(self.job.as_ref()),
            taken: record(self.taken.as_ref()),
            own: record(self.own.as_ref()),
            displaced: record(self.displaced.as_ref()),
        }
    }

    /// Writes what has changed, and whatever goes with it.
    pub async fn write<S: Store>(self, store: &S, after: Concerned, with: Option<Change>) -> Result<(), StoreError> {
        let changes: Vec<_> = [
            with,
            changed(self.job, after.job),
            changed(self.taken, after.taken),
            changed(self.own, after.own),
            changed(self.displaced, after.displaced),
        ]
        .into_iter()
        .flatten()
        .collect();
        if changes.is_empty() {
            return Ok(());
        }
        store.commit(changes).await
    }
}

/// The job that lost its runner to another, and has to have a new one now.
pub fn waits_again(after: &Concerned, now: Timestamp) -> Option<JobKey> {
    let displaced = after.displaced.as_ref()?;
    let waits = displaced.state == JobState::Queued || displaced.messenger_state == MessengerState::Due;
    (waits && displaced.due_at.is_some_and(|at| at <= now)).then_some(displaced.key)
}

/// A runner that waits for its turn, and is another job's from now on, whose author is to learn of it.
pub fn asks_anew(after: &Concerned, event: &JobEvent) -> Option<LaunchDue> {
    let own = after.own.as_ref()?;
    let is_anothers = own.wanted_by != event.key() && gate::is_at_it(own);
    is_anothers.then(|| LaunchDue {
        key: own.wanted_by,
        runner: Some(own.name.clone()),
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
