//! Jobs: queued, offered, taken, renewed, done.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::State;
use crate::config::JobPick;
use crate::event::{Happening, RunnerRemoval};
use crate::model::{
    Annotation, Conclusion, Job, JobId, LogLine, Offer, RunId, RunnerId, Status, Step, TakenBy, labels_match,
};
use crate::payload;
use crate::workflow::OutputSpec;

/// The annotation of a job whose runner was shut down, in the runner's words.
pub const SHUTDOWN_ANNOTATION: &str = "The runner has received a shutdown signal. This can happen when the runner service is stopped, or a manually started runner is canceled.";

/// The annotation of a job whose runner was lost, in GitHub's words.
#[must_use]
pub fn lost_annotation(runner: &str) -> String {
    format!(
        "The self-hosted runner: {runner} lost communication with the server. Verify the machine is running and has a healthy network connection. Anything in your workflow that terminates the runner process, starves it for CPU/Memory, or blocks its network access can cause this error."
    )
}

impl State {
    /// Makes the job of a slot: queued, held back, or skipped.
    pub(super) fn create_job(&mut self, run_id: RunId, slot: usize, runs: bool, now: Timestamp) {
        let id = JobId(self.ids.next("job"));
        let Some(run) = self.runs.get_mut(&run_id) else {
            return;
        };
        run.slots[slot].job = Some(id);
        let mut spec = run.slots[slot].spec.clone();
        self.fill_needs(run_id, &mut spec);
        let Some(run) = self.runs.get(&run_id) else {
            return;
        };
        let held = spec
            .environment
            .as_ref()
            .is_some_and(|one| self.rules.protected_environments.contains(one));
        let job = Job {
            id,
            run: run_id,
            attempt: run.attempt,
            status: if held { Status::Waiting } else { Status::Queued },
            conclusion: None,
            created_at: now,
            started_at: now,
            completed_at: None,
            steps: Vec::new(),
            outputs: BTreeMap::new(),
            offer: None,
            runner: None,
            renewed_at: None,
            cancel_since: None,
            log: Vec::new(),
            annotations: Vec::new(),
            spec,
        };
        let name = job.spec.name.clone();
        self.jobs.insert(id, job);
        if !runs {
            self.finish_job(id, Conclusion::Skipped, now);
        } else if held {
            self.publish(Happening::JobWaiting { job: id, name });
            self.send_job(id, "waiting");
        } else {
            self.announce_queued(id);
        }
    }

    fn announce_queued(&mut self, id: JobId) {
        let job = &self.jobs[&id];
        let event = Happening::JobQueued {
            job: id,
            run: job.run,
            name: job.spec.name.clone(),
            labels: job.spec.labels.clone(),
        };
        self.publish(event);
        self.send_job(id, "queued");
    }

    /// Lets a job go that an environment held back.
    pub(crate) fn approve(&mut self, id: JobId, now: Timestamp) -> bool {
        match self.jobs.get_mut(&id) {
            Some(job) if job.status == Status::Waiting => {
                job.status = Status::Queued;
                job.started_at = now;
                self.announce_queued(id);
                true
            }
            _ => false,
        }
    }

    pub(super) fn send_job(&mut self, id: JobId, action: &'static str) {
        let job = &self.jobs[&id];
        let repo = self.runs[&job.run].repo;
        let payload = payload::job_event(self, job, action);
        self.send("workflow_job", action, repo, id.0, payload);
    }

    /// Offers queued jobs to idle runners that may take them. A runner is not bound to the job it was
    /// created for: any queued job with matching labels is offered.
    pub(crate) fn assign(&mut self, now: Timestamp) {
        let mut queued: Vec<JobId> = self
            .jobs
            .values()
            .filter(|job| job.status == Status::Queued && job.offer.is_none())
            .map(|job| job.id)
            .collect();
        if self.rules.job_pick == JobPick::NewestFirst {
            queued.reverse();
        }
        for id in queued {
            if let Some(runner) = self.idle_runner_for(id, now) {
                self.offer(id, runner, now);
            }
        }
    }

    fn idle_runner_for(&self, id: JobId, now: Timestamp) -> Option<RunnerId> {
        let job = &self.jobs[&id];
        let repo = self.runs[&job.run].repo;
        self.runners
            .values()
            .filter(|runner| {
                runner.repo == repo
                    && runner.job.is_none()
                    && !runner.unresponsive
                    && self.is_online(runner, now)
                    && labels_match(&job.spec.labels, &runner.labels)
            })
            .min_by_key(|runner| runner.session.as_ref().map(|session| session.opened_at))
            .map(|runner| runner.id)
    }

