//! Gives a job up: a check run on its commit gives the reason, and a messenger prints it into the job's log.

use dayfly_config::Config;
use dayfly_engine::give_up;
use dayfly_engine::launch::claim;
use dayfly_flows::{Blocked, FlowError, ensure_schedule_on, load_live_runners, publish_check_run_due};
use dayfly_ports::{ApiErrorKind, Bus as _, GitHub as _, Scope, Store as _};
use dayfly_records::event::{Event, LaunchDue};
use dayfly_records::{Change, CheckContent, CheckRun, Job, LaunchOption, LaunchPlan, Version};
use dayfly_report::check_run;
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::time::Timestamp;

use crate::claim::{Claimed, job_change};
use crate::job_check::JobCheck;
use crate::{Function, Handled, LaunchPorts};

impl<P: LaunchPorts> Function<P> {
    /// Refuses a job that cannot have what it asks for.
    pub(crate) async fn refuse(
        &self,
        job: Job,
        version: Option<Version>,
        reason: String,
        now: Timestamp,
    ) -> Result<Handled, FlowError> {
        tracing::warn!(job = %job.key, reason, "refused the job");
        ensure_schedule_on(self.ports.store(), self.ports.schedule(), now, &self.deadlines).await?;
        let (job, content) = give_up::refuse(job, reason, now);
        self.record_given_up(job, version, content, now).await
    }

    /// Sends a messenger to a job that was given up.
    pub(crate) async fn send_messenger(
        &self,
        job: Job,
        version: Version,
        now: Timestamp,
    ) -> Result<Handled, FlowError> {
        if job.messengers > 0 {
            // The last messenger may have failed the job, with that webhook lost.
            match self.check_job(&job, now).await {
                Ok(JobCheck::Waits) => {}
                Ok(JobCheck::Over) => {
                    let handled = Handled::Nothing("GitHub says that the job is over");
                    return self
                        .record_job(claim::finish_unknown(job, now), Some(version), handled)
                        .await;
                }
                Ok(JobCheck::MovedOn(event)) => {
                    // Still due, in case the event is lost on its way.
                    let asked = give_up::ask_again(job, now, &self.deadlines);
                    let handled = Handled::Nothing("GitHub says that the job has moved on");
                    let recorded = self.record_job(asked, Some(version), handled).await?;
                    self.ports.bus().publish(&event).await?;
                    return Ok(recorded);
                }
                Err(error) => {
                    // Two messengers are better than none.
                    tracing::warn!(job = %job.key, %error, "GitHub could not be asked about the job");
                }
            }
        }
        if let Some(later) = give_up::hold_back(&job, now)
            && self.is_risk_to_others(&job, now).await?
        {
            let handled = Handled::Nothing("its messenger could take other jobs that wait");
            return self.record_job(later, Some(version), handled).await;
        }
        let plan = match self.messenger_plan(now).await {
            Ok(plan) => plan,
            Err(Blocked::Denied(why)) => return self.cannot_send(job, version, why, now).await,
            // It stays due.
            Err(Blocked::Unavailable(why, _)) => {
                tracing::warn!(job = %job.key, why, "a messenger could not be planned yet");
                return Ok(Handled::Postponed);
            }
        };
        let known = self.ports.store().check_run(job.run, job.key).await?;
        let content = known.as_ref().map(|stored| &stored.record.content);
        let tried = content.map_or(&[][..], CheckContent::tried);
        let text = check_run::job_log(give_up::reason(&job), tried);
        let Some((job, messenger)) = give_up::send(job.clone(), text, plan, now, &self.deadlines) else {
            let why = "several were sent and none of them took the job".to_owned();
            return self.cannot_send(job, version, why, now).await;
        };
        let claimed = Claimed {
            job,
            version: Some(version),
            runner: messenger,
            check_run: None,
        };
        self.launch(claimed, now).await
    }

    /// Whether a job's messenger could take other jobs that are about to run.
    async fn is_risk_to_others(&self, job: &Job, now: Timestamp) -> Result<bool, FlowError> {
        let living = load_live_runners(self.ports.store(), now, &self.deadlines).await?;
        Ok(living.values().any(|runner| give_up::could_be_taken(runner, job)))
    }

    /// Cancels the run of a job that was given up and that no messenger can fail.
    pub(crate) async fn cancel_run(&self, job: Job, version: Version) -> Result<Handled, FlowError> {
        match self.ports.github().cancel_run(&Scope::of_job(&job), job.run).await {
            Err(error) if matches!(error.kind, ApiErrorKind::RateLimited(_) | ApiErrorKind::Unavailable) => {
                // It stays due.
                return Err(error.into());
            }
            Err(error) => tracing::error!(job = %job.key, run = %job.run, %error, "the run could not be cancelled"),
            Ok(()) => tracing::info!(job = %job.key, run = %job.run, "cancelled the run"),
        }
        self.record_job(give_up::cancelled(job), Some(version), Handled::Refused)
            .await
    }

    async fn cannot_send(&self, job: Job, version: Version, why: String, now: Timestamp) -> Result<Handled, FlowError> {
        tracing::warn!(job = %job.key, why, "no messenger can be sent");
        let (job, content) = give_up::cannot_send(job, why, Vec::new(), now);
        self.record_given_up(job, Some(version), content, now).await
    }

    /// Records a job that is given up together with its check run, and publishes both.
    async fn record_given_up(
        &self,
        job: Job,
        version: Option<Version>,
        content: CheckContent,
        now: Timestamp,
    ) -> Result<Handled, FlowError> {
        let known = self.ports.store().check_run(job.run, job.key).await?;
        let check_run = CheckRun::of(known.as_ref().map(|stored| stored.record.clone()), &job, content, now);
        let (key, is_due) = (job.key, job.due_at.is_some());
        let changes = vec![job_change(job, version), Change::put(known.as_ref(), check_run.clone())];
        if !self.commit(changes).await? {
            return Ok(Handled::Nothing("another invocation holds the job"));
        }
        publish_check_run_due(self.ports.bus(), &check_run).await;
        if is_due {
            self.ports
                .bus()
                .publish(&Event::LaunchDue(LaunchDue::of_job(key)))
                .await?;
        }
        Ok(Handled::Refused)
    }

    async fn messenger_plan(&self, now: Timestamp) -> Result<LaunchPlan, Blocked> {
        let spec = Config::messenger().map_err(Blocked::denied)?;
        let image = self.images.find(&self.ports, &spec.image, now).await?;
        let option = LaunchOption {
            spec,
            image: image.image,
            root_device: image.root_device,
            image_gib: image.gib,
            lifecycle: InstanceLifecycle::OnDemand,
        };
        Ok(LaunchPlan::new(option, Vec::new()))
    }
}
