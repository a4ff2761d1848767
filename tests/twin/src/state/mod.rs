//! The twin's state and its transitions.
//!
//! Nothing here waits, reads a clock or sends anything: a transition is given the time, and leaves its
//! effects (events, webhooks) to its caller.

mod concurrency;
mod deadlines;
mod jobs;
mod merge_queue;
mod pulls;
mod repos;
mod reruns;
mod runners;
mod runs;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use serde_json::Value;

pub use self::jobs::{SHUTDOWN_ANNOTATION, lost_annotation};
pub use self::merge_queue::{MergeEntry, MergeFate};
pub(crate) use self::repos::blob_sha;
pub use self::reruns::{Rerun, RerunRefusal};
pub(crate) use self::runners::JitRequest;
pub use self::runners::{DeleteRefusal, RegisterRefusal, SessionRefusal};
pub use self::runs::CancelRefusal;
use crate::app::AppInfo;
use crate::checks::{CheckRun, Comment};
use crate::config::TwinConfig;
use crate::event::Happening;
use crate::model::{
    Account, AccountKind, DeliveryId, Installation, InstallationId, Job, JobId, Repo, RepoId, Run, RunId, Runner,
    RunnerId, Token, WorkflowId,
};
use crate::pulls::{Pull, Role};
use crate::secrets::{Secret, SecretKind};
use crate::webhook::Delivery;

/// All that the twin knows. Read it in `Twin::look` and `Twin::wait_for`.
#[derive(Debug)]
pub struct State {
    pub(crate) rules: TwinConfig,
    pub(crate) app: AppInfo,
    pub(crate) api_url: String,
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) installations: BTreeMap<InstallationId, Installation>,
    pub(crate) tokens: HashMap<String, Token>,
    pub(crate) token_uses: BTreeMap<InstallationId, RateWindow>,
    pub(crate) repos: BTreeMap<RepoId, Repo>,
    pub(crate) workflows: BTreeMap<(RepoId, String), WorkflowId>,
    pub(crate) runs: BTreeMap<RunId, Run>,
    pub(crate) jobs: BTreeMap<JobId, Job>,
    pub(crate) runners: BTreeMap<RunnerId, Runner>,
    pub(crate) deliveries: BTreeMap<DeliveryId, Delivery>,
    pub(crate) check_runs: Vec<CheckRun>,
    pub(crate) comments: Vec<Comment>,
    pub(crate) merge_entries: Vec<MergeEntry>,
    pub(crate) pulls: Vec<Pull>,
    /// Roles of users in repositories, beyond what everyone may do.
    pub(crate) roles: BTreeMap<(RepoId, String), Role>,
    /// Who is in which team: organisation, team, person.
    pub(crate) members: BTreeSet<(String, String, String)>,
    pub(crate) seen_jtis: HashMap<String, String>,
    pub(crate) secrets: BTreeSet<Secret>,
    pub(crate) busy_reads_false: bool,
    pub(crate) api_down_until: Option<Timestamp>,
    pub(crate) violations: Vec<String>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) ids: Ids,
}

/// An effect of a transition.
#[derive(Debug)]
pub(crate) enum Effect {
    Publish(Happening),
    /// Send a webhook.
    Send(WebhookDraft),
}

/// A webhook that is to be sent.
#[derive(Debug, Clone)]
pub(crate) struct WebhookDraft {
    pub(crate) event: &'static str,
    pub(crate) action: Option<&'static str>,
    pub(crate) installation: Option<InstallationId>,
    pub(crate) repo: Option<RepoId>,
    /// The job or run it is about.
    pub(crate) subject: Option<u64>,
    pub(crate) payload: Value,
}

/// Requests of an installation in the running hour.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RateWindow {
    pub(crate) used: u32,
    pub(crate) resets_at: Timestamp,
}

/// Makes ids of the sizes that GitHub's have today; each kind grows in uneven steps.
#[derive(Debug)]
pub(crate) struct Ids {
    next: HashMap<&'static str, u64>,
}

impl Ids {
    fn new() -> Self {
        Self {
            next: HashMap::from([
                ("account", 91_204_337),
                ("installation", 58_113_902),
                ("repo", 871_240_551),
                ("workflow", 118_204_466),
                ("run", 19_230_448_115),
                ("job", 55_871_902_331),
                ("runner", 21),
                ("delivery", 191_480_223_917_056),
                ("comment", 3_120_448_102),
                ("pull", 17),
            ]),
        }
    }

