//! GitHub's side: what people, jobs and runners do, and the webhooks about it.

use std::rc::Rc;
use std::time::Duration;

use aws_lambda_events::http::HeaderMap;
use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlRequest;
use dayfly_ports::JobStatus;
use dayfly_records::event::Conclusion;
use dayfly_types::ids::{JobId, Repository, RunId, RunnerId};
use dayfly_types::time::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::hub::{self, Delivery, FailedTry, INSTALLATION};
use crate::plan::{InstanceFault, Outage, PlannedRun};
use crate::ports::WEBHOOK_SECRET;
use crate::sim::{Happening, Sim};

/// After this time, a job that its runner did not take waits again.
///
/// <https://docs.github.com/en/actions/reference/runners/self-hosted-runners#routing-precedence-for-self-hosted-runners>
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

impl Sim {
    /// A run of the plan starts.
    pub fn run_starts(self: &Rc<Self>, planned: PlannedRun) {
        let repository = hub::repository(planned.repository);
        let labels = if planned.impossible {
            hub::impossible_labels()
        } else {
            hub::labels()
        };
        let now = self.now();
        let (run, jobs) = self.hub.borrow_mut().start_run(repository, &planned.jobs, labels, now);
        self.note("run starts", &run.to_string(), || format!("{} jobs", jobs.len()));
        if planned.startup_failure
            && let Some(run) = self.hub.borrow_mut().runs.get_mut(&run)
        {
            // Its jobs stay queued forever.
            run.ended = Some(Conclusion::StartupFailure);
            run.ended_at = Some(self.now());
        }
        self.jobs_queued(&jobs);
        if let Some(after) = planned.cancelled {
            self.engine.plan(after, Happening::Cancelled(run));
        }
        if let Some(after) = planned.elsewhere {
            self.engine.plan(after, Happening::TakenElsewhere(run));
        }
        if let Some(run) = self.hub.borrow_mut().runs.get_mut(&run) {
            run.fails = planned.fails;
        }
        self.started.borrow_mut().insert(run, planned);
    }

    /// Jobs wait, and GitHub reports them.
    pub fn jobs_queued(self: &Rc<Self>, jobs: &[JobId]) {
        self.tally.borrow_mut().jobs += jobs.len() as u64;
        for job in jobs {
            self.note("queued", &job.to_string(), String::new);
            self.send_job_webhook(*job, "queued");
        }
        let repository = jobs
            .first()
            .and_then(|job| self.hub.borrow().repository_of(*job).cloned());
        if let Some(repository) = repository {
            self.give_out(&repository);
        }
    }

    /// Assigns waiting jobs to free runners.
    pub fn give_out(self: &Rc<Self>, repository: &Repository) {
        let given = self.hub.borrow_mut().give_out(repository);
        for (runner, job) in given {
            let mut dice = self.dice("given", &job.to_string());
            self.engine.plan(dice.millis(200, 2500), Happening::Given(runner, job));
            self.engine.plan(TAKEN_WITHIN, Happening::NotTaken(job));
        }
    }

    /// A runner may take its assigned job.
    pub fn given(self: &Rc<Self>, runner: RunnerId, job: JobId) {
        let instance = self
            .hub
            .borrow()
            .runners
            .get(&runner)
            .and_then(|one| one.instance.clone());
        let waits = self
            .hub
            .borrow()
            .jobs
            .get(&job)
            .is_some_and(|job| job.status == JobStatus::Queued && job.given_to == Some(runner));
        if let Some(instance) = instance.filter(|_| waits)
            && self.takes(&instance, job)
        {
            let name = self.hub.borrow().runners.get(&runner).map(|one| one.name.clone());
            if let Some(found) = self.hub.borrow_mut().jobs.get_mut(&job) {
                found.status = JobStatus::InProgress;
                found.started_at = Some(self.now());
                found.runner_name.clone_from(&name);
                found.instance = Some(instance.clone());
                found.starts += 1;
            }
            self.note("job starts", &job.to_string(), || {
                format!("on {} {instance}", name.unwrap_or_default())
            });
            self.send_job_webhook(job, "in_progress");
        }
    }

    /// An assigned job was not taken in time.
    pub fn not_taken(self: &Rc<Self>, job: JobId) {
        let repository = {
            let mut hub = self.hub.borrow_mut();
            let given = hub.jobs.get(&job).is_some_and(|job| job.given_to.is_some());
            if given { hub.take_back(job) } else { None }
        };
        if let Some(repository) = repository {
            self.note("not taken", &job.to_string(), String::new);
            self.give_out(&repository);
        }
    }

    /// A person cancels a run.
    pub fn cancelled(self: &Rc<Self>, run: RunId) {
        let jobs = {
            let hub = self.hub.borrow();
            match hub.runs.get(&run) {
                Some(run) if run.ended.is_none() => run.jobs.clone(),
                _ => return,
            }
        };
        self.note("cancelled", &run.to_string(), String::new);
        for job in jobs {
            let status = {
                let mut hub = self.hub.borrow_mut();
                let Some(found) = hub.jobs.get_mut(&job) else { continue };
                found.cancelled = true;
                found.status
            };
            match status {
                JobStatus::Queued | JobStatus::Waiting => self.job_ends(job, Conclusion::Cancelled),
                JobStatus::InProgress => self.cancel_on_machine(job),
                JobStatus::Completed(_) => {}
            }
        }
    }

