//! What is due.

use dayfly_engine::sweep::{self, JobLook, Look};
use dayfly_engine::{check_run, comment, thresholds};
use dayfly_flows::{
    FlowError, MAX_CONFLICTS, Rest, SETTLED_AT_ONCE, cost_ended_runners, look_after_gate, reap, settle_run,
    sleep_if_quiet,
};
use dayfly_ports::{Bus, Fleet, GitHub, Schedule, Store, StoreError};
use dayfly_records::event::{CapDue, CheckRunDue, CommentDue, Event, LaunchDue, QueueDue};
use dayfly_records::{Change, Ending, Job, Record, Runner, Stored};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::time::Timestamp;

use crate::{Function, Swept, Task};

/// How many records one sweep looks at: what is left over is due at the next.
const AT_ONCE: usize = 200;

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule> Function<S, G, F, B, C> {
    /// Looks at every record that is due, then goes to sleep if nothing lives.
    pub(crate) async fn sweep(&self, task: Task, swept: &mut Swept, now: Timestamp) -> Result<(), FlowError> {
        let due = self.store.due(now, AT_ONCE).await?;
        swept.due = due.len();
        // All news of jobs are written into records of what is to be told: one that was read some time ago could
        // not be written any more, with each sweep anew.
        let (to_tell, due): (Vec<_>, Vec<_>) = due.into_iter().partition(|stored| is_to_be_told(&stored.record));
        self.sweep_each(to_tell, swept, now).await;
        let (gone, due) = gone(due, now, &self.deadlines);
        self.settle_all(gone, swept, now).await;
        self.sweep_each(due, swept, now).await;
        // What was done now may have left something due that the index does not show yet.
        if swept.due == 0 {
            let called = task == Task::Sweep;
            let rest = sleep_if_quiet(&self.store, &self.schedule, called, now, &self.deadlines).await?;
            swept.asleep = rest != Rest::Awake;
            swept.fell_asleep = rest == Rest::FellAsleep;
        }
        Ok(())
    }

    async fn sweep_each(&self, due: Vec<Stored<Record>>, swept: &mut Swept, now: Timestamp) {
        for stored in due {
            let id = stored.record.id();
            if let Err(error) = self.sweep_one(stored, now).await {
                tracing::warn!(record = %id, %error, "a record that is due stays due");
                swept.failed += 1;
            }
        }
    }

    /// Counts what those have cost of whom nothing is left, some at a time.
    async fn settle_all(&self, mut gone: Vec<Stored<Runner>>, swept: &mut Swept, now: Timestamp) {
        while !gone.is_empty() {
            let some: Vec<_> = gone.drain(..gone.len().min(SETTLED_AT_ONCE)).collect();
            let count = some.len();
            let ends = (&self.store, &self.fleet, &self.bus, &self.prices);
            match cost_ended_runners(ends, some, MAX_CONFLICTS, now, &self.deadlines).await {
                Ok(untold) => swept.failed += untold,
                Err(error) => {
                    tracing::warn!(count, %error, "what runners have cost could not be counted; they stay due");
                    swept.failed += count;
                }
            }
        }
    }

    async fn sweep_one(&self, stored: Stored<Record>, now: Timestamp) -> Result<(), FlowError> {
        let Stored { record, version } = stored;
        match record {
            Record::Runner(runner) => {
                self.runner(
                    Stored {
                        record: *runner,
                        version,
                    },
                    now,
                )
                .await
            }
            Record::Job(job) => self.job(Stored { record: *job, version }, now).await,
            Record::Run(run) => settle_run(&self.store, &self.github, run.key, now).await,
            Record::FleetCall(call) => {
                let due = QueueDue {
                    queue: call.queue,
                    fleet: Some(call.id),
                };
                Ok(self.bus.publish(&Event::QueueDue(due)).await?)
            }
            Record::CheckRun(check_run) => {
                let due = CheckRunDue {
                    run: check_run.run,
                    key: check_run.key,
                };
                let told = check_run::told(*check_run, now, &self.deadlines);
                if self.record(Change::update(version, told)).await? {
                    self.bus.publish(&Event::CheckRunDue(due)).await?;
                }
                Ok(())
            }
            Record::Pull(report) => {
                let due = CommentDue {
                    repository: report.repository.clone(),
                    pull: report.pull,
                };
                let told = comment::told(*report, now, &self.deadlines);
                if self.record(Change::update(version, told)).await? {
                    self.bus.publish(&Event::CommentDue(due)).await?;
                }
                Ok(())
            }
            Record::Ledger(ledger) => {
                let due = CapDue {
                    budget: ledger.budget.clone(),
                    month: ledger.month,
                };
                let told = thresholds::tell_again(ledger, now, &self.deadlines);
                if self.record(Change::update(version, told)).await? {
                    self.bus.publish(&Event::CapDue(due)).await?;
                }
                Ok(())
            }
            Record::Gate(_) => look_after_gate(&self.store, &self.bus, now, &self.deadlines).await,
            Record::Queue(_)
            | Record::Waiting(_)
            | Record::Pools(_)
            | Record::Bucket(_)
            | Record::Delivery(_)
            | Record::Instance(_)
            | Record::Config(_)
            | Record::Wake(_)
            | Record::Watched(_)
            | Record::Patrol(_)
            | Record::Cost(_)
            | Record::Prices(_)
            | Record::Volumes(_) => Ok(()),
        }
    }

    async fn job(&self, job: Stored<Job>, now: Timestamp) -> Result<(), FlowError> {
        let Stored { record: job, version } = job;
        match sweep::look_at_job(&job) {
            JobLook::Launch => {
                let due = LaunchDue::of_job(job.key);
                Ok(self.bus.publish(&Event::LaunchDue(due)).await?)
            }
            JobLook::Ask => self.ask_for_end(job, version, now).await,
            JobLook::Nothing => Ok(()),
        }
    }

    async fn runner(&self, runner: Stored<Runner>, now: Timestamp) -> Result<(), FlowError> {
        match sweep::look(&runner.record, now, &self.deadlines) {
            Look::Early(due_at) => {
                let next = Runner {
                    due_at,
                    ..runner.record
                };
                self.record(Change::update(runner.version, next)).await.map(drop)
            }
            Look::Launch => {
                let due = LaunchDue {
                    key: runner.record.wanted_by,
                    runner: Some(runner.record.name),
                };
                Ok(self.bus.publish(&Event::LaunchDue(due)).await?)
            }
            Look::Overdue(next) => {
                tracing::warn!(runner = %next.name, because = next.ending.as_ref().map(Ending::words), "gave a runner up");
                if self.record(Change::update(runner.version, (*next).clone())).await? {
                    self.end(Stored::over(runner.version, *next), now).await?;
                }
                Ok(())
            }
            Look::Ask(next) => {
                if self.record(Change::update(runner.version, (*next).clone())).await? {
                    self.ask_for_job(&next, now).await?;
                }
                Ok(())
            }
            Look::Idle => {
                // Not recorded yet: GitHub's answer decides whether it is idle at all.
                let idle = Runner {
                    ending: Some(Ending::Idle),
                    ..runner.record
                };
                self.end(
                    Stored {
                        record: idle,
                        version: runner.version,
                    },
                    now,
                )
                .await
            }
            Look::End => self.end(runner, now).await,
        }
    }

    async fn end(&self, runner: Stored<Runner>, now: Timestamp) -> Result<(), FlowError> {
        reap(
            (&self.store, &self.github, &self.fleet, &self.bus, &self.prices),
            runner,
            now,
            &self.deadlines,
        )
        .await
        .map(drop)
    }

    /// Writes a record; answers whether it was still as it was read.
    pub(crate) async fn record(&self, change: Change) -> Result<bool, FlowError> {
        match self.store.commit(vec![change]).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a record is of something that people are to be told.
fn is_to_be_told(record: &Record) -> bool {
    matches!(record, Record::CheckRun(_) | Record::Pull(_) | Record::Ledger(_))
}

/// Those of what is due of whom nothing is left but what they cost, and the rest.
fn gone(due: Vec<Stored<Record>>, now: Timestamp, deadlines: &Deadlines) -> (Vec<Stored<Runner>>, Vec<Stored<Record>>) {
    let (mut gone, mut rest) = (Vec::new(), Vec::new());
    for Stored { record, version } in due {
        match record {
            Record::Runner(runner) if runner.may_be_settled(now, deadlines) => gone.push(Stored {
                record: *runner,
                version,
            }),
            record => rest.push(Stored { record, version }),
        }
    }
    (gone, rest)
}
