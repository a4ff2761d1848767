//! What the runs of a pull request have cost, and whether its comment says so.

use std::time::Duration;

use dayfly_types::ids::{CommentId, InstallationId, Repository, RunAttempt, RunId, RunKey};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

/// So many run attempts are told one by one; older ones are told together.
pub const TOLD_APART: usize = 20;

/// Of so many of those that are told together each is kept, so that it is known again when it comes again. An
/// item of the table takes 400 KB, and no run's sum more than 300 bytes; who writes more of them pays for each KB.
const KEPT_APART: usize = 1000;

/// A sum that is not final yet is said no sooner after the last one than this: a comment is no ticker, and
/// GitHub counts its changes.
pub const PACE: Duration = Duration::from_mins(5);

/// What the jobs of a run attempt have cost, or several attempts together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Costs {
    /// How many jobs.
    pub jobs: u64,
    /// The minutes that they ran, as GitHub bills them.
    pub minutes: u64,
    /// What their instances cost.
    pub cost: MicroDollars,
    /// What was saved against on-demand capacity, if that price is known.
    pub saved: Option<MicroDollars>,
    /// What was paid for work that interruptions have lost.
    pub wasted: MicroDollars,
    /// What the minutes would have cost on GitHub's own runner with a GPU, if they are known.
    pub on_github: Option<MicroDollars>,
    /// What GitHub charges for them on ours, if it charges anything.
    pub github_charge: Option<MicroDollars>,
}

impl Costs {
    /// Both together. What is known of one only is counted as far as it is known.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let both = |one: Option<MicroDollars>, other: Option<MicroDollars>| match (one, other) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        Self {
            jobs: self.jobs.saturating_add(other.jobs),
            minutes: self.minutes.saturating_add(other.minutes),
            cost: self.cost + other.cost,
            saved: both(self.saved, other.saved),
            wasted: self.wasted + other.wasted,
            on_github: both(self.on_github, other.on_github),
            github_charge: both(self.github_charge, other.github_charge),
        }
    }
}

/// What a run attempt has cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSum {
    /// The run.
    pub run: RunId,
    /// Its attempt.
    pub attempt: RunAttempt,
    /// The workflow's name, if it is known.
    pub workflow: Option<String>,
    /// How many jobs of it are told of.
    pub jobs: u32,
    /// The minutes that they ran, as GitHub bills them.
    pub minutes: u64,
    /// What their instances cost.
    pub cost: MicroDollars,
    /// What was saved against on-demand capacity, if that price is known.
    pub saved: Option<MicroDollars>,
    /// What was paid for work that interruptions have lost.
    pub wasted: MicroDollars,
    /// What the minutes would have cost on GitHub's own runner with a GPU, if they are known.
    pub on_github: Option<MicroDollars>,
    /// What GitHub charges for them on ours, if it charges anything.
    pub github_charge: Option<MicroDollars>,
    /// Whether that is the end of it.
    pub is_final: bool,
}

impl RunSum {
    /// Which attempt it is of.
    #[must_use]
    pub fn key(&self) -> RunKey {
        RunKey {
            run: self.run,
            attempt: self.attempt,
        }
    }

    /// As it is kept where it is not told apart: a workflow's name may be long.
    #[must_use]
    fn unnamed(self) -> Self {
        Self { workflow: None, ..self }
    }

    /// What it has cost.
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

/// Run attempts of which nothing is kept but what they have cost together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OlderRuns {
    /// The latest of them. What comes of it, or of one before it that is not kept, may be counted already.
    pub until: RunKey,
    /// How many attempts they are.
    pub attempts: u64,
    /// What they have cost.
    pub costs: Costs,
}

/// What the comment of a pull request is to be like, by the word of whoever has last told of its runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The App's installation that sees the repository.
    pub installation: InstallationId,
    /// What the runs must have cost more than for there to be one.
    pub above: MicroDollars,
    /// Whether it tells of the organisation's and the stack's caps too.
    pub all_caps: bool,
    /// Who had the run started, whose cap it tells of.
    pub actor: Option<String>,
}

impl Wish {
    /// One that tells of no more caps than the pull request's own and its repository's.
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

/// The comment of a pull request: what it is to say, and how far that has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullReport {
    /// Its repository.
    pub repository: Repository,
    /// Its number.
    pub pull: u64,
    /// The App's installation that sees the repository.
    pub installation: InstallationId,
    /// What its runs must have cost more than for it to get a comment.
    pub above: MicroDollars,
    /// Whether it tells of the organisation's and the stack's caps too.
    #[serde(default)]
    pub all_caps: bool,
    /// Who had the run started that was last told of.
    #[serde(default)]
    pub actor: Option<String>,
    /// What the newest run attempts have cost, the oldest of them first.
    pub runs: Vec<RunSum>,
    /// What those before them have cost that are told together, the oldest first, without their workflows.
    #[serde(default)]
    pub kept: Vec<RunSum>,
    /// All that were before those.
    pub older: Option<OlderRuns>,
    /// The comment, once it is known.
    pub comment: Option<CommentId>,
    /// Whether there may be one although nobody knows its id: GitHub was asked to make it, or nobody has
    /// looked yet.
    pub asked: bool,
    /// Whether a person has deleted it. Then no other is ever made.
    pub removed: bool,
    /// Until when somebody is at saying it. Nobody else may be, or there could be two.
    pub held_until: Option<Timestamp>,
    /// How often saying it has failed.
    pub tries: u32,
    /// Before when it is not tried again.
    pub not_before: Option<Timestamp>,
    /// When it was last said.
    pub said_at: Option<Timestamp>,
    /// Since when it is to say what it is to say.
    pub since: Timestamp,
    /// When somebody has to see to its being said; nothing once it is.
    pub due_at: Option<Timestamp>,
}

