//! The twin as tests and demos hold it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use crate::api::{self, ApiFault};
use crate::app::{AppInfo, AppKey, KeyError};
use crate::clock::Clock;
use crate::config::TwinConfig;
use crate::event::TwinEvent;
use crate::hub::Hub;
use crate::model::{Account, AccountId, AccountKind, AppId, Conclusion, InstallationId, JobId, RepoId, RunId};
use crate::payload;
use crate::schema::{Checker, SchemaError};
use crate::state::{CancelRefusal, Effect, Rerun, RerunRefusal, State, WebhookDraft};
use crate::webhook::{Courier, Odds, WebhookFault};
use crate::workflow::WorkflowError;

/// A running twin. Dropping it ends everything it started.
#[derive(Debug)]
pub struct Twin {
    hub: Arc<Hub>,
    url: String,
    closing: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Why a twin does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No port to listen on.
    #[error("cannot listen on a loopback port: {0}")]
    Listen(#[from] std::io::Error),
    /// The App's key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// GitHub's descriptions cannot be used.
    #[error(transparent)]
    Schemas(#[from] SchemaError),
}

/// Why something asked of the twin was not done.
#[derive(Debug, thiserror::Error)]
pub enum TwinError {
    /// A workflow file of the repository cannot be used.
    #[error(transparent)]
    Workflow(#[from] WorkflowError),
    /// The App's key did not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A run cannot be cancelled.
    #[error("the run cannot be cancelled: {0:?}")]
    Cancel(CancelRefusal),
    /// A run cannot be re-run.
    #[error("the run cannot be re-run: {0:?}")]
    Rerun(RerunRefusal),
    /// The job is not in the state that it would have to be in.
    #[error("job {0} is not in the state for that")]
    JobState(JobId),
}

/// What was waited for did not come; with all that the twin has, to see why.
#[derive(Debug, thiserror::Error)]
#[error("waited {within:?} for {what}\n{state}")]
pub struct TimedOut {
    what: String,
    within: Duration,
    state: String,
}

/// How a repository is made, where the defaults don't do.
#[derive(Debug, Clone)]
pub struct RepoOptions {
    /// What owns it.
    pub owner_kind: AccountKind,
    /// Whether the App is installed on it.
    pub installed: bool,
    /// Whether strangers may not see it.
    pub private: bool,
    /// The repository it is a fork of.
    pub fork_of: Option<RepoId>,
    /// Its default branch.
    pub default_branch: String,
}

impl Default for RepoOptions {
    fn default() -> Self {
        Self {
            owner_kind: AccountKind::Organization,
            installed: true,
            private: false,
            fork_of: None,
            default_branch: "main".to_owned(),
        }
    }
}

impl Twin {
    /// Starts a twin on a free loopback port.
    ///
    /// # Errors
    /// When there is no port, the given key is none, or the descriptions to check against are missing.
    pub async fn start(config: TwinConfig) -> Result<Self, StartError> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let key = match &config.app_private_key_pem {
            Some(pem) => AppKey::from_pem(pem)?,
            None => AppKey::generate()?,
        };
        let checker = match config.schemas.clone() {
            Some(dir) => Some(Checker::load(&dir)?),
            None => None,
        };
        let clock = Clock::default();
        let secret = config
            .webhook_secret
            .clone()
            .unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
        let courier = Courier::new(secret, config.webhook_url.clone(), config.timings.webhook_timeout);
        let app = app_info(&config, clock.now());
        let state = State::new(config, app, url.clone());
        let closing = watch::channel(false).0;
        let hub = Arc::new(Hub::new(state, clock, key, courier, checker, closing.subscribe()));
        let router = api::router(Arc::clone(&hub));
        let mut closed = closing.subscribe();
        let server = tokio::spawn(async move {
            let graceful = async move {
                let _ = closed.wait_for(|closing| *closing).await;
            };
            // Serving only ends by being told to; a connection's errors are its own.
            let _ = axum::serve(listener, router).with_graceful_shutdown(graceful).await;
        });
        let keeper = tokio::spawn(Arc::clone(&hub).keep_time());
        Ok(Self {
            hub,
            url,
            closing,
            tasks: vec![server, keeper],
        })
    }

    /// The base URL of the REST API.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The App's id.
    #[must_use]
    pub fn app_id(&self) -> AppId {
        self.hub.app_id()
    }

    /// The App's private key in PEM, as GitHub lets one download it.
    #[must_use]
    pub fn app_private_key_pem(&self) -> &str {
        self.hub.key.pem()
    }

    /// A JWT of the App, valid for nine minutes.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn app_jwt(&self) -> Result<String, TwinError> {
        let now = self.hub.now().as_second();
        Ok(self.hub.key.sign(&json!({
            "iss": self.app_id(),
            "iat": now - 30,
            "exp": now + 540,
            "jti": uuid::Uuid::new_v4().to_string(),
        }))?)
    }

    /// The secret that webhooks are signed with.
    #[must_use]
    pub fn webhook_secret(&self) -> &str {
        self.hub.courier.secret()
    }

    /// Where webhooks go from now on.
    pub fn set_webhook_url(&self, url: &str) {
        self.hub.courier.set_url(url);
    }

    /// Sends a `ping`, as GitHub does when a webhook is set up.
    pub fn ping(&self) {
        let url = self.hub.courier.url().unwrap_or_default();
        self.hub.act(|state, _| {
            let payload = payload::ping_event(state, &url);
            state.effects.push(Effect::Send(WebhookDraft {
                event: "ping",
                action: None,
                installation: None,
                repo: None,
                subject: None,
                payload,
            }));
        });
    }

    /// Makes a public repository (`owner/name`) of an organisation, with the App installed.
    #[must_use]
    pub fn create_repo(&self, full_name: &str) -> RepoId {
        self.create_repo_with(full_name, RepoOptions::default())
    }

    /// Makes a repository (`owner/name`).
    #[must_use]
    pub fn create_repo_with(&self, full_name: &str, options: RepoOptions) -> RepoId {
        let (owner, name) = full_name.split_once('/').unwrap_or(("octo-org", full_name));
        self.hub.act(|state, now| {
            let owner = state.account(owner, options.owner_kind);
            let id = state.create_repo(owner, name, options.fork_of, now);
            if let Some(repo) = state.repos.get_mut(&id) {
                repo.private = options.private;
                repo.default_branch = options.default_branch;
            }
            if options.installed {
                let permissions = state.app.permissions.clone();
                state.install(id, &permissions, now);
            }
            id
        })
    }

    /// The installation that sees a repository.
    #[must_use]
    pub fn installation_of(&self, repo: RepoId) -> Option<InstallationId> {
        self.hub.look().installation_of(repo).map(|one| one.id)
    }

    /// Pushes files to the default branch and starts the workflows that are `on: push`.
    ///
    /// # Errors
    /// When a workflow file cannot be used.
    pub fn push(&self, repo: RepoId, message: &str, files: &[(&str, &str)]) -> Result<Vec<RunId>, TwinError> {
        let branch = self.hub.look().repos[&repo].default_branch.clone();
        self.push_to(repo, &branch, message, files)
    }

    /// Pushes files to a branch and starts the workflows that are `on: push`.
    ///
    /// # Errors
    /// When a workflow file cannot be used.
    pub fn push_to(
        &self,
        repo: RepoId,
        branch: &str,
        message: &str,
        files: &[(&str, &str)],
    ) -> Result<Vec<RunId>, TwinError> {
        let changes = changes(files);
        Ok(self.hub.act(|state, now| {
            state.commit(repo, branch, message, &changes, now);
            state.trigger(repo, "push", branch, now)
        })?)
    }

    /// Commits files to a branch without starting anything; the commit's SHA.
    #[must_use]
    pub fn commit(&self, repo: RepoId, branch: &str, files: &[(&str, &str)]) -> String {
        let changes = changes(files);
        self.hub
            .act(|state, now| state.commit(repo, branch, "Change files", &changes, now))
    }

    /// Opens a pull request from a fork and starts its parent's workflows that are `on: pull_request`.
    ///
    /// # Errors
    /// When a workflow file cannot be used.
    pub fn pull_request_from_fork(
        &self,
        fork: RepoId,
        branch: &str,
        files: &[(&str, &str)],
    ) -> Result<Vec<RunId>, TwinError> {
        let changes = changes(files);
        Ok(self
            .hub
            .act(|state, now| state.pull_request(fork, branch, &changes, now))?)
    }

    /// Starts the workflows of a branch that are `on: workflow_dispatch`.
    ///
    /// # Errors
    /// When a workflow file cannot be used.
    pub fn dispatch(&self, repo: RepoId, branch: &str) -> Result<Vec<RunId>, TwinError> {
        Ok(self
            .hub
            .act(|state, now| state.trigger(repo, "workflow_dispatch", branch, now))?)
    }

    /// Cancels a run as its author would.
    ///
    /// # Errors
    /// When it is done.
    pub fn cancel(&self, run: RunId) -> Result<(), TwinError> {
        self.hub
            .act(|state, now| state.cancel_run(run, false, now))
            .map_err(TwinError::Cancel)
    }

    /// Re-runs a run as its author would.
    ///
    /// # Errors
    /// When it is not done, or what is asked for cannot be re-run.
    pub fn rerun(&self, run: RunId, what: Rerun) -> Result<(), TwinError> {
        self.hub
            .act(|state, now| state.rerun(run, what, now))
            .map_err(TwinError::Rerun)
    }

    /// Lets a job go that a protected environment holds back.
    ///
    /// # Errors
    /// When it isn't held back.
    pub fn approve(&self, job: JobId) -> Result<(), TwinError> {
        if self.hub.act(|state, now| state.approve(job, now)) {
            Ok(())
        } else {
            Err(TwinError::JobState(job))
        }
    }

    /// Starts and ends a queued job as a runner of somebody else's would.
    ///
    /// # Errors
    /// When it isn't queued.
    pub fn run_elsewhere(&self, job: JobId, conclusion: Conclusion) -> Result<(), TwinError> {
        let done = self.hub.act(|state, now| state.run_elsewhere(job, conclusion, now));
        if done { Ok(()) } else { Err(TwinError::JobState(job)) }
    }

    /// Adds a rule to what is done to webhooks; the first that fits a webhook counts.
    pub fn disturb_webhooks(&self, fault: WebhookFault) {
        self.hub.courier.plan(|plan| plan.add(fault));
    }

    /// What is done by chance to webhooks that no rule fits.
    pub fn disturb_webhooks_by_chance(&self, odds: Odds) {
        self.hub.courier.plan(|plan| plan.set_odds(Some(odds)));
    }

    /// Does nothing to webhooks any more; what is held back stays so until it is released.
    pub fn leave_webhooks_alone(&self) {
        self.hub.courier.plan(crate::webhook::FaultPlan::clear);
    }

    #[expect(clippy::must_use_candidate, reason = "the count is by the way")]
    /// Sends the webhooks that [`Disturbance::Hold`](crate::Disturbance::Hold) holds back; how many.
    pub fn release_webhooks(&self) -> usize {
        self.hub.release_held()
    }

    /// Adds a rule to what is done to requests; the first that fits a request counts.
    pub fn disturb_api(&self, fault: ApiFault) {
        self.hub
            .api_faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(fault);
    }

    /// Whether runners read `busy: false` while they have a job, as users report; deleting them is
    /// refused all the same.
    pub fn let_busy_read_false(&self, lies: bool) {
        self.hub.act(|state, _| state.busy_reads_false = lies);
    }

    /// Everything that happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<TwinEvent> {
        self.hub.events()
    }

