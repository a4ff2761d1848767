//! What the runs of a pull request have cost, and whether its comment says so.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{CommentId, InstallationId, Repository, RunAttempt, RunId, RunKey};
use crate::money::MicroDollars;
use crate::time::Timestamp;

/// So many run attempts are told one by one; older ones are told together.
pub const TOLD_APART: usize = 20;

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

/// Run attempts that are not told one by one any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OlderRuns {
    /// The latest of them. What comes again of it, or of one before it, is counted already.
    pub until: RunKey,
    /// How many attempts they are.
    pub attempts: u64,
    /// What they have cost.
    pub costs: Costs,
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
    /// What the newest run attempts have cost, the oldest of them first.
    pub runs: Vec<RunSum>,
    /// All that were before them.
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
            runs: Vec::new(),
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
    pub fn with(&self, sum: RunSum, installation: InstallationId, above: MicroDollars, now: Timestamp) -> Option<Self> {
        let mut next = self.clone();
        let worth_it = next.count(sum)? || above != self.above;
        next.above = above;
        next.installation = installation;
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
        let at_once = match self.runs.iter_mut().find(|known| known.key() == key) {
            Some(known) if *known == sum => return None,
            Some(known) => {
                let ends = sum.is_final;
                *known = sum;
                ends
            }
            None if self.older.as_ref().is_some_and(|older| key <= older.until) => return None,
            None => {
                let place = self.runs.partition_point(|known| known.key() < key);
                self.runs.insert(place, sum);
                true
            }
        };
        while self.runs.len() > TOLD_APART {
            self.fold();
        }
        Some(at_once)
    }

    /// Tells one less apart: the oldest that will not change any more, if there is one.
    fn fold(&mut self) {
        let place = self.runs.iter().position(|run| run.is_final).unwrap_or_default();
        let gone = self.runs.remove(place);
        let older = self.older.take();
        self.older = Some(OlderRuns {
            until: older.as_ref().map_or(gone.key(), |older| older.until.max(gone.key())),
            attempts: older.as_ref().map_or(0, |older| older.attempts) + 1,
            costs: older.map(|older| older.costs).unwrap_or_default().and(&gone.costs()),
        });
    }

    /// What all its runs have cost.
    #[must_use]
    pub fn total(&self) -> Costs {
        let older = self.older.as_ref().map(|older| older.costs.clone()).unwrap_or_default();
        self.runs.iter().fold(older, |sum, run| sum.and(&run.costs()))
    }

    /// How many run attempts it tells of.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        let older = self.older.as_ref().map_or(0, |older| older.attempts);
        older + self.runs.len() as u64
    }

    /// Whether all of that is the end of it.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.runs.iter().all(|run| run.is_final)
    }

    /// Whether there is, or is to be, a comment.
    fn is_wanted(&self) -> bool {
        !self.removed && (self.comment.is_some() || self.total().cost > self.above)
    }
}

#[cfg(test)]
#[path = "pull_tests.rs"]
mod tests;