    /// People cancel the runs of jobs that no messenger could fail: GitHub lets them wait for a day.
    pub fn tidy_up(self: &Rc<Self>) {
        let given_up: Vec<RunId> = {
            let hub = self.hub.borrow();
            let open = hub.runs.iter().filter(|(_, run)| run.ended.is_none());
            open.filter(|(_, run)| run.jobs.iter().any(|job| self.is_reported(&hub.jobs[job])))
                .map(|(id, _)| *id)
                .collect()
        };
        for run in given_up {
            self.cancelled(run);
        }
    }

    /// Another runner takes a waiting job of a run.
    pub fn taken_elsewhere(self: &Rc<Self>, run: RunId) {
        let job = {
            let mut hub = self.hub.borrow_mut();
            let jobs = hub.runs.get(&run).map(|run| run.jobs.clone()).unwrap_or_default();
            let waits = jobs.into_iter().find(|job| {
                hub.jobs
                    .get(job)
                    .is_some_and(|job| job.status == JobStatus::Queued && job.given_to.is_none())
            });
            let Some(found) = waits.and_then(|job| hub.jobs.get_mut(&job)) else {
                return;
            };
            found.status = JobStatus::InProgress;
            found.started_at = Some(self.now());
            found.runner_name = Some("somebody-elses-1".to_owned());
            found.id
        };
        self.note("taken elsewhere", &job.to_string(), String::new);
        self.send_job_webhook(job, "in_progress");
        let works = self.hub.borrow().jobs.get(&job).map_or(Duration::ZERO, |job| job.works);
        self.engine.plan(works, Happening::EndsElsewhere(job));
    }

    /// A person re-runs a run, if it is over.
    pub fn rerun_by_person(self: &Rc<Self>, run: RunId, _after: Duration) {
        let jobs = self.hub.borrow_mut().rerun(run, None, self.now());
        if let Some(jobs) = jobs.filter(|jobs| !jobs.is_empty()) {
            self.note("re-run", &run.to_string(), || {
                format!("{} jobs, by a person", jobs.len())
            });
            if let Some(run) = self.hub.borrow_mut().runs.get_mut(&run) {
                run.their_reruns += 1;
                run.in_a_row = 0;
            }
            self.jobs_queued(&jobs);
        }
    }

    /// A job ends, and with it the registration of its runner.
    pub fn job_ends(self: &Rc<Self>, job: JobId, conclusion: Conclusion) {
        let (run, runner) = {
            let mut hub = self.hub.borrow_mut();
            let Some(found) = hub.jobs.get_mut(&job) else { return };
            if found.is_over() {
                return;
            }
            let given = found.given_to.take();
            let runs = found.status == JobStatus::InProgress;
            found.status = JobStatus::Completed(conclusion);
            found.ended_at = Some(self.now());
            let run = found.run;
            if let Some(given) = given.filter(|_| !runs).and_then(|given| hub.runners.get_mut(&given)) {
                // It was assigned to a runner that had not taken it yet.
                given.job = None;
            }
            (run, given.filter(|_| runs))
        };
        self.note("job ends", &job.to_string(), || format!("{conclusion:?}"));
        if let Some(runner) = runner {
            let connected = self.hub.borrow().runners.get(&runner).is_some_and(|one| one.online);
            if connected {
                self.unregistered(runner);
            } else if let Some(runner) = self.hub.borrow_mut().runners.get_mut(&runner) {
                // No process is left to say goodbye: the registration stays.
                runner.job = None;
                runner.offline_since = Some(self.now());
            }
        }
        self.job_has_ended(job);
        self.send_job_webhook(job, "completed");
        let mut dice = self.dice("run over", &job.to_string());
        self.engine.plan(dice.millis(500, 4000), Happening::RunMayBeOver(run));
    }

    /// GitHub fails a job whose runner it lost.
    pub fn lost(self: &Rc<Self>, job: JobId) {
        let cancelled = self.hub.borrow().jobs.get(&job).is_some_and(|job| job.cancelled);
        let conclusion = if cancelled {
            Conclusion::Cancelled
        } else {
            Conclusion::Failure
        };
        self.job_ends(job, conclusion);
    }

    /// Reports a run's end, if it is over.
    pub fn run_may_be_over(self: &Rc<Self>, run: RunId) {
        let (attempt, repository, conclusion) = {
            let mut hub = self.hub.borrow_mut();
            let Some(conclusion) = hub.end_run_if_over(run, self.now()) else {
                return;
            };
            let of = &hub.runs[&run];
            (of.attempt, of.repository.clone(), conclusion)
        };
        self.note("run is over", &run.to_string(), || format!("{conclusion:?}"));
        let body = serde_json::json!({
            "action": "completed",
            "workflow_run": { "id": run, "run_attempt": attempt, "conclusion": conclusion },
            "repository": { "full_name": repository },
            "installation": { "id": INSTALLATION },
        });
        self.send_webhook("workflow_run", body.to_string(), None);
        let person = self.started.borrow().get(&run).and_then(|planned| planned.rerun);
        if let Some(after) = person.filter(|_| attempt.0 == 1) {
            self.engine.plan(after, Happening::RerunByPerson(run, after));
        }
    }