    /// Looks at the state.
    pub fn look<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.hub.look())
    }

    /// Waits until the state has something.
    ///
    /// # Errors
    /// When it does not come in time (real time); the error shows all that the twin has.
    pub async fn wait_for<T>(
        &self,
        what: &str,
        within: Duration,
        mut look: impl FnMut(&State) -> Option<T>,
    ) -> Result<T, TimedOut> {
        let mut changes = self.hub.changes();
        let until = tokio::time::Instant::now() + within;
        loop {
            changes.mark_unchanged();
            let found = look(&self.hub.look());
            if let Some(found) = found {
                return Ok(found);
            }
            if tokio::time::timeout_at(until, changes.changed()).await.is_err() {
                return Err(TimedOut {
                    what: what.to_owned(),
                    within,
                    state: summary(&self.hub.look()),
                });
            }
        }
    }

    /// The twin's present.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.hub.now()
    }

    /// Moves the twin's present forward; what is due by then happens now.
    pub fn advance(&self, by: Duration) {
        self.hub.clock.advance(by);
        self.hub.act(State::expire);
    }

    /// What broke GitHub's descriptions so far, and requests for what the twin does not have.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.hub.look().violations.clone()
    }

    /// Ends the twin and waits until its connections are closed.
    pub async fn stop(mut self) {
        self.end();
        let mut tasks = std::mem::take(&mut self.tasks);
        if let Some(keeper) = tasks.pop() {
            keeper.abort();
        }
        for task in tasks {
            // A task that was cancelled or panicked is as ended as one that is done.
            let _ = task.await;
        }
    }

    fn end(&self) {
        let _ = self.closing.send(true);
        self.hub.courier.stop();
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        self.end();
        for task in self.tasks.drain(..).skip(1) {
            task.abort();
        }
    }
}

