//! Accounts, repositories, installations and pushes.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use jiff::Timestamp;

use super::{Effect, State, WebhookDraft};
use crate::model::{Account, AccountId, AccountKind, Commit, Installation, InstallationId, Repo, RepoId, RunId};
use crate::payload;
use crate::workflow::{WorkflowError, WorkflowFile};

/// The source of a run.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) branch: &'a str,
    pub(super) sha: &'a str,
    /// Where the commit comes from.
    pub(super) head_repo: RepoId,
    /// Who brings it.
    pub(super) actor: Account,
}

impl Source<'_> {
    /// The branch of a trigger's filter: for a merge queue's entry the one it is merged into.
    fn base(&self) -> &str {
        let queued = self.branch.strip_prefix("gh-readonly-queue/");
        queued
            .and_then(|queued| queued.rsplit_once("/pr-"))
            .map_or(self.branch, |(base, _)| base)
    }
}

impl State {
    pub(crate) fn account(&mut self, login: &str, kind: AccountKind) -> Account {
        if let Some(account) = self.accounts.get(login) {
            return account.clone();
        }
        let account = Account {
            id: AccountId(self.ids.next("account")),
            login: login.to_owned(),
            kind,
        };
        self.accounts.insert(login.to_owned(), account.clone());
        account
    }

    pub(crate) fn create_repo(
        &mut self,
        owner: Account,
        name: &str,
        fork_of: Option<RepoId>,
        now: Timestamp,
    ) -> RepoId {
        let id = RepoId(self.ids.next("repo"));
        let repo = Repo {
            id,
            owner,
            name: name.to_owned(),
            default_branch: "main".to_owned(),
            private: false,
            fork_of,
            branches: BTreeMap::new(),
            commits: BTreeMap::new(),
            run_count: 0,
            created_at: now,
            pushed_at: now,
        };
        self.repos.insert(id, repo);
        id
    }

    /// Installs the App for a repository; an account has one installation for all of its repositories.
    pub(crate) fn install(
        &mut self,
        repo: RepoId,
        permissions: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> InstallationId {
        let owner = self.repos[&repo].owner.clone();
        if let Some(installation) = self.installations.values_mut().find(|one| one.account == owner.id) {
            installation.repos.push(repo);
            return installation.id;
        }
        let id = InstallationId(self.ids.next("installation"));
        let installation = Installation {
            id,
            account: owner.id,
            repos: vec![repo],
            permissions: permissions.clone(),
            created_at: now,
        };
        let payload = payload::installation_event(self, &installation, &owner, "created");
        self.installations.insert(id, installation);
        self.effects.push(Effect::Send(WebhookDraft {
            event: "installation",
            action: Some("created"),
            installation: Some(id),
            repo: None,
            subject: Some(id.0),
            payload,
        }));
        id
    }

    /// Adds a commit with these files on top of a branch; `None` removes a file.
    pub(crate) fn commit(
        &mut self,
        repo: RepoId,
        branch: &str,
        message: &str,
        changes: &BTreeMap<String, Option<Vec<u8>>>,
        now: Timestamp,
    ) -> String {
        let Some(repo) = self.repos.get_mut(&repo) else {
            return String::new();
        };
        let parent = repo
            .branches
            .get(branch)
            .or_else(|| repo.branches.get(&repo.default_branch))
            .and_then(|sha| repo.commits.get(sha));
        let parent_sha = parent.map(|one| one.sha.clone()).unwrap_or_default();
        let mut files = parent.map(|one| one.files.clone()).unwrap_or_default();
        for (path, contents) in changes {
            match contents {
                Some(contents) => files.insert(path.clone(), contents.clone()),
                None => files.remove(path),
            };
        }
        let listing: Vec<String> = files
            .iter()
            .map(|(path, contents)| format!("{} {path}", blob_sha(contents)))
            .collect();
        let tree = object_sha("tree", listing.join("\n").as_bytes());
        let described = format!("{tree}\n{parent_sha}\n{branch}\n{message}\n{now}");
        let sha = object_sha("commit", described.as_bytes());
        let commit = Commit {
            sha: sha.clone(),
            tree,
            message: message.to_owned(),
            at: now,
            author: repo.owner.login.clone(),
            files,
        };
        repo.commits.insert(sha.clone(), commit);
        repo.branches.insert(branch.to_owned(), sha.clone());
        repo.pushed_at = now;
        sha
    }

    /// Starts every workflow of the branch's head that `event` starts.
    pub(crate) fn trigger(
        &mut self,
        repo: RepoId,
        event: &str,
        branch: &str,
        now: Timestamp,
    ) -> Result<Vec<RunId>, WorkflowError> {
        let Some(sha) = self.head(repo, branch).map(|commit| commit.sha.clone()) else {
            return Ok(Vec::new());
        };
        let from = Source {
            branch,
            sha: &sha,
            head_repo: repo,
            actor: self.repos[&repo].owner.clone(),
        };
        self.start_workflows(repo, event, &from, now)
    }

    pub(super) fn start_workflows(
        &mut self,
        repo: RepoId,
        event: &str,
        from: &Source<'_>,
        now: Timestamp,
    ) -> Result<Vec<RunId>, WorkflowError> {
        let Some(commit) = self.repos[&repo].commits.get(from.sha) else {
            return Ok(Vec::new());
        };
        let mut files = Vec::new();
        for (path, contents) in &commit.files {
            if path.starts_with(".github/workflows/") && has_yaml_extension(path) {
                let text = String::from_utf8_lossy(contents);
                files.push((path.clone(), WorkflowFile::parse(path, &text)?));
            }
        }
        let mut runs = Vec::new();
        for (path, file) in files {
            if file.starts_on(event, from.base()) {
                runs.push(self.create_run(repo, &path, &file, event, from, now)?);
            }
        }
        Ok(runs)
    }

    pub(crate) fn head(&self, repo: RepoId, branch: &str) -> Option<&Commit> {
        let repo = self.repos.get(&repo)?;
        repo.commits.get(repo.branches.get(branch)?)
    }

    /// Returns the commit of a branch, tag or SHA; the default branch's head without one.
    pub(crate) fn resolve(&self, repo: RepoId, reference: Option<&str>) -> Option<&Commit> {
        let repo = self.repos.get(&repo)?;
        let reference = reference.unwrap_or(&repo.default_branch);
        let name = reference.strip_prefix("refs/heads/").unwrap_or(reference);
        let sha = repo.branches.get(name).map_or(name, String::as_str);
        repo.commits.get(sha)
    }
}

fn has_yaml_extension(path: &str) -> bool {
    std::path::Path::new(path)
        .extension()
        .is_some_and(|extension| extension == "yml" || extension == "yaml")
}

/// Git's id of a file's contents.
pub(crate) fn blob_sha(contents: &[u8]) -> String {
    object_sha("blob", contents)
}

/// Git's way to name an object. The twin's trees and commits are not Git's, but their ids look alike.
pub(crate) fn object_sha(kind: &str, contents: &[u8]) -> String {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(format!("{kind} {}\0", contents.len()).as_bytes());
    context.update(contents);
    hex::encode(context.finish())
}
