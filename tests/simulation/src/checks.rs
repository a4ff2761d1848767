//! The check runs on GitHub.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_records::CheckConclusion;
use dayfly_records::CheckRunBody;
use dayfly_types::ids::{CheckRunId, JobKey, Repository};
use dayfly_types::time::Timestamp;

/// A check run of ours.
#[derive(Clone, Debug)]
pub struct Check {
    /// The job in its external id.
    pub job: Option<JobKey>,
    pub repository: Repository,
    /// The current content.
    pub body: CheckRunBody,
    pub made_at: Timestamp,
    pub changed_at: Timestamp,
}

#[derive(Default)]
pub struct Checks {
    all: BTreeMap<CheckRunId, Check>,
    by_external_id: BTreeMap<String, Vec<CheckRunId>>,
    failures: BTreeSet<CheckRunId>,
    last: u64,
}

impl Checks {
    /// Creates a check run.
    pub fn make(&mut self, check: Check) -> CheckRunId {
        self.last += 1;
        let id = CheckRunId(self.last);
        self.named(id, &check.body.external_id);
        if is_failure(&check.body) {
            self.failures.insert(id);
        }
        self.all.insert(id, check);
        id
    }

    /// Updates a check run, as far as GitHub allows. Returns whether it exists.
    pub fn change(&mut self, id: CheckRunId, check: &CheckRunBody, now: Timestamp) -> bool {
        let Some(known) = self.all.get_mut(&id) else {
            return false;
        };
        let renamed = known.body.external_id != check.external_id;
        known.body = CheckRunBody {
            head_sha: known.body.head_sha.clone(),
            conclusion: known.body.conclusion.or(check.conclusion),
            ..check.clone()
        };
        known.changed_at = now;
        if is_failure(&known.body) {
            self.failures.insert(id);
        }
        if renamed {
            self.named(id, &check.external_id);
        }
        true
    }

    fn named(&mut self, id: CheckRunId, external_id: &str) {
        self.by_external_id.entry(external_id.to_owned()).or_default().push(id);
    }

    /// Returns those with an external id.
    pub fn of(&self, external_id: &str) -> impl Iterator<Item = (CheckRunId, &Check)> {
        let ids = self.by_external_id.get(external_id).into_iter().flatten();
        let found = ids.filter_map(|id| Some((*id, self.all.get(id)?)));
        found.filter(move |(_, check)| check.body.external_id == external_id)
    }

    /// Returns those that report a failure.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.failures.iter().filter_map(|id| self.all.get(id))
    }
}

/// GitHub keeps a conclusion, so a failure stays one.
fn is_failure(check: &CheckRunBody) -> bool {
    check.conclusion == Some(CheckConclusion::Failure)
}