    fn offer(&mut self, id: JobId, runner_id: RunnerId, now: Timestamp) {
        let (Some(job), Some(runner)) = (self.jobs.get_mut(&id), self.runners.get_mut(&runner_id)) else {
            return;
        };
        job.offer = Some(Offer {
            runner: runner_id,
            at: now,
        });
        runner.job = Some(id);
        let runner_name = runner.name.clone();
        self.publish(Happening::JobAssigned {
            job: id,
            runner: runner_id,
            runner_name,
        });
    }

    /// Takes back an offer; the runner, if it is still there, is free.
    pub(super) fn withdraw_offer(&mut self, id: JobId) -> Option<RunnerId> {
        let offer = self.jobs.get_mut(&id)?.offer.take()?;
        if let Some(runner) = self.runners.get_mut(&offer.runner) {
            runner.job = None;
        }
        Some(offer.runner)
    }

    /// The runner takes the job that it was offered.
    pub(crate) fn acknowledge(&mut self, id: JobId, runner_id: RunnerId, now: Timestamp) -> Option<&Job> {
        let name = self.runners.get(&runner_id)?.name.clone();
        let job = self.jobs.get_mut(&id)?;
        job.offer.take_if(|offer| offer.runner == runner_id)?;
        job.runner = Some(TakenBy {
            id: runner_id,
            name: name.clone(),
        });
        self.start_job(id, name, now);
        self.jobs.get(&id)
    }

