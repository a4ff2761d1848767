//! What GitHub's users, and GitHub itself, do on the twin.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use super::{Twin, TwinError};
use crate::api::ApiFault;
use crate::clock;
use crate::model::{AccountKind, Conclusion, InstallationId, JobId, RepoId, RunId};
use crate::payload;
use crate::pulls::{ReviewState, Role};
use crate::state::{Effect, Rerun, State, WebhookDraft};
use crate::webhook::{FaultPlan, Odds, WebhookFault};

/// The options of a new repository.
#[derive(Debug, Clone)]
pub struct RepoOptions {
    pub owner_kind: AccountKind,
    /// Whether the App is installed on it.
    pub installed: bool,
    pub private: bool,
    /// The repository it is a fork of.
    pub fork_of: Option<RepoId>,
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
        self.hub.state().installation_of(repo).map(|one| one.id)
    }

    /// Pushes files to the default branch and starts the workflows that are `on: push`.
    ///
    /// # Errors
    /// When a workflow file cannot be used.
    pub fn push(&self, repo: RepoId, message: &str, files: &[(&str, &str)]) -> Result<Vec<RunId>, TwinError> {
        let branch = self.hub.state().repos[&repo].default_branch.clone();
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

    /// Gives a user a role in a repository.
    pub fn grant(&self, repo: RepoId, login: &str, role: Role) {
        self.hub.act(|state, _| {
            state.person(login);
            state.roles.insert((repo, login.to_owned()), role);
        });
    }

    /// Adds a user to a team of an organisation.
    pub fn join_team(&self, organization: &str, slug: &str, login: &str) {
        self.hub.act(|state, _| {
            state.person(login);
            let member = [organization, slug, login].map(str::to_owned);
            state.members.insert(member.into());
        });
    }

    /// Reviews a pull request at its current commit.
    ///
    /// # Errors
    /// If there is no pull request of this number.
    pub fn review(&self, pull: u64, login: &str, review: ReviewState) -> Result<(), TwinError> {
        let done = self.hub.act(|state, now| state.review(pull, login, review, now));
        if done { Ok(()) } else { Err(TwinError::NoPull(pull)) }
    }

    /// Adds a label to a pull request (`added`), or removes it.
    ///
    /// # Errors
    /// If there is no pull request of this number.
    pub fn label(&self, pull: u64, login: &str, label: &str, added: bool) -> Result<(), TwinError> {
        let done = self.hub.act(|state, now| state.label(pull, login, label, added, now));
        if done { Ok(()) } else { Err(TwinError::NoPull(pull)) }
    }

    /// Deletes a repository, a fork say: what came from it comes from nowhere any more.
    pub fn delete_repo(&self, repo: RepoId) {
        self.hub.act(|state, _| state.repos.remove(&repo));
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

    /// Adds changes to a branch's merge queue, and starts the workflows that are `on: merge_group`.
    /// Returns the entry's index in [`State::merge_entries`]. `required` are the names of the branch's
    /// required jobs.
    ///
    /// # Errors
    /// If a workflow file cannot be used.
    ///
    /// [`State::merge_entries`]: crate::State::merge_entries
    pub fn enqueue(
        &self,
        repo: RepoId,
        base: &str,
        files: &[(&str, &str)],
        required: &[&str],
    ) -> Result<usize, TwinError> {
        let changes = changes(files);
        let required = required.iter().map(|name| (*name).to_owned()).collect();
        Ok(self
            .hub
            .act(|state, now| state.enqueue(repo, base, &changes, required, now))?)
    }

    /// Cancels a run as its author would.
    ///
    /// # Errors
    /// If it is over.
    pub fn cancel(&self, run: RunId) -> Result<(), TwinError> {
        self.hub
            .act(|state, now| state.cancel_run(run, false, now))
            .map_err(TwinError::Cancel)
    }

    /// Re-runs a run as the owner of its repository would.
    ///
    /// # Errors
    /// If it is not over, or cannot be re-run this way.
    pub fn rerun(&self, run: RunId, what: Rerun) -> Result<(), TwinError> {
        let owner = |state: &State| {
            let repo = state.runs.get(&run).map(|run| run.repo)?;
            Some(state.repos[&repo].owner.login.clone())
        };
        let by = owner(&self.hub.state()).unwrap_or_default();
        self.rerun_by(&by, run, what)
    }

    /// Re-runs a run as a user.
    ///
    /// # Errors
    /// If it is not over, or cannot be re-run this way.
    pub fn rerun_by(&self, login: &str, run: RunId, what: Rerun) -> Result<(), TwinError> {
        self.hub
            .act(|state, now| {
                let by = state.person(login);
                state.rerun(run, what, &by, now)
            })
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

    /// Runs a queued job as another runner would.
    ///
    /// # Errors
    /// If it isn't queued.
    pub fn run_elsewhere(&self, job: JobId, conclusion: Conclusion) -> Result<(), TwinError> {
        self.start_elsewhere(job)?;
        self.end_elsewhere(job, conclusion)
    }

    /// Starts a queued job as another runner would.
    ///
    /// # Errors
    /// If it isn't queued.
    pub fn start_elsewhere(&self, job: JobId) -> Result<(), TwinError> {
        let done = self.hub.act(|state, now| state.start_elsewhere(job, now));
        if done { Ok(()) } else { Err(TwinError::JobState(job)) }
    }

    /// Ends a job that runs on another runner.
    ///
    /// # Errors
    /// If it doesn't.
    pub fn end_elsewhere(&self, job: JobId, conclusion: Conclusion) -> Result<(), TwinError> {
        let done = self.hub.act(|state, now| state.end_elsewhere(job, conclusion, now));
        if done { Ok(()) } else { Err(TwinError::JobState(job)) }
    }

    /// Adds a fault for webhooks; the first one that fits a webhook applies.
    pub fn disturb_webhooks(&self, fault: WebhookFault) {
        self.hub.courier.plan(|plan| plan.add(fault));
    }

    /// Disturbs webhooks without a fitting fault at random.
    pub fn disturb_webhooks_by_chance(&self, odds: Odds) {
        self.hub.courier.plan(|plan| plan.set_odds(Some(odds)));
    }

    /// Ends all faults of webhooks; held webhooks stay so until they are released.
    pub fn leave_webhooks_alone(&self) {
        self.hub.courier.plan(FaultPlan::clear);
    }

    #[expect(clippy::must_use_candidate, reason = "the count is by the way")]
    /// Sends the webhooks that [`Disturbance::Hold`](crate::Disturbance::Hold) holds back; how many.
    pub fn release_webhooks(&self) -> usize {
        self.hub.release_held()
    }

    /// Adds a fault for requests; the first one that fits a request applies.
    pub fn disturb_api(&self, fault: ApiFault) {
        self.hub
            .api_faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(fault);
    }

    /// Answers every request of the REST API with 503 for this time on the twin's clock, without
    /// effect; zero ends that. Webhooks and runners go on as usual.
    pub fn take_api_down(&self, span: Duration) {
        self.hub
            .act(|state, now| state.api_down_until = Some(clock::after(now, span)));
    }

    /// Sets if runners read `busy: false` while they have a job, as users report; deleting them is
    /// still refused.
    pub fn let_busy_read_false(&self, lies: bool) {
        self.hub.act(|state, _| state.busy_reads_false = lies);
    }
}

fn changes(files: &[(&str, &str)]) -> BTreeMap<String, Option<Vec<u8>>> {
    files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), Some(text.as_bytes().to_vec())))
        .collect()
}
