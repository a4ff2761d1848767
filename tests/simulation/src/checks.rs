//! The check runs that GitHub shows.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_records::CheckConclusion;
use dayfly_report::check_run::CheckRunBody;
use dayfly_types::ids::{CheckRunId, JobKey, Repository};
use dayfly_types::time::Timestamp;

/// A check run that we made.
#[derive(Clone, Debug)]
pub struct Check {
    /// The job that it is about, by its external id.
    pub job: Option<JobKey>,
    /// Its repository.
    pub repository: Repository,
    /// What it says.
    pub said: CheckRunBody,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it last said something else.
    pub changed_at: Timestamp,
}

/// All of them, as they stand.
#[derive(Default)]
pub struct Checks {
    all: BTreeMap<CheckRunId, Check>,
    by_external_id: BTreeMap<String, Vec<CheckRunId>>,
    failures: BTreeSet<CheckRunId>,
    last: u64,
}

impl Checks {
    /// Makes one.
    pub fn make(&mut self, check: Check) -> CheckRunId {
        self.last += 1;
        let id = CheckRunId(self.last);
        self.named(id, &check.said.external_id);
        if is_failure(&check.said) {
            self.failures.insert(id);
        }
        self.all.insert(id, check);
        id
    }

    /// Has one say something else, as far as GitHub lets it. Answers whether it is there.
    pub fn change(&mut self, id: CheckRunId, check: &CheckRunBody, now: Timestamp) -> bool {
        let Some(known) = self.all.get_mut(&id) else {
            return false;
        };
        let renamed = known.said.external_id != check.external_id;
        known.said = CheckRunBody {
            head_sha: known.said.head_sha.clone(),
            conclusion: known.said.conclusion.or(check.conclusion),
            ..check.clone()
        };
        known.changed_at = now;
        if is_failure(&known.said) {
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

    /// Those of an external id.
    pub fn of(&self, external_id: &str) -> impl Iterator<Item = (CheckRunId, &Check)> {
        let ids = self.by_external_id.get(external_id).into_iter().flatten();
        let found = ids.filter_map(|id| Some((*id, self.all.get(id)?)));
        found.filter(move |(_, check)| check.said.external_id == external_id)
    }

    /// Those that say that something failed.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.failures.iter().filter_map(|id| self.all.get(id))
    }
}

/// GitHub leaves a conclusion as it is, so that what failed once has failed.
fn is_failure(check: &CheckRunBody) -> bool {
    check.conclusion == Some(CheckConclusion::Failure)
}