    fn start_job(&mut self, id: JobId, runner_name: String, now: Timestamp) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        job.status = Status::InProgress;
        job.started_at = now;
        job.renewed_at = Some(now);
        job.steps = std::iter::once(("Set up job", true))
            .chain(job.spec.steps.iter().map(|step| (step.name.as_str(), false)))
            .zip(1..)
            .map(|((name, done), number)| Step {
                number,
                name: name.to_owned(),
                status: if done { Status::Completed } else { Status::Queued },
                conclusion: done.then_some(Conclusion::Success),
                started_at: done.then_some(now),
                completed_at: done.then_some(now),
            })
            .collect();
        let run = job.run;
        self.publish(Happening::JobStarted { job: id, runner_name });
        self.mark_run_started(run, now);
        self.send_job(id, "in_progress");
    }

    /// Starts a job as a runner that is not ours would (a GitHub-hosted one).
    pub(crate) fn start_elsewhere(&mut self, id: JobId, now: Timestamp) -> bool {
        self.withdraw_offer(id);
        match self.jobs.get_mut(&id) {
            Some(job) if job.status == Status::Queued => {
                let name = "GitHub Actions 1000000005".to_owned();
                job.runner = Some(TakenBy {
                    id: RunnerId(1_000_000_005),
                    name: name.clone(),
                });
                self.start_job(id, name, now);
                // It has no session here to renew the job in.
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.renewed_at = None;
                }
                true
            }
            _ => false,
        }
    }

    /// Ends a job that runs on a runner that is not ours.
    pub(crate) fn end_elsewhere(&mut self, id: JobId, end: Conclusion, now: Timestamp) -> bool {
        let runs = self
            .jobs
            .get(&id)
            .is_some_and(|job| job.status == Status::InProgress && job.renewed_at.is_none());
        if runs {
            self.finish_job(id, end, now);
        }
        runs
    }

    /// Returns the job, if this runner runs it. Every such contact is a sign of life.
    pub(crate) fn running_job_of(&mut self, id: JobId, runner: RunnerId, now: Timestamp) -> Option<&mut Job> {
        if let Some(session) = self.runners.get_mut(&runner).and_then(|runner| runner.session.as_mut()) {
            session.seen_at = now;
        }
        let job = self.jobs.get_mut(&id)?;
        let has_it = job.runner.as_ref().is_some_and(|taken| taken.id == runner);
        if job.status != Status::InProgress || !has_it {
            return None;
        }
        job.renewed_at = Some(now);
        Some(job)
    }

    pub(crate) fn add_log(&mut self, id: JobId, step: u32, lines: Vec<String>, now: Timestamp) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        job.log.extend(lines.iter().map(|text| LogLine {
            at: now,
            step,
            text: text.clone(),
        }));
        for line in lines {
            self.publish(Happening::StepOutput { job: id, step, line });
        }
    }

    pub(crate) fn change_step(
        &mut self,
        id: JobId,
        number: u32,
        conclusion: Option<Conclusion>,
        now: Timestamp,
    ) -> bool {
        let Some(step) = self
            .jobs
            .get_mut(&id)
            .and_then(|job| job.steps.iter_mut().find(|step| step.number == number))
        else {
            return false;
        };
        step.started_at.get_or_insert(now);
        step.conclusion = conclusion;
        step.status = match conclusion {
            Some(_) => Status::Completed,
            None => Status::InProgress,
        };
        step.completed_at = conclusion.map(|_| now);
        let name = step.name.clone();
        self.publish(Happening::StepChanged {
            job: id,
            number,
            name,
            conclusion,
        });
        true
    }

    /// Sets the job's outputs from those of its steps.
    pub(crate) fn set_outputs(&mut self, id: JobId, by_step: &BTreeMap<String, BTreeMap<String, String>>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let value = |of: &OutputSpec| by_step.get(&of.step).and_then(|outputs| outputs.get(&of.name)).cloned();
        let outputs = job.spec.outputs.iter();
        job.outputs = outputs
            .filter_map(|(name, of)| Some((name.clone(), value(of)?)))
            .collect();
    }

    pub(crate) fn annotate(&mut self, id: JobId, message: String) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.annotations.push(Annotation {
                level: "failure".to_owned(),
                message,
            });
        }
    }

    /// Ends a job: its runner, being ephemeral, goes with it, and its run goes on.
    pub(crate) fn finish_job(&mut self, id: JobId, end: Conclusion, now: Timestamp) {
        self.finish_job_because(id, end, RunnerRemoval::JobDone, now);
    }

    pub(super) fn finish_job_because(&mut self, id: JobId, end: Conclusion, why: RunnerRemoval, now: Timestamp) {
        self.withdraw_offer(id);
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        if job.status == Status::Completed {
            return;
        }
        end_steps(job, end, now);
        job.status = Status::Completed;
        job.conclusion = Some(end);
        job.completed_at = Some(now);
        let (run, name) = (job.run, job.spec.name.clone());
        let runner = job.runner.as_ref().map(|taken| taken.id);
        let fails_fast = end == Conclusion::Failure && job.spec.fail_fast;
        let key = job.spec.key.clone();
        self.publish(Happening::JobCompleted {
            job: id,
            name,
            conclusion: end,
        });
        self.send_job(id, "completed");
        self.report_to_queue(id, end);
        if let Some(runner) = runner {
            self.remove_runner(runner, why);
        }
        if fails_fast {
            self.cancel_matrix(run, &key, now);
        }
        self.advance_run(run, now);
    }

    /// The other jobs of a matrix, when one fails and `fail-fast` was not turned off.
    fn cancel_matrix(&mut self, run: RunId, key: &str, now: Timestamp) {
        let siblings: Vec<JobId> = self.runs[&run]
            .slots
            .iter()
            .filter(|slot| slot.spec.key == key)
            .filter_map(|slot| slot.job)
            .collect();
        for sibling in siblings {
            self.cancel_job(sibling, false, now);
        }
    }

    /// Cancels a job: at once, unless a runner has it and is informed first.
    pub(super) fn cancel_job(&mut self, id: JobId, force: bool, now: Timestamp) {
        match self.jobs.get_mut(&id) {
            Some(job) if job.status == Status::InProgress && !force => {
                job.cancel_since.get_or_insert(now);
            }
            Some(job) if job.status != Status::Completed => {
                self.finish_job(id, Conclusion::Cancelled, now);
            }
            _ => {}
        }
    }
}

/// Ends what a job's end leaves open, and adds the closing step that every taken job has.
fn end_steps(job: &mut Job, end: Conclusion, now: Timestamp) {
    if job.runner.is_none() {
        return;
    }
    for step in &mut job.steps {
        let left_as = match (step.status, end) {
            (Status::Completed, _) => continue,
            (Status::Queued, _) => Conclusion::Skipped,
            (_, end) => end,
        };
        step.started_at.get_or_insert(now);
        step.completed_at = Some(now);
        step.conclusion = Some(left_as);
        step.status = Status::Completed;
    }
    let number = u32::try_from(job.steps.len()).unwrap_or(u32::MAX) + 1;
    job.steps.push(Step {
        number,
        name: "Complete job".to_owned(),
        status: Status::Completed,
        conclusion: Some(Conclusion::Success),
        started_at: Some(now),
        completed_at: Some(now),
    });
}