impl PullReport {
    /// One of which nothing is known yet.
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
            // The table may have forgotten that there is one.
            asked: true,
            removed: false,
            held_until: None,
            tries: 0,
            not_before: None,
            said_at: None,
            since: now,
            due_at: None,
        }
    }

    /// With what a run attempt has cost, in place of what was known of it. Nothing if that is known, or
    /// counted among the older ones.
    #[must_use]
    pub fn with(&self, sum: RunSum, wish: Wish, now: Timestamp) -> Option<Self> {
        let mut next = self.clone();
        let worth_it = next.count(sum)? || wish.above != self.above;
        next.installation = wish.installation;
        next.above = wish.above;
        next.all_caps = wish.all_caps;
        next.actor = wish.actor;
        next.since = now;
        next.due_at = next.is_wanted().then(|| self.say_at(worth_it, now));
        Some(next)
    }

    /// When something else is to be said.
    fn say_at(&self, at_once: bool, now: Timestamp) -> Timestamp {
        let paced = self.said_at.filter(|_| !at_once).map(|at| at.after(PACE));
        let wanted = paced.max(Some(now)).into_iter().chain(self.due_at).min();
        // Whoever is at saying something says this too.
        let left_alone = self.held_until.max(self.not_before);
        wanted.max(left_alone).unwrap_or(now)
    }

    /// Takes a sum in. Answers whether it is to be said at once; nothing if it changes nothing.
    fn count(&mut self, sum: RunSum) -> Option<bool> {
        let key = sum.key();
        if let Some(known) = self.runs.iter_mut().find(|known| known.key() == key) {
            return changed(known, sum);
        }
        if let Ok(place) = self.kept.binary_search_by_key(&key, RunSum::key) {
            return changed(&mut self.kept[place], sum.unnamed());
        }
        if self.older.as_ref().is_some_and(|older| key <= older.until) {
            return None;
        }
        let place = self.runs.partition_point(|known| known.key() < key);
        self.runs.insert(place, sum);
        while self.runs.len() > TOLD_APART {
            self.fold();
        }
        while self.kept.len() > KEPT_APART {
            self.forget();
        }
        Some(true)
    }

    /// Tells one less apart: the oldest that will not change any more, if there is one.
    fn fold(&mut self) {
        let gone = self.runs.remove(oldest(&self.runs)).unnamed();
        let place = self.kept.partition_point(|known| known.key() < gone.key());
        self.kept.insert(place, gone);
    }

    /// Keeps one less.
    fn forget(&mut self) {
        let gone = self.kept.remove(oldest(&self.kept));
        let older = self.older.take();
        self.older = Some(OlderRuns {
            until: older.as_ref().map_or(gone.key(), |older| older.until.max(gone.key())),
            attempts: older.as_ref().map_or(0, |older| older.attempts) + 1,
            costs: older.map(|older| older.costs).unwrap_or_default().and(&gone.costs()),
        });
    }

    /// Those that are told together: how many they are, and what they have cost.
    #[must_use]
    pub fn together(&self) -> (u64, Costs) {
        let older = self.older.clone();
        let (attempts, costs) = older.map_or((0, Costs::default()), |older| (older.attempts, older.costs));
        let costs = self.kept.iter().fold(costs, |sum, run| sum.and(&run.costs()));
        (attempts + self.kept.len() as u64, costs)
    }

    /// What all its runs have cost.
    #[must_use]
    pub fn total(&self) -> Costs {
        self.runs
            .iter()
            .fold(self.together().1, |sum, run| sum.and(&run.costs()))
    }

    /// How many run attempts it tells of.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.together().0 + self.runs.len() as u64
    }

    /// Whether all of that is the end of it.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.runs.iter().chain(&self.kept).all(|run| run.is_final)
    }

    /// Whether there is, or is to be, a comment.
    fn is_wanted(&self) -> bool {
        !self.removed && (self.comment.is_some() || self.total().cost > self.above)
    }
}

/// Puts a sum in the place of what was known. Answers whether it is to be said at once; nothing if it is the same.
fn changed(known: &mut RunSum, sum: RunSum) -> Option<bool> {
    if *known == sum {
        return None;
    }
    let ends = sum.is_final;
    *known = sum;
    Some(ends)
}

/// The place of the oldest that will not change any more, if there is one.
fn oldest(runs: &[RunSum]) -> usize {
    runs.iter().position(|run| run.is_final).unwrap_or_default()
}

#[cfg(test)]
#[path = "pull_tests.rs"]
mod tests;
