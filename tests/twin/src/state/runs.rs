//! Runs: created, advanced from job to job, concluded, cancelled.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::State;
use super::repos::Source;
use crate::condition::{NeedsResults, Value};
use crate::event::Happening;
use crate::expand;
use crate::model::{Conclusion, JobId, RepoId, Run, RunId, Slot, Status, WorkflowId};
use crate::payload;
use crate::workflow::{JobSpec, RunContext, Workflow, WorkflowError, WorkflowFile};

/// Why a run cannot be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelRefusal {
    /// There is no such run.
    NotFound,
    /// It is done.
    Completed,
}

impl State {
    pub(super) fn create_run(
        &mut self,
        repo_id: RepoId,
        path: &str,
        file: &WorkflowFile,
        event: &str,
        from: &Source<'_>,
        now: Timestamp,
    ) -> Result<RunId, WorkflowError> {
        let id = RunId(self.ids.next("run"));
        let key = (repo_id, path.to_owned());
        let workflow_id = match self.workflows.get(&key) {
            Some(known) => *known,
            None => WorkflowId(self.ids.next("workflow")),
        };
        self.workflows.insert(key, workflow_id);
        let repo = self
            .repos
            .get_mut(&repo_id)
            .unwrap_or_else(|| unreachable!("a run is only made from a commit of its repository"));
        repo.run_count += 1;
        let number = repo.run_count;
        let actor = from.actor.clone();
        let context = RunContext {
            github: BTreeMap::from([
                ("run_id".to_owned(), id.to_string()),
                ("run_number".to_owned(), number.to_string()),
                ("sha".to_owned(), from.sha.to_owned()),
                ("ref".to_owned(), format!("refs/heads/{}", from.branch)),
                ("ref_name".to_owned(), from.branch.to_owned()),
                ("repository".to_owned(), repo.full_name()),
                ("repository_owner".to_owned(), repo.owner.login.clone()),
                ("actor".to_owned(), actor.login.clone()),
                ("event_name".to_owned(), event.to_owned()),
                ("workflow".to_owned(), file.name()),
            ]),
        };
        let slots = file
            .jobs(&context)?
            .into_iter()
            .map(|spec| Slot { spec, job: None })
            .collect();
        let run = Run {
            id,
            repo: repo_id,
            workflow: Workflow {
                id: workflow_id,
                name: file.name(),
                path: path.to_owned(),
            },
            number,
            attempt: 1,
            event: event.to_owned(),
            head_branch: from.branch.to_owned(),
            head_sha: from.sha.to_owned(),
            head_repo: from.head_repo,
            triggering_actor: actor.clone(),
            actor,
            concurrency: file.concurrency(&context)?,
            status: Status::Queued,
            conclusion: None,
            created_at: now,
            started_at: now,
            updated_at: now,
            cancelled: false,
            slots,
            earlier: Vec::new(),
        };
        self.runs.insert(id, run);
        self.enter_group(id, now);
        self.announce_attempt(id);
        self.advance_run(id, now);
        Ok(id)
    }

    /// Tells of a new attempt of a run.
    pub(super) fn announce_attempt(&mut self, id: RunId) {
        let run = &self.runs[&id];
        let (attempt, workflow) = (run.attempt, run.workflow.name.clone());
        self.publish(Happening::RunRequested {
            run: id,
            attempt,
            workflow,
        });
        self.send_run(id, "requested");
    }

    pub(super) fn send_run(&mut self, id: RunId, action: &'static str) {
        let run = &self.runs[&id];
        let repo = run.repo;
        let payload = payload::run_event(self, run, action);
        self.send("workflow_run", action, repo, id.0, payload);
    }

    /// Creates the jobs whose needs are done, and concludes the run when every job is.
    pub(super) fn advance_run(&mut self, id: RunId, now: Timestamp) {
        if self.runs[&id].status == Status::Pending {
            return;
        }
        while let Some((slot, runs)) = self.next_ready_slot(id) {
            self.create_job(id, slot, runs, now);
        }
        let run = &self.runs[&id];
        let done = run.status != Status::Completed && run.slots.iter().all(|slot| self.slot_conclusion(slot).is_some());
        if done {
            self.conclude_run(id, now);
        }
    }

    /// Returns the first job without a record whose needs are done, and whether it should run.
    fn next_ready_slot(&self, id: RunId) -> Option<(usize, bool)> {
        let run = &self.runs[&id];
        run.slots.iter().enumerate().find_map(|(index, slot)| {
            if slot.job.is_some() {
                return None;
            }
            let known = self.known_of_needs(run, &slot.spec)?;
            let met = match &slot.spec.condition {
                Some(condition) => condition.holds(&known),
                None => known.succeeded && !known.cancelled,
            };
            Some((index, met))
        })
    }

