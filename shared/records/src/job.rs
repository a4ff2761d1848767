//! A workflow job: what it asks for, and where it stands.

use dayfly_config::labels::Label;
use dayfly_config::{GivingUp, Reporting};
use dayfly_types::ids::{InstallationId, JobKey, Repository, RunId, RunKey, RunnerName};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Attribution;
use crate::event::Conclusion;

/// A workflow job in one attempt of its run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Which.
    pub key: JobKey,
    /// Its run.
    pub run: RunId,
    /// Its repository.
    pub repository: Repository,
    /// The App's installation that sees the repository.
    pub installation: InstallationId,
    /// Its name in the workflow.
    pub name: String,
    /// The commit it runs on.
    pub head_sha: String,
    /// Its `runs-on`.
    pub labels: Vec<Label>,
    /// When its webhook was taken in.
    pub queued_at: Timestamp,
    /// Where it stands.
    pub state: JobState,
    /// Who it is counted for.
    #[serde(default)]
    pub attribution: Attribution,
    /// When GitHub made it, if it said so.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// How it learns of it, should it be given up.
    pub giving_up: GivingUp,
    /// Where it is told what it went through and has cost.
    #[serde(default)]
    pub reporting: Reporting,
    /// How far that has come.
    pub messenger_state: MessengerState,
    /// How many messengers were sent to it.
    pub messengers: u32,
    /// How many runners were launched for it.
    pub launches: u32,
    /// What their numbers are counted from: above that of any runner that was launched for it before
    /// this record was written, should an earlier one have been lost.
    pub first_launch: u32,
    /// The runner that was last launched for it.
    pub runner: Option<RunnerName>,
    /// How often GitHub was asked for an end that was not told.
    pub asked: u32,
    /// When somebody has to look at it, if nothing else is under way for it.
    pub due_at: Option<Timestamp>,
    /// The runner of ours that last took it.
    #[serde(default)]
    pub ran_on: Option<RunnerName>,
    /// When GitHub's word that it had started was taken in.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What GitHub charges for each of its minutes, as the stack policy said when it was launched for.
    #[serde(default)]
    pub github_per_minute: MicroDollars,
}

impl Job {
    /// The attempt of its run that it belongs to.
    #[must_use]
    pub fn run_key(&self) -> RunKey {
        RunKey {
            run: self.run,
            attempt: self.key.attempt,
        }
    }
}

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum JobState {
    /// It waits, and nothing is under way for it.
    Queued,
    /// A runner is being launched for it, or was and is on its way.
    Launching,
    /// A runner runs it: one of ours, unless another's took it.
    Running {
        /// The runner's name, as GitHub gave it.
        runner: String,
    },
    /// It is over.
    Finished {
        /// How it ended.
        conclusion: Conclusion,
    },
    /// It asked for something that it cannot have.
    Refused {
        /// Why, in words for its author.
        reason: String,
    },
    /// No instance could be had.
    Unlaunchable {
        /// What was tried and what AWS said.
        reason: String,
    },
}

/// How far a job that is given up has been told of it in its own log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessengerState {
    /// There is nothing to tell.
    #[default]
    Nothing,
    /// A messenger is to be sent.
    Due,
    /// One is on its way: the job's runner.
    Sent,
    /// None can be sent, and its run is to be cancelled.
    Cancel,
    /// Nothing more is done.
    Over,
}

impl JobState {
    /// Whether the job cannot have what it asks for.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Unlaunchable { .. })
    }

    /// Whether the job is over, one way or the other.
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(
            self,
            Self::Finished { .. } | Self::Refused { .. } | Self::Unlaunchable { .. }
        )
    }

    /// Whether somebody else's runner has the job. Its end may never be told, and is nothing to us.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Running { runner } if RunnerName::from_registered(runner).is_none())
    }
}
