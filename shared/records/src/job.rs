//! A workflow job: what it asks for, and its state.

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
    pub key: JobKey,
    pub run: RunId,
    pub repository: Repository,
    pub installation: InstallationId,
    /// Its name in the workflow.
    pub name: String,
    pub head_sha: String,
    /// Its `runs-on`.
    pub labels: Vec<Label>,
    /// When its webhook arrived.
    pub queued_at: Timestamp,
    pub state: JobState,
    pub attribution: Attribution,
    /// When GitHub created it, if it said so.
    pub created_at: Option<Timestamp>,
    /// How the job learns that it is given up.
    pub giving_up: GivingUp,
    /// Where its story and cost are reported.
    pub reporting: Reporting,
    pub messenger_state: MessengerState,
    /// The number of messengers sent to it.
    pub messengers: u32,
    /// The number of runners launched for it.
    pub launches: u32,
    /// The base of their launch numbers: above those of all earlier runners, in case an earlier record of the job
    /// was lost.
    pub first_launch: u32,
    /// The runner launched last for it.
    pub runner: Option<RunnerName>,
    /// How often GitHub was asked if the job is over, as no webhook said so.
    pub end_lookups: u32,
    /// When it is due, if nothing else is under way for it.
    pub due_at: Option<Timestamp>,
    /// Our runner that last took it.
    pub ran_on: Option<RunnerName>,
    /// When GitHub's report that it had started arrived.
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// GitHub's charge for each of its minutes, by the stack policy at the launch.
    pub github_per_minute: MicroDollars,
}

impl Job {
    #[must_use]
    pub fn run_key(&self) -> RunKey {
        RunKey {
            run: self.run,
            attempt: self.key.attempt,
        }
    }
}

/// The state of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum JobState {
    /// It waits, and nothing is under way for it.
    Queued,
    /// A runner for it is being launched, or is starting.
    Launching,
    /// It runs on one of our runners, or on another that took it.
    Running {
        /// As GitHub named it.
        runner: String,
    },
    Finished {
        conclusion: Conclusion,
    },
    /// It asked for something that it cannot have.
    Refused {
        /// For the job's author.
        reason: String,
    },
    /// No instance could be had.
    Unlaunchable {
        /// What was tried, and what AWS answered.
        reason: String,
    },
}

/// How far the messenger has come that reports in a job's log why it was given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessengerState {
    /// There is nothing to report.
    #[default]
    Nothing,
    /// A messenger is to be launched.
    Due,
    /// The messenger is launched: it is the job's runner.
    Sent,
    /// None can be launched, and the run is to be cancelled.
    Cancel,
    /// Nothing more is done.
    Over,
}

impl JobState {
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Unlaunchable { .. })
    }

    /// Whether this is a final state, given up included.
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(
            self,
            Self::Finished { .. } | Self::Refused { .. } | Self::Unlaunchable { .. }
        )
    }

    /// Whether the job runs on a runner that is not ours. Its end may never be reported, and does not matter here.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Running { runner } if RunnerName::from_registered(runner).is_none())
    }
}