fn changes(files: &[(&str, &str)]) -> BTreeMap<String, Option<Vec<u8>>> {
    files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), Some(text.as_bytes().to_vec())))
        .collect()
}

fn app_info(config: &TwinConfig, now: Timestamp) -> AppInfo {
    AppInfo {
        id: AppId(1_204_377),
        client_id: "Iv23liTwinTwinTwinTw".to_owned(),
        slug: "dayfly".to_owned(),
        name: "dayfly".to_owned(),
        owner: Account {
            id: AccountId(90_114_020),
            login: "octo-org".to_owned(),
            kind: AccountKind::Organization,
        },
        hook_id: 480_112_904,
        permissions: config.app_permissions.clone(),
        events: vec!["workflow_job".to_owned(), "workflow_run".to_owned()],
        created_at: now,
    }
}

/// Runs, jobs, runners and deliveries, a line each.
fn summary(state: &State) -> String {
    struct Lines(Vec<String>);
    impl fmt::Display for Lines {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.iter().try_for_each(|line| writeln!(f, "  {line}"))
        }
    }
    let runs = state.runs().map(|run| {
        format!(
            "run {} attempt {} {:?} {:?}",
            run.id, run.attempt, run.status, run.conclusion
        )
    });
    let jobs = state.jobs().map(|job| {
        format!(
            "job {} `{}` attempt {} {:?} {:?} labels {:?} runner {:?}",
            job.id,
            job.spec.name,
            job.attempt,
            job.status,
            job.conclusion,
            job.spec.labels,
            job.runner.as_ref().map(|taken| &taken.name),
        )
    });
    let runners = state.runners().map(|runner| {
        format!(
            "runner {} `{}` session {} job {:?} labels {:?}",
            runner.id,
            runner.name,
            runner.session.is_some(),
            runner.job,
            runner.labels
        )
    });
    let deliveries = state.deliveries().map(|one| {
        let status = one.outcome.as_ref().map(|outcome| outcome.status_code);
        format!("webhook {} {:?} {status:?}", one.event, one.action)
    });
    Lines(runs.chain(jobs).chain(runners).chain(deliveries).collect()).to_string()
}