    /// A runner's registration is gone, and its process notices.
    pub fn unregistered(self: &Rc<Self>, runner: RunnerId) {
        let removed = self.hub.borrow_mut().runners.remove(&runner);
        if let Some(instance) = removed.and_then(|one| one.instance) {
            self.registration_is_gone(&instance, runner);
        }
    }

    /// GitHub removes an unused runner.
    pub fn evicted(self: &Rc<Self>, runner: RunnerId) {
        let idle = self
            .hub
            .borrow()
            .runners
            .get(&runner)
            .filter(|one| one.online && one.job.is_none())
            .map(|one| one.instance.clone());
        if let Some(instance) = idle {
            self.note("evicted", &runner.to_string(), String::new);
            if let Some(instance) = instance {
                self.instance_fault_hits(&instance, InstanceFault::Eviction);
            }
            self.unregistered(runner);
        }
    }

    fn send_job_webhook(self: &Rc<Self>, job: JobId, action: &str) {
        let body = {
            let hub = self.hub.borrow();
            let (Some(view), Some(repository)) = (hub.view(job), hub.repository_of(job)) else {
                return;
            };
            let conclusion = match view.status {
                JobStatus::Completed(conclusion) => Some(conclusion),
                _ => None,
            };
            let created = jiff::Timestamp::from_millisecond(view.created_at.map_or(0, Timestamp::millis));
            serde_json::json!({
                "action": action,
                "workflow_job": {
                    "id": job, "run_id": view.run, "run_attempt": view.attempt, "name": view.name,
                    "head_sha": view.head_sha, "labels": view.labels, "runner_name": view.runner_name,
                    "created_at": created.unwrap_or_default().to_string(), "conclusion": conclusion,
                },
                "repository": { "full_name": repository },
                "installation": { "id": INSTALLATION },
            })
            .to_string()
        };
        self.send_webhook("workflow_job", body, (action == "completed").then_some(job));
    }

    fn send_webhook(self: &Rc<Self>, event: &'static str, body: String, reports_end_of: Option<JobId>) {
        let index = {
            let mut hub = self.hub.borrow_mut();
            let index = hub.deliveries.len();
            hub.deliveries.push(Delivery {
                id: format!("guid-{index}"),
                event,
                body,
                reports_end_of,
            });
            index
        };
        let mut dice = self.dice("webhook", &index.to_string());
        if self.hit(Outage::WebhookLost, &mut dice) {
            self.note("webhook lost", &index.to_string(), String::new);
            return;
        }
        let mut wait = dice.millis(100, 2500);
        if self.hit(Outage::WebhookLate, &mut dice) {
            wait += dice.seconds(1, 900);
        }
        self.engine.plan(wait, Happening::Deliver(index));
        if self.hit(Outage::WebhookDouble, &mut dice) {
            let again = wait + dice.seconds(0, 1800);
            self.engine.plan(again, Happening::Deliver(index));
        }
    }

    /// GitHub delivers a webhook.
    pub fn deliver(self: &Rc<Self>, index: usize) {
        let mut dice = self.dice("deliver", &format!("{index} {}", self.now().millis()));
        if self.hit(Outage::WebhookFailed, &mut dice) {
            self.delivery_ended(index, false);
            return;
        }
        self.call(crate::lambda::Caller::GitHub(index), 0);
    }

    /// A delivery ends.
    pub fn delivery_ended(&self, index: usize, well: bool) {
        let mut hub = self.hub.borrow_mut();
        hub.tries += 1;
        let number = hub.tries;
        if well {
            let job = hub.deliveries[index].reports_end_of;
            if let Some(job) = job.and_then(|job| hub.jobs.get_mut(&job)) {
                job.end_reported_at.get_or_insert(self.now());
            }
        } else {
            let at = self.now();
            hub.failed.push(FailedTry {
                number,
                delivery: index,
                at,
            });
        }
    }

    /// Returns a delivery as a signed HTTP request.
    pub fn webhook_request(&self, index: usize) -> LambdaFunctionUrlRequest {
        let hub = self.hub.borrow();
        let delivery = &hub.deliveries[index];
        let mut request = LambdaFunctionUrlRequest::default();
        request.headers = HeaderMap::new();
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()) {
            mac.update(delivery.body.as_bytes());
            let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
            for (name, value) in [
                ("x-github-event", delivery.event),
                ("x-github-delivery", delivery.id.as_str()),
                ("x-hub-signature-256", signature.as_str()),
            ] {
                if let Ok(value) = value.parse() {
                    request.headers.insert(name, value);
                }
            }
        }
        request.body = Some(delivery.body.clone());
        request
    }
}