    /// Returns the results for a job's condition, or `None` until all its needs are done.
    fn known_of_needs<'a>(&'a self, run: &'a Run, spec: &'a JobSpec) -> Option<NeedsResults<'a>> {
        let mut known = NeedsResults {
            cancelled: run.cancelled,
            succeeded: true,
            failed: false,
            results: BTreeMap::new(),
            outputs: BTreeMap::new(),
        };
        for need in &spec.needs {
            for needed in run.slots.iter().filter(|one| one.spec.key == *need) {
                let job = self.jobs.get(&needed.job?)?;
                let end = job.conclusion?;
                known.succeeded &= end == Conclusion::Success;
                known.failed |= end == Conclusion::Failure;
                // Of a matrix, the worst.
                let result = known.results.entry(need.as_str()).or_insert(end);
                if end == Conclusion::Failure || *result == Conclusion::Success {
                    *result = end;
                }
                known.outputs.insert(need.as_str(), &job.outputs);
            }
        }
        Some(known)
    }

    /// Fills in the results of earlier jobs.
    pub(super) fn fill_needs(&self, id: RunId, spec: &mut JobSpec) {
        let run = &self.runs[&id];
        let asked = spec.clone();
        let Some(known) = self.known_of_needs(run, &asked) else {
            return;
        };
        let fill =
            |text: &mut String| *text = expand::late(text, |path| Value::of_needs(path).map(|one| one.text(&known)));
        spec.env.values_mut().for_each(fill);
        for step in &mut spec.steps {
            step.env.values_mut().for_each(fill);
            step.run.iter_mut().for_each(fill);
        }
    }

    fn slot_conclusion(&self, slot: &Slot) -> Option<Conclusion> {
        self.jobs.get(&slot.job?)?.conclusion
    }

    fn conclude_run(&mut self, id: RunId, now: Timestamp) {
        let run = &self.runs[&id];
        let forgiven =
            |slot: &&Slot| slot.spec.continue_on_error && self.slot_conclusion(slot) == Some(Conclusion::Failure);
        let counted = run.slots.iter().filter(|slot| !forgiven(slot));
        let ends: Vec<Conclusion> = counted.filter_map(|slot| self.slot_conclusion(slot)).collect();
        let conclusion = if ends.contains(&Conclusion::Failure) {
            Conclusion::Failure
        } else if run.cancelled || ends.contains(&Conclusion::Cancelled) {
            Conclusion::Cancelled
        } else if !ends.is_empty() && ends.iter().all(|end| *end == Conclusion::Skipped) {
            Conclusion::Skipped
        } else {
            Conclusion::Success
        };
        let attempt = run.attempt;
        self.change_run(id, now, |run| {
            run.status = Status::Completed;
            run.conclusion = Some(conclusion);
        });
        self.publish(Happening::RunCompleted {
            run: id,
            attempt,
            conclusion,
        });
        self.send_run(id, "completed");
        self.leave_group(id, now);
    }

    /// The first job of an attempt started.
    pub(super) fn mark_run_started(&mut self, id: RunId, now: Timestamp) {
        if self.runs[&id].status == Status::Queued {
            self.change_run(id, now, |run| run.status = Status::InProgress);
            self.send_run(id, "in_progress");
        }
    }

    pub(super) fn change_run(&mut self, id: RunId, now: Timestamp, change: impl FnOnce(&mut Run)) {
        if let Some(run) = self.runs.get_mut(&id) {
            change(run);
            run.updated_at = now;
        }
    }

    /// Cancels a run: jobs without a runner end now, running ones are informed (`force`: end now too).
    pub(crate) fn cancel_run(&mut self, id: RunId, force: bool, now: Timestamp) -> Result<(), CancelRefusal> {
        let run = self.runs.get(&id).ok_or(CancelRefusal::NotFound)?;
        if run.status == Status::Completed {
            return Err(CancelRefusal::Completed);
        }
        let jobs: Vec<JobId> = run.slots.iter().filter_map(|slot| slot.job).collect();
        self.change_run(id, now, |run| {
            run.cancelled = true;
            if run.status == Status::Pending {
                run.status = Status::Queued;
            }
        });
        for job in jobs {
            self.cancel_job(job, force, now);
        }
        self.advance_run(id, now);
        Ok(())
    }
}
