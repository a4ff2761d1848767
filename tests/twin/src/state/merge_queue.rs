//! The merge queue: what becomes of a pull request's changes once they are queued, by the checks that
//! the branch requires.
//!
//! <https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/configuring-pull-request-merges/managing-a-merge-queue>

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::State;
use super::repos::Source;
use crate::model::{Conclusion, JobId, RepoId, RunId};
use crate::workflow::WorkflowError;

/// An entry of a merge queue.
#[derive(Debug, Clone)]
pub struct MergeEntry {
    pub repo: RepoId,
    /// The branch that it is to be merged into.
    pub base: String,
    /// The commit that the checks are for: the changes on top of the branch.
    pub sha: String,
    /// The runs that were started for it.
    pub runs: Vec<RunId>,
    /// The checks that it still needs, by the names of their jobs.
    pub required: BTreeSet<String>,
    pub fate: MergeFate,
}

/// The fate of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeFate {
    /// It waits for its checks.
    Waiting,
    /// All required checks passed.
    Merged,
    /// A required check failed; nothing that happens later brings it back.
    Removed,
}

impl State {
    /// Every entry of every merge queue, oldest first.
    #[must_use]
    pub fn merge_entries(&self) -> &[MergeEntry] {
        &self.merge_entries
    }

    /// Queues changes to a branch, and starts the workflows that are `on: merge_group`.
    pub(crate) fn enqueue(
        &mut self,
        repo: RepoId,
        base: &str,
        changes: &BTreeMap<String, Option<Vec<u8>>>,
        required: BTreeSet<String>,
        now: Timestamp,
    ) -> Result<usize, WorkflowError> {
        let number = self.merge_entries.len() + 1;
        let onto = self
            .head(repo, base)
            .map(|commit| commit.sha.clone())
            .unwrap_or_default();
        let branch = format!("gh-readonly-queue/{base}/pr-{number}-{onto}");
        let sha = self.commit(repo, &branch, "Merge a pull request", changes, now);
        let from = Source {
            branch: &branch,
            sha: &sha,
            head_repo: repo,
            actor: self.repos[&repo].owner.clone(),
        };
        let entry = MergeEntry {
            repo,
            base: base.to_owned(),
            sha: sha.clone(),
            runs: Vec::new(),
            required,
            fate: MergeFate::Waiting,
        };
        self.merge_entries.push(entry);
        let runs = self.start_workflows(repo, "merge_group", &from, now)?;
        self.merge_entries[number - 1].runs = runs;
        Ok(number - 1)
    }

    /// A job's check is reported: what that means for the entry that its run is for.
    pub(super) fn report_to_queue(&mut self, job: JobId, end: Conclusion) {
        let job = &self.jobs[&job];
        let run = &self.runs[&job.run];
        let is_its = |entry: &&mut MergeEntry| {
            entry.repo == run.repo && entry.sha == run.head_sha && entry.fate == MergeFate::Waiting
        };
        if run.event != "merge_group" {
            return;
        }
        let Some(entry) = self.merge_entries.iter_mut().find(is_its) else {
            return;
        };
        if !entry.required.contains(&job.spec.name) {
            return;
        }
        match end {
            Conclusion::Success | Conclusion::Skipped => {
                entry.required.remove(&job.spec.name);
            }
            Conclusion::Failure | Conclusion::Cancelled => entry.fate = MergeFate::Removed,
        }
        if entry.fate == MergeFate::Waiting && entry.required.is_empty() {
            entry.fate = MergeFate::Merged;
            let (repo, base, sha) = (entry.repo, entry.base.clone(), entry.sha.clone());
            if let Some(repo) = self.repos.get_mut(&repo) {
                repo.branches.insert(base, sha);
            }
        }
    }
}
