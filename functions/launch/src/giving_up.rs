//! A job that is given up: said on its commit, and by a messenger in its own log.

use dayfly_config::Config;
use dayfly_engine::{giving_up, launch};
use dayfly_flows::{Blocked, FlowError, announce, living, wake_up};
use dayfly_ports::{ApiErrorKind, Bus, Clock, Fleet, GitHub, Parameters, Quotas, Schedule, Store, StoreError};
use dayfly_records::event::{Event, LaunchDue};
use dayfly_records::{Change, CheckContent, CheckRun, Job, LaunchOption, LaunchPlan, Version};
use dayfly_report::check_run;
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::time::Timestamp;

use crate::standing::Standing;
use crate::{Function, Outcome, scope};

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule, P: Parameters, K: Clock, Q: Quotas>
    Function<S, G, F, B, C, P, K, Q>
{
    /// Refuses a job that cannot have what it asks for.
    pub(crate) async fn refuse(
        &self,
        job: Job,
        version: Option<Version>,
        reason: String,
        now: Timestamp,
    ) -> Result<Outcome, FlowError> {
        tracing::warn!(job = %job.key, reason, "refused the job");
        wake_up(&self.store, &self.schedule, now, &self.deadlines).await?;
        let (job, content) = giving_up::refuse(job, reason, now);
        self.tell(job, version, content, Outcome::Refused, now).await
    }

    /// Sends a messenger to a job that was given up.
    pub(crate) async fn send_messenger(
        &self,
        job: Job,
        version: Version,
        now: Timestamp,
    ) -> Result<Outcome, FlowError> {
        if job.messengers > 0 {
            // The one before may have told it, and left before anybody heard of that.
            match self.standing(&job, now).await {
                Ok(Standing::Waits) => {}
                Ok(Standing::Over) => {
                    let outcome = Outcome::Nothing("GitHub says that it is over");
                    return self.record_job(launch::over(job, now), Some(version), outcome).await;
                }
                Ok(Standing::MovedOn(event)) => {
                    // Due still, should the event be lost on its way.
                    let asked = giving_up::ask_again(job, now, &self.deadlines);
                    let outcome = Outcome::Nothing("GitHub says that it has moved on");
                    let recorded = self.record_job(asked, Some(version), outcome).await?;
                    self.bus.publish(&event).await?;
                    return Ok(recorded);
                }
                Err(error) => {
                    // Better two are sent than none.
                    tracing::warn!(job = %job.key, %error, "GitHub does not say where the job stands");
                }
            }
        }
        if let Some(later) = giving_up::hold_back(&job, now)
            && self.others_wait(&job, now).await?
        {
            let outcome = Outcome::Nothing("others wait whom its messenger could take");
            return self.record_job(later, Some(version), outcome).await;
        }
        let plan = match self.messenger_plan(now).await {
            Ok(plan) => plan,
            Err(Blocked::Denied(why)) => return self.cannot_send(job, version, why, now).await,
            // It stays due.
            Err(Blocked::Unavailable(why, _)) => {
                tracing::warn!(job = %job.key, why, "a messenger could not be planned yet");
                return Ok(Outcome::Postponed);
            }
        };
        let said = self.store.check_run(job.run, job.key).await?;
        let tried = said
            .as_ref()
            .map_or(&[][..], |stored| check_run::tried(&stored.record.content));
        let text = check_run::job_log(giving_up::reason(&job), tried);
        let Some((sent, messenger)) = giving_up::send(job.clone(), text, plan, now, &self.deadlines) else {
            let why = "several were sent and none of them took the job".to_owned();
            return self.cannot_send(job, version, why, now).await;
        };
        self.launch(sent, Some(version), messenger, Vec::new(), now).await
    }

    /// Whether jobs are about to run that a job's messenger could take.
    async fn others_wait(&self, job: &Job, now: Timestamp) -> Result<bool, FlowError> {
        let living = living(&self.store, now, &self.deadlines).await?;
        Ok(living.values().any(|runner| giving_up::would_be_taken(runner, job)))
    }

    /// Cancels the run of a job that nobody else can tell that it is given up.
    pub(crate) async fn cancel_run(&self, job: Job, version: Version) -> Result<Outcome, FlowError> {
        match self.github.cancel_run(&scope(&job), job.run).await {
            Err(error) if matches!(error.kind, ApiErrorKind::RateLimited(_) | ApiErrorKind::Unavailable) => {
                // It stays due.
                return Err(error.into());
            }
            Err(error) => tracing::error!(job = %job.key, run = %job.run, %error, "the run could not be cancelled"),
            Ok(()) => tracing::info!(job = %job.key, run = %job.run, "cancelled the run"),
        }
        self.record_job(giving_up::cancelled(job), Some(version), Outcome::Refused)
            .await
    }

    async fn cannot_send(&self, job: Job, version: Version, why: String, now: Timestamp) -> Result<Outcome, FlowError> {
        tracing::warn!(job = %job.key, why, "no messenger can be sent");
        let (job, content) = giving_up::cannot_send(job, why, Vec::new(), now);
        self.tell(job, Some(version), content, Outcome::Refused, now).await
    }

    /// Records what becomes of a job together with what is to be said of it.
    async fn tell(
        &self,
        job: Job,
        version: Option<Version>,
        content: CheckContent,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<Outcome, FlowError> {
        let known = self.store.check_run(job.run, job.key).await?;
        let check_run = CheckRun::of(known.as_ref().map(|stored| stored.record.clone()), &job, content, now);
        let (key, due) = (job.key, job.due_at.is_some());
        let changes = vec![
            Change {
                record: job.into(),
                expected: version,
                delete: false,
            },
            Change::put(known.as_ref(), check_run.clone()),
        ];
        match self.store.commit(changes).await {
            Err(StoreError::Conflict) => return Ok(Outcome::Nothing("another call holds the job")),
            done => done?,
        }
        announce(&self.bus, &check_run).await;
        if due {
            self.bus.publish(&Event::LaunchDue(LaunchDue::of_job(key))).await?;
        }
        Ok(outcome)
    }

    async fn messenger_plan(&self, now: Timestamp) -> Result<LaunchPlan, Blocked> {
        let spec = Config::messenger().map_err(Blocked::denied)?;
        let image = self
            .images
            .find(&self.parameters, &self.fleet, &spec.image, now)
            .await?;
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
