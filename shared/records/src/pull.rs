//! The comment of a pull request: what its runs have cost, and how far publishing has come.

use std::time::Duration;

use dayfly_types::ids::{CommentId, InstallationId, Repository, RunAttempt, RunId, RunKey};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The most run attempts that are listed one by one; older ones are summed up.
pub const MAX_LISTED_RUNS: usize = 20;

/// The most summed-up run attempts that are kept one by one, so that a repeated sum is recognised. An item of the
/// table holds 400 KB, a run's sum takes up to 300 bytes, and each KB written is billed.
const MAX_KEPT_RUNS: usize = 1000;

/// The shortest time between two changes of a comment for sums that are not final: a comment is not a ticker, and
/// GitHub limits its changes.
const COMMENT_INTERVAL: Duration = Duration::from_mins(5);

/// The costs of one or several run attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Costs {
    pub jobs: u64,
    /// Minutes of running jobs, as GitHub bills them.
    pub minutes: u64,
    /// The cost of the instances.
    pub cost: MicroDollars,
    /// The saving against on-demand capacity, if that price is known.
    pub saved: Option<MicroDollars>,
    /// What was paid for work that interruptions lost.
    pub wasted: MicroDollars,
    /// The cost of the minutes on GitHub's own GPU runner, if known.
    pub on_github: Option<MicroDollars>,
    /// GitHub's charge for the minutes on our runners, if any.
    pub github_charge: Option<MicroDollars>,
}

impl Costs {
    /// Adds up both. An amount that only one of them knows is taken from that one.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let sum = |one: Option<MicroDollars>, other: Option<MicroDollars>| match (one, other) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        Self {
            jobs: self.jobs.saturating_add(other.jobs),
            minutes: self.minutes.saturating_add(other.minutes),
            cost: self.cost + other.cost,
            saved: sum(self.saved, other.saved),
            wasted: self.wasted + other.wasted,
            on_github: sum(self.on_github, other.on_github),
            github_charge: sum(self.github_charge, other.github_charge),
        }
    }
}

/// The costs of a run attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSum {
    pub run: RunId,
    pub attempt: RunAttempt,
    /// The workflow's name, if known.
    pub workflow: Option<String>,
    pub jobs: u32,
    /// Minutes of running jobs, as GitHub bills them.
    pub minutes: u64,
    /// The cost of the instances.
    pub cost: MicroDollars,
    /// The saving against on-demand capacity, if that price is known.
    pub saved: Option<MicroDollars>,
    /// What was paid for work that interruptions lost.
    pub wasted: MicroDollars,
    /// The cost of the minutes on GitHub's own GPU runner, if known.
    pub on_github: Option<MicroDollars>,
    /// GitHub's charge for the minutes on our runners, if any.
    pub github_charge: Option<MicroDollars>,
    /// Whether the sum will not change any more.
    pub is_final: bool,
}

impl RunSum {
    #[must_use]
    pub fn key(&self) -> RunKey {
        RunKey {
            run: self.run,
            attempt: self.attempt,
        }
    }

    /// Removes the workflow's name, which may be long and is only used in the list.
    #[must_use]
    fn unnamed(self) -> Self {
        Self { workflow: None, ..self }
    }

    #[must_use]
    pub fn costs(&self) -> Costs {
        Costs {
            jobs: self.jobs.into(),
            minutes: self.minutes,
            cost: self.cost,
            saved: self.saved,
            wasted: self.wasted,
            on_github: self.on_github,
            github_charge: self.github_charge,
        }
    }
}

/// Run attempts of which only the total costs are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OlderRuns {
    /// The latest of them. A sum of this attempt, or of one before it that is not kept, may be counted already.
    pub until: RunKey,
    pub attempts: u64,
    pub costs: Costs,
}

/// The settings of a pull request's comment, which come with each sum; the last ones hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommentSettings {
    pub installation: InstallationId,
    /// The comment appears once the runs have cost more than this.
    pub above: MicroDollars,
    /// Whether it shows the organisation's and the stack's caps as well.
    pub all_caps: bool,
    /// The requester whose cap it shows.
    pub actor: Option<String>,
}

impl CommentSettings {
    /// Settings that show only the caps of the pull request and its repository.
    #[must_use]
    pub fn new(installation: InstallationId, above: MicroDollars) -> Self {
        Self {
            installation,
            above,
            all_caps: false,
            actor: None,
        }
    }
}

/// The comment of a pull request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullReport {
    pub repository: Repository,
    pub pull: u64,
    pub installation: InstallationId,
    /// The comment appears once the runs have cost more than this.
    pub above: MicroDollars,
    /// Whether it shows the organisation's and the stack's caps as well.
    pub all_caps: bool,
    /// The requester of the run whose sum came last.
    pub actor: Option<String>,
    /// The newest run attempts, listed one by one, the oldest first.
    pub runs: Vec<RunSum>,
    /// The run attempts before them, which are summed up: the oldest first, without workflow names.
    #[serde(default)]
    pub kept: Vec<RunSum>,
    /// All run attempts before those.
    pub older: Option<OlderRuns>,
    /// The comment, once its id is known.
    pub comment: Option<CommentId>,
    /// Whether the comment may exist although its id is unknown: its creation was requested, or GitHub was not
    /// searched yet.
    pub may_exist: bool,
    /// Whether a person has deleted it. No other is created then.
    pub removed: bool,
    /// Until when a function holds the right to publish it. Two at once could create two comments.
    pub held_until: Option<Timestamp>,
    /// The number of failed tries to publish it.
    pub tries: u32,
    /// The earliest time of the next try.
    pub not_before: Option<Timestamp>,
    pub published_at: Option<Timestamp>,
    /// Since when the content is current.
    pub since: Timestamp,
    /// When publishing is due; `None` once it is published.
    pub due_at: Option<Timestamp>,
}