    /// The next id of a kind.
    pub(crate) fn next(&mut self, kind: &'static str) -> u64 {
        let next = self.next.entry(kind).or_insert(1);
        let id = *next;
        // Uneven on purpose, so that no client relies on consecutive ids. Runners count up by one, as
        // GitHub's do.
        *next += if kind == "runner" { 1 } else { 1 + id % 37 };
        id
    }
}

impl State {
    pub(crate) fn new(rules: TwinConfig, app: AppInfo, api_url: String) -> Self {
        Self {
            rules,
            app,
            api_url,
            accounts: BTreeMap::new(),
            installations: BTreeMap::new(),
            tokens: HashMap::new(),
            token_uses: BTreeMap::new(),
            repos: BTreeMap::new(),
            workflows: BTreeMap::new(),
            runs: BTreeMap::new(),
            jobs: BTreeMap::new(),
            runners: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            check_runs: Vec::new(),
            comments: Vec::new(),
            merge_entries: Vec::new(),
            pulls: Vec::new(),
            roles: BTreeMap::new(),
            members: BTreeSet::new(),
            seen_jtis: HashMap::new(),
            secrets: BTreeSet::new(),
            busy_reads_false: false,
            api_down_until: None,
            violations: Vec::new(),
            effects: Vec::new(),
            ids: Ids::new(),
        }
    }

    /// Remembers a secret that is given out.
    pub(crate) fn record_secret(&mut self, kind: SecretKind, value: &str) {
        self.secrets.insert(Secret {
            kind,
            value: value.to_owned(),
        });
    }

    /// Every run, oldest first.
    #[must_use]
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = &Run> {
        self.runs.values()
    }

    /// One run.
    #[must_use]
    pub fn run(&self, id: RunId) -> Option<&Run> {
        self.runs.get(&id)
    }

    /// Every job of every attempt, oldest first.
    #[must_use]
    pub fn jobs(&self) -> impl DoubleEndedIterator<Item = &Job> {
        self.jobs.values()
    }

    /// One job.
    #[must_use]
    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(&id)
    }

    /// The jobs of one attempt of a run.
    #[must_use]
    pub fn jobs_of(&self, run: RunId, attempt: u32) -> Vec<&Job> {
        self.jobs
            .values()
            .filter(|job| job.run == run && job.attempt == attempt)
            .collect()
    }

    /// Every registered runner, oldest first.
    #[must_use]
    pub fn runners(&self) -> impl DoubleEndedIterator<Item = &Runner> {
        self.runners.values()
    }

    /// One registered runner, by its name.
    #[must_use]
    pub fn runner_named(&self, name: &str) -> Option<&Runner> {
        self.runners.values().find(|runner| runner.name == name)
    }

    /// Every webhook delivery, oldest first.
    #[must_use]
    pub fn deliveries(&self) -> impl DoubleEndedIterator<Item = &Delivery> {
        self.deliveries.values()
    }

    /// Returns every check run created through the API, oldest first.
    #[must_use]
    pub fn check_runs(&self) -> &[CheckRun] {
        &self.check_runs
    }

    /// Returns every comment created through the API, oldest first.
    #[must_use]
    pub fn comments(&self) -> &[Comment] {
        &self.comments
    }

    /// One repository, by its owner and name in any case.
    #[must_use]
    pub fn repo_named(&self, owner: &str, name: &str) -> Option<&Repo> {
        self.repos
            .values()
            .find(|repo| repo.owner.login.eq_ignore_ascii_case(owner) && repo.name.eq_ignore_ascii_case(name))
    }

    /// The installation that sees a repository.
    #[must_use]
    pub fn installation_of(&self, repo: RepoId) -> Option<&Installation> {
        self.installations
            .values()
            .find(|installation| installation.repos.contains(&repo))
    }

    /// The App's own account.
    pub(crate) fn bot(&self) -> Account {
        Account {
            login: format!("{}[bot]", self.app.slug),
            kind: AccountKind::Bot,
            ..self.app.owner.clone()
        }
    }

    pub(crate) fn publish(&mut self, what: Happening) {
        self.effects.push(Effect::Publish(what));
    }

    /// Queues a webhook about a repository, for the App's subscribed events only.
    pub(crate) fn send(
        &mut self,
        event: &'static str,
        action: &'static str,
        repo: RepoId,
        subject: u64,
        payload: Value,
    ) {
        let Some(installation) = self.installation_of(repo).map(|one| one.id) else {
            // The App is not installed there, so it gets no webhook.
            return;
        };
        self.effects.push(Effect::Send(WebhookDraft {
            event,
            action: Some(action),
            installation: Some(installation),
            repo: Some(repo),
            subject: Some(subject),
            payload,
        }));
    }
}
