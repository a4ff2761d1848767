//! What a job's check run on GitHub is to say, and whether it says so yet.

use dayfly_types::capacity::{InstanceLifecycle, Pool, Tried};
use dayfly_types::ids::{CheckRunId, InstallationId, JobId, JobKey, Repository, RunAttempt, RunId};
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Job, Launched};

/// How a check run is concluded. Neither is a judgement on the commit: a success could stand in for
/// the job's own, and a cancelled check run stops a merge as a failed one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckConclusion {
    /// Something was to be said, and stops nobody.
    Neutral,
    /// The job cannot run.
    Failure,
}

/// What there is to say about a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum CheckContent {
    /// No instance could be had yet.
    Waiting {
        /// When it is tried next.
        next_at: Timestamp,
        /// What was tried.
        tried: Vec<Tried>,
    },
    /// It waits for its turn, as the stack policy limits how much runs at once.
    Queued {
        /// Its place, from 1.
        place: usize,
        /// How many wait.
        of: usize,
        /// For which limit, in words.
        words: String,
    },
    /// An instance was had after all.
    Launched {
        /// Where.
        pool: Pool,
        /// How it was bought.
        lifecycle: InstanceLifecycle,
        /// What was tried before.
        tried: Vec<Tried>,
    },
    /// It is given up.
    GivenUp {
        /// Why, in words for its author, with what to do about it.
        reason: String,
        /// What was tried.
        tried: Vec<Tried>,
        /// How the job itself learns of it.
        messenger: MessengerNews,
    },
    /// It lost its instance.
    Interrupted {
        /// When.
        at: Timestamp,
        /// What happened, in words.
        what: String,
        /// Where it ran, if that is known.
        ran_on: Option<(Pool, InstanceLifecycle)>,
        /// What will happen next.
        next: AfterInterruption,
    },
    /// It is a re-run of an interrupted job.
    Again {
        /// The attempt that was interrupted.
        of: RunAttempt,
        /// How the instance is bought this time.
        lifecycle: InstanceLifecycle,
    },
    /// It ended while it waited, so nothing is tried any more.
    Over {
        /// What was tried.
        tried: Vec<Tried>,
    },
    /// What the jobs of a run attempt went through, and what they cost.
    Story {
        /// Which, in the order in which they began.
        jobs: Vec<JobId>,
    },
    /// All jobs of a run attempt that have no check run of their own.
    Combined {
        /// What there is to say, and of which.
        parts: Vec<CombinedPart>,
    },
}

/// What is said of several jobs at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CombinedPart {
    /// What.
    pub content: CheckContent,
    /// Of which, with their names in the workflow.
    pub jobs: Vec<(JobId, String)>,
}

/// How a job that is given up learns of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum MessengerNews {
    /// A messenger is on its way to fail it with the reason in its log.
    OnItsWay,
    /// The configuration wants none: the job waits until GitHub or a person ends it.
    Off,
    /// None could be launched, for this reason.
    Failed {
        /// EC2's words.
        reason: String,
        /// Whether the run is cancelled instead.
        cancelled: bool,
    },
}

/// What happens after an interruption.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum AfterInterruption {
    /// It is run again once its run is over.
    WhenRunIsOver,
    /// It was run again, in this attempt.
    RunAgain {
        /// The new attempt.
        attempt: RunAttempt,
        /// Whether jobs that failed by themselves were run again with it.
        with_failed: bool,
    },
    /// It is not run again, for this reason.
    Not {
        /// In words.
        reason: String,
    },
    /// It had not begun, so it simply gets another instance.
    AnotherInstance,
}

/// The check run of a job: what it is to say, and how far that has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRun {
    /// The job, or all of its attempt, or their story.
    pub key: JobKey,
    /// Its run.
    pub run: RunId,
    /// Its repository.
    pub repository: Repository,
    /// The App's installation that sees the repository.
    pub installation: InstallationId,
    /// The commit that the check run is shown on.
    pub head_sha: String,
    /// The job's name in the workflow; none for all of an attempt.
    pub job_name: String,
    /// What is to be said.
    pub content: CheckContent,
    /// Since when.
    pub since: Timestamp,
    /// The check run that says it, once GitHub has made it.
    pub check: Option<CheckRunId>,
    /// How that check run is concluded. GitHub opens none again.
    pub concluded: Option<CheckConclusion>,
    /// Which of the job's check runs it is, counted from 1.
    pub serial: u32,
    /// Whether GitHub was asked to make it, so that it may be there although nobody knows its id.
    pub asked: bool,
    /// Until when somebody is at saying it. Nobody else may be: of two who say different things,
    /// the one whose words are old could be the last.
    pub held_until: Option<Timestamp>,
    /// How often saying it has failed.
    pub tries: u32,
    /// Before when it is not tried again.
    pub not_before: Option<Timestamp>,
    /// When somebody has to see to its being said; nothing once it is.
    pub due_at: Option<Timestamp>,
}

impl CheckRun {
    /// What is to be said of a job from now on, in place of what was said before. Whoever is at
    /// saying that says this too.
    #[must_use]
    pub fn of(known: Option<Self>, job: &Job, content: CheckContent, now: Timestamp) -> Self {
        let fresh = Self {
            key: job.key,
            run: job.run,
            repository: job.repository.clone(),
            installation: job.installation,
            head_sha: job.head_sha.clone(),
            job_name: job.name.clone(),
            content,
            since: now,
            check: None,
            concluded: None,
            serial: 1,
            asked: false,
            held_until: None,
            tries: 0,
            not_before: None,
            due_at: Some(now),
        };
        let Some(known) = known else {
            return fresh;
        };
        Self {
            check: known.check,
            concluded: known.concluded,
            serial: known.serial,
            asked: known.asked,
            held_until: known.held_until,
            due_at: known.held_until.max(fresh.due_at),
            ..fresh
        }
    }

    /// What is to be said of a job that runs on an instance that was launched for another, if it is said to
    /// wait for one of its own.
    #[must_use]
    pub fn found(&self, launched: &Launched, now: Timestamp) -> Option<Self> {
        let tried = self.waited_for()?;
        let content = CheckContent::Launched {
            pool: launched.pool(),
            lifecycle: launched.lifecycle,
            tried,
        };
        Some(self.with(content, now))
    }

    /// What is to be said of a job that is over, if it is still said to wait.
    #[must_use]
    pub fn over(&self, now: Timestamp) -> Option<Self> {
        let tried = self.waited_for()?;
        Some(self.with(CheckContent::Over { tried }, now))
    }

    /// What was tried for a job that is said to wait; nothing if it is not.
    fn waited_for(&self) -> Option<Vec<Tried>> {
        match &self.content {
            CheckContent::Waiting { tried, .. } => Some(tried.clone()),
            CheckContent::Queued { .. } => Some(Vec::new()),
            _ => None,
        }
    }

    fn with(&self, content: CheckContent, now: Timestamp) -> Self {
        Self {
            content,
            since: now,
            tries: 0,
            not_before: None,
            due_at: self.held_until.max(Some(now)),
            ..self.clone()
        }
    }
}
