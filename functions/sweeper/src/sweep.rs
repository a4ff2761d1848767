//! Records that are due.

use dayfly_engine::check_run;
use dayfly_engine::cost::thresholds;
use dayfly_engine::pull_comment;
use dayfly_engine::runner::timeouts::{self, JobDue, RunnerDue};
use dayfly_flows::{
    FlowError, MAX_CONFLICTS, SETTLE_BATCH, ScheduleState, commit_if_current, reap, reconcile_gate,
    rerun_interrupted_jobs, settle_costs, switch_off_if_quiet,
};
use dayfly_ports::{Bus, Ports, Schedule, Store};
use dayfly_records::event::{CapDue, CheckRunDue, CommentDue, Event, LaunchDue, QueueDue};
use dayfly_records::{Change, Ending, Job, Record, Runner, Stored};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::time::Timestamp;

use crate::{Function, Swept, Task};

/// Records per sweep; the rest is due at the next.
const AT_ONCE: usize = 200;

impl<P: Ports, C: Schedule> Function<P, C> {
    /// Handles every record that is due. If none is, and nothing lives, switches the minute schedule off.
    pub(crate) async fn sweep(&self, task: Task, swept: &mut Swept, now: Timestamp) -> Result<(), FlowError> {
        let due = self.ports.store().due(now, AT_ONCE).await?;
        swept.due = due.len();
        // Reports go first. Every update of a job writes to them, so after the rest they would no longer be at the
        // version that was read, sweep after sweep.
        let (reports, due): (Vec<_>, Vec<_>) = due.into_iter().partition(|stored| is_report(&stored.record));
        self.sweep_each(reports, swept, now).await;
        let (gone, due) = split_gone(due, now, &self.deadlines);
        self.settle_all(gone, swept, now).await;
        self.sweep_each(due, swept, now).await;
        // What was done now may have made something due that the index does not show yet.
        let (called, is_busy) = (task == Task::Sweep, swept.due > 0);
        let (store, deadlines) = (self.ports.store(), &self.deadlines);
        let state = switch_off_if_quiet(store, &self.schedule, called, is_busy, now, deadlines).await?;
        swept.asleep = state != ScheduleState::On;
        swept.fell_asleep = state == ScheduleState::SwitchedOff;
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

    /// Settles runners that are gone, batch by batch.
    async fn settle_all(&self, mut gone: Vec<Stored<Runner>>, swept: &mut Swept, now: Timestamp) {
        while !gone.is_empty() {
            let some: Vec<_> = gone.drain(..gone.len().min(SETTLE_BATCH)).collect();
            let count = some.len();
            let settled = settle_costs(&self.ports, &self.prices, some, MAX_CONFLICTS, now, &self.deadlines);
            match settled.await {
                Ok(unpriced) => swept.failed += unpriced,
                Err(error) => {
                    tracing::warn!(count, %error, "the cost of runners could not be counted; they stay due");
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
            Record::Run(run) => rerun_interrupted_jobs(self.ports.store(), self.ports.github(), run.key, now).await,
            Record::FleetCall(call) => {
                let due = QueueDue {
                    queue: call.queue,
                    fleet: Some(call.id),
                };
                Ok(self.ports.bus().publish(&Event::QueueDue(due)).await?)
            }
            Record::CheckRun(check_run) => {
                let due = CheckRunDue {
                    run: check_run.run,
                    key: check_run.key,
                };
                let deferred = check_run::deferred(*check_run, now, &self.deadlines);
                self.publish_report(Change::update(version, deferred), Event::CheckRunDue(due))
                    .await
            }
            Record::Pull(report) => {
                let due = CommentDue {
                    repository: report.repository.clone(),
                    pull: report.pull,
                };
                let deferred = pull_comment::deferred(*report, now, &self.deadlines);
                self.publish_report(Change::update(version, deferred), Event::CommentDue(due))
                    .await
            }
            Record::Ledger(ledger) => {
                let due = CapDue {
                    budget: ledger.budget.clone(),
                    month: ledger.month,
                };
                let deferred = thresholds::publish_again(ledger, now, &self.deadlines);
                self.publish_report(Change::update(version, deferred), Event::CapDue(due))
                    .await
            }
            Record::Gate(_) => reconcile_gate(self.ports.store(), self.ports.bus(), now, &self.deadlines).await,
            Record::Queue(_)
            | Record::QueuedRunner(_)
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
        match timeouts::check_job(&job) {
            JobDue::Launch => {
                let due = LaunchDue::of_job(job.key);
                Ok(self.ports.bus().publish(&Event::LaunchDue(due)).await?)
            }
            JobDue::Ask => self.look_up_end(job, version, now).await,
            JobDue::Nothing => Ok(()),
        }
    }

    async fn runner(&self, runner: Stored<Runner>, now: Timestamp) -> Result<(), FlowError> {
        match timeouts::check_runner(&runner.record, now, &self.deadlines) {
            RunnerDue::Early(due_at) => {
                let next = Runner {
                    due_at,
                    ..runner.record
                };
                self.record(Change::update(runner.version, next)).await.map(drop)
            }
            RunnerDue::Launch => {
                let due = LaunchDue {
                    key: runner.record.wanted_by,
                    runner: Some(runner.record.name),
                };
                Ok(self.ports.bus().publish(&Event::LaunchDue(due)).await?)
            }
            RunnerDue::Overdue(next) => {
                tracing::warn!(runner = %next.name, because = next.ending.as_ref().map(Ending::words), "gave a runner up");
                if self.record(Change::update(runner.version, (*next).clone())).await? {
                    self.end(Stored::over(runner.version, *next), now).await?;
                }
                Ok(())
            }
            RunnerDue::Ask(next) => {
                if self.record(Change::update(runner.version, (*next).clone())).await? {
                    self.look_up_job(&next, now).await?;
                }
                Ok(())
            }
            RunnerDue::Idle => {
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
            RunnerDue::End => self.end(runner, now).await,
        }
    }

    async fn end(&self, runner: Stored<Runner>, now: Timestamp) -> Result<(), FlowError> {
        reap(&self.ports, &self.prices, runner, now, &self.deadlines).await
    }

    /// Defers a report and publishes its event, unless another call changed the report since it was read.
    async fn publish_report(&self, deferred: Change, event: Event) -> Result<(), FlowError> {
        if self.record(deferred).await? {
            self.ports.bus().publish(&event).await?;
        }
        Ok(())
    }

    /// Writes a record. Returns `false` if it has changed since it was read.
    pub(crate) async fn record(&self, change: Change) -> Result<bool, FlowError> {
        Ok(commit_if_current(self.ports.store(), vec![change]).await?)
    }
}

/// Returns whether a record is of something that people read.
fn is_report(record: &Record) -> bool {
    matches!(record, Record::CheckRun(_) | Record::Pull(_) | Record::Ledger(_))
}

/// Splits the runners that are gone and only left to settle from the rest.
fn split_gone(
    due: Vec<Stored<Record>>,
    now: Timestamp,
    deadlines: &Deadlines,
) -> (Vec<Stored<Runner>>, Vec<Stored<Record>>) {
    let (mut gone, mut rest) = (Vec::new(), Vec::new());
    for Stored { record, version } in due {
        match record {
            Record::Runner(runner) if runner.is_costing_due(now, deadlines) => gone.push(Stored {
                record: *runner,
                version,
            }),
            record => rest.push(Stored { record, version }),
        }
    }
    (gone, rest)
}