impl PullReport {
    #[must_use]
    pub fn new(repository: Repository, pull: u64, installation: InstallationId, now: Timestamp) -> Self {
        Self {
            repository,
            pull,
            installation,
            above: MicroDollars::default(),
            all_caps: false,
            actor: None,
            runs: Vec::new(),
            kept: Vec::new(),
            older: None,
            comment: None,
            // The table may have lost the record of an earlier comment.
            may_exist: true,
            removed: false,
            held_until: None,
            tries: 0,
            not_before: None,
            published_at: None,
            since: now,
            due_at: None,
        }
    }

    /// Adds the sum of a run attempt, or replaces it. Returns `None` if nothing changes, or if the attempt is among
    /// the older ones.
    #[must_use]
    pub fn with(&self, sum: RunSum, settings: CommentSettings, now: Timestamp) -> Option<Self> {
        let mut next = self.clone();
        let at_once = next.count(sum)? || settings.above != self.above;
        next.installation = settings.installation;
        next.above = settings.above;
        next.all_caps = settings.all_caps;
        next.actor = settings.actor;
        next.since = now;
        next.due_at = next.is_wanted().then(|| self.publish_at(at_once, now));
        Some(next)
    }

    /// When changed content is to be published.
    fn publish_at(&self, at_once: bool, now: Timestamp) -> Timestamp {
        let paced = self
            .published_at
            .filter(|_| !at_once)
            .map(|at| at.after(COMMENT_INTERVAL));
        let wanted = paced.max(Some(now)).into_iter().chain(self.due_at).min();
        // A function that is publishing publishes this as well.
        let not_before = self.held_until.max(self.not_before);
        wanted.max(not_before).unwrap_or(now)
    }

    /// Adds or replaces a sum. Returns whether it is to be published at once, or `None` if nothing changes.
    fn count(&mut self, sum: RunSum) -> Option<bool> {
        let key = sum.key();
        if let Some(known) = self.runs.iter_mut().find(|known| known.key() == key) {
            return replace(known, sum);
        }
        if let Ok(index) = self.kept.binary_search_by_key(&key, RunSum::key) {
            return replace(&mut self.kept[index], sum.unnamed());
        }
        if self.older.as_ref().is_some_and(|older| key <= older.until) {
            return None;
        }
        let index = self.runs.partition_point(|known| known.key() < key);
        self.runs.insert(index, sum);
        while self.runs.len() > MAX_LISTED_RUNS {
            self.unlist_oldest();
        }
        while self.kept.len() > MAX_KEPT_RUNS {
            self.drop_oldest();
        }
        Some(true)
    }

    /// Moves a run attempt from the list to those summed up: the oldest final one, or else the oldest.
    fn unlist_oldest(&mut self) {
        let oldest = self.runs.remove(oldest_final(&self.runs)).unnamed();
        let index = self.kept.partition_point(|known| known.key() < oldest.key());
        self.kept.insert(index, oldest);
    }

    /// Adds a kept run attempt to the total of the older ones.
    fn drop_oldest(&mut self) {
        let oldest = self.kept.remove(oldest_final(&self.kept));
        let older = self.older.take();
        self.older = Some(OlderRuns {
            until: older
                .as_ref()
                .map_or(oldest.key(), |older| older.until.max(oldest.key())),
            attempts: older.as_ref().map_or(0, |older| older.attempts) + 1,
            costs: older.map(|older| older.costs).unwrap_or_default().and(&oldest.costs()),
        });
    }

    /// The number and costs of the run attempts that are summed up.
    #[must_use]
    pub fn together(&self) -> (u64, Costs) {
        let older = self.older.clone();
        let (attempts, costs) = older.map_or((0, Costs::default()), |older| (older.attempts, older.costs));
        let costs = self.kept.iter().fold(costs, |sum, run| sum.and(&run.costs()));
        (attempts + self.kept.len() as u64, costs)
    }

    #[must_use]
    pub fn total(&self) -> Costs {
        self.runs
            .iter()
            .fold(self.together().1, |sum, run| sum.and(&run.costs()))
    }

    /// The number of all run attempts.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.together().0 + self.runs.len() as u64
    }

    /// Whether no sum will change any more.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.runs.iter().chain(&self.kept).all(|run| run.is_final)
    }

    /// Whether there is a comment, or should be one.
    fn is_wanted(&self) -> bool {
        !self.removed && (self.comment.is_some() || self.total().cost > self.above)
    }
}

/// Replaces a sum. Returns whether that is to be published at once, or `None` if it is the same.
fn replace(known: &mut RunSum, sum: RunSum) -> Option<bool> {
    if *known == sum {
        return None;
    }
    let ends = sum.is_final;
    *known = sum;
    Some(ends)
}

/// The index of the oldest final sum, or else of the oldest.
fn oldest_final(runs: &[RunSum]) -> usize {
    runs.iter().position(|run| run.is_final).unwrap_or_default()
}

#[cfg(test)]
#[path = "pull_tests.rs"]
mod tests;
