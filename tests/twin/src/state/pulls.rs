//! Pull requests: opened, pushed to, reviewed, labelled.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::State;
use super::repos::Source;
use crate::model::{Account, AccountKind, RepoId, RunId};
use crate::pulls::{LabelEvent, Pull, Review, ReviewState, Role};
use crate::workflow::WorkflowError;

impl State {
    /// Commits to a fork, opens a pull request with it if that branch has none, and starts what the
    /// parent has for it.
    pub(crate) fn pull_request(
        &mut self,
        fork: RepoId,
        branch: &str,
        changes: &BTreeMap<String, Option<Vec<u8>>>,
        now: Timestamp,
    ) -> Result<Vec<RunId>, WorkflowError> {
        let sha = self.commit(fork, branch, "Propose a change", changes, now);
        let head = self.repos[&fork].commits.get(&sha).cloned();
        let parent = self.repos[&fork].fork_of;
        let author = self.repos[&fork].owner.clone();
        let (Some(head), Some(parent)) = (head, parent) else {
            return Ok(Vec::new());
        };
        if let Some(parent) = self.repos.get_mut(&parent) {
            parent.commits.insert(sha.clone(), head);
        }
        self.open_pull(parent, fork, branch, &sha, &author, now);
        let from = Source {
            branch,
            sha: &sha,
            head_repo: fork,
            actor: author,
        };
        self.start_workflows(parent, "pull_request", &from, now)
    }

    fn open_pull(
        &mut self,
        repo: RepoId,
        head_repo: RepoId,
        branch: &str,
        sha: &str,
        author: &Account,
        now: Timestamp,
    ) {
        let is_it = |pull: &&mut Pull| pull.repo == repo && pull.head_repo == head_repo && pull.head_branch == branch;
        if let Some(pull) = self.pulls.iter_mut().find(is_it) {
            sha.clone_into(&mut pull.head_sha);
            return;
        }
        let number = self.ids.next("pull");
        self.pulls.push(Pull {
            number,
            repo,
            base: self.repos[&repo].default_branch.clone(),
            head_repo,
            head_branch: branch.to_owned(),
            head_sha: sha.to_owned(),
            author: author.clone(),
            labels: Vec::new(),
            label_events: Vec::new(),
            reviews: Vec::new(),
            opened_at: now,
        });
    }

    /// Every pull request, oldest first.
    #[must_use]
    pub fn pulls(&self) -> &[Pull] {
        &self.pulls
    }

    /// Returns a user's role in a repository; everyone may read a public one.
    pub(crate) fn role(&self, repo: RepoId, login: &str) -> Option<Role> {
        let own = self.repos[&repo].owner.login == login;
        let given = self.roles.get(&(repo, login.to_owned())).copied();
        let anybody = (!self.repos[&repo].private).then_some(Role::Read);
        given.or(own.then_some(Role::Admin)).or(anybody)
    }

    pub(crate) fn person(&mut self, login: &str) -> Account {
        self.account(login, AccountKind::User)
    }

    /// Reviews a pull request at its current commit. Returns whether it exists.
    pub(crate) fn review(&mut self, number: u64, by: &str, state: ReviewState, now: Timestamp) -> bool {
        let by = self.person(by);
        let id = self.ids.next("comment");
        let Some(pull) = self.pulls.iter_mut().find(|pull| pull.number == number) else {
            return false;
        };
        pull.reviews.push(Review {
            id,
            by,
            commit: pull.head_sha.clone(),
            state,
            at: now,
        });
        true
    }

    /// Adds a label to a pull request, or removes it. Returns whether it exists.
    pub(crate) fn label(&mut self, number: u64, by: &str, label: &str, added: bool, now: Timestamp) -> bool {
        let by = self.person(by);
        let id = self.ids.next("comment");
        let Some(pull) = self.pulls.iter_mut().find(|pull| pull.number == number) else {
            return false;
        };
        pull.labels.retain(|known| known != label);
        if added {
            pull.labels.push(label.to_owned());
        }
        pull.label_events.push(LabelEvent {
            id,
            label: label.to_owned(),
            by,
            added,
            at: now,
        });
        true
    }
}
