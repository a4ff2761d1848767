//! Where a run comes from.

use serde::{Deserialize, Serialize};

use super::approval::Pull;

/// Where an attempt of a run comes from, as GitHub's API says.
///
/// <https://docs.github.com/en/rest/actions/workflow-runs#get-a-workflow-run-attempt>
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// What started it: `push`, `pull_request` …
    pub event: String,
    /// GitHub's id of the repository that it runs in.
    pub repository: u64,
    /// The repository that its commit comes from; nothing if GitHub does not tell, as of a fork that was
    /// deleted.
    pub head: Option<Head>,
    /// The commit.
    pub head_sha: String,
    /// The branch of it, if there is one.
    pub head_branch: Option<String>,
    /// Who started the run.
    pub actor: Option<String>,
    /// Who started this attempt.
    pub triggering_actor: Option<String>,
    /// Where the pull requests come from that GitHub lists with it: those that are open, and have its
    /// commit or a branch of the same name. It lists none from forks.
    pub pulls: Vec<PullHead>,
}

/// Where a pull request comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullHead {
    /// The pull request's number.
    pub number: u64,
    /// GitHub's id of the repository.
    pub repository: u64,
    /// The commit.
    pub sha: String,
}

/// Which pull request a run is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunsFor {
    /// This one.
    Pull(u64),
    /// None, or GitHub does not tell.
    NoPull,
    /// One from this branch, to be asked for.
    Ask {
        /// Of the repository of this owner.
        owner: String,
        /// The branch.
        branch: String,
    },
}

/// A repository that a commit comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// GitHub's id of it.
    pub id: u64,
    /// Its owner.
    pub owner: String,
    /// Its full name.
    pub name: String,
}

/// Whose code is at work in a run, and at whose word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The repository's own, at the word of somebody who may write to it.
    Own,
    /// The repository's own, but anybody can have it started.
    AnyonesWord,
    /// Code from outside of the repository, or it cannot be told.
    Outside(Outside),
}

/// Why code counts as coming from outside of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outside {
    /// It comes from a fork.
    Fork {
        /// Its full name.
        name: String,
    },
    /// GitHub does not say where it comes from.
    Unknown,
    /// Dependabot brings it: new versions of what others wrote.
    Dependabot,
    /// It runs for a pull request of which GitHub does not say where it comes from.
    UnknownPull,
    /// It follows another run, and GitHub does not say which.
    FollowUp,
}

/// Dependabot's account, whose runs GitHub treats as those of forks.
///
/// <https://docs.github.com/en/code-security/dependabot/troubleshooting-dependabot/troubleshooting-dependabot-on-github-actions>
const DEPENDABOT: &str = "dependabot[bot]";

/// What only somebody who may write to the repository can cause, or brings code of which
/// `head_repository` says where it comes from. Into a merge queue a pull request comes by the hand of
/// somebody who may write, and the queue runs it as it was when it was put there.
///
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows>
const BY_WRITERS: [&str; 9] = [
    "push",
    "pull_request",
    "merge_group",
    "schedule",
    "workflow_dispatch",
    "repository_dispatch",
    "create",
    "delete",
    "release",
];

impl Origin {
    /// Whose code is at work, and at whose word.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let Some(head) = &self.head else {
            return Standing::Outside(Outside::Unknown);
        };
        if head.id != self.repository {
            return Standing::Outside(Outside::Fork {
                name: head.name.clone(),
            });
        }
        if self.is_by(DEPENDABOT) {
            return Standing::Outside(Outside::Dependabot);
        }
        match self.event.as_str() {
            // It runs the default branch, for whatever run it follows.
            "workflow_run" => Standing::Outside(Outside::FollowUp),
            // It runs the base branch, for whatever pull request it was opened for.
            "pull_request_target" => self.target(),
            event if BY_WRITERS.contains(&event) => Standing::Own,
            _ => Standing::AnyonesWord,
        }
    }

    fn target(&self) -> Standing {
        // One that has the same branch only may have nothing to do with the run.
        let mut its = self.pulls.iter().filter(|pull| pull.sha == self.head_sha).peekable();
        if its.peek().is_some() && its.all(|pull| pull.repository == self.repository) {
            Standing::Own
        } else {
            Standing::Outside(Outside::UnknownPull)
        }
    }

    fn is_by(&self, login: &str) -> bool {
        let actors = [&self.actor, &self.triggering_actor];
        actors
            .into_iter()
            .flatten()
            .any(|actor| actor.eq_ignore_ascii_case(login))
    }

    /// The number of the pull request that it runs for, if it runs for one. `from_branch` are those from its
    /// branch, if that was asked for: GitHub lists none from forks with the run.
    #[must_use]
    pub fn pull(&self, from_branch: Option<&[Pull]>) -> RunsFor {
        if !self.event.starts_with("pull_request") {
            return RunsFor::NoPull;
        }
        if let Some(listed) = self.pulls.iter().find(|pull| pull.sha == self.head_sha) {
            return RunsFor::Pull(listed.number);
        }
        match (&self.head, &self.head_branch, from_branch) {
            (Some(head), _, Some(pulls)) => {
                let its = pulls.iter().find(|pull| pull.head == Some(head.id));
                its.map_or(RunsFor::NoPull, |pull| RunsFor::Pull(pull.number))
            }
            (Some(head), Some(branch), None) => RunsFor::Ask {
                owner: head.owner.clone(),
                branch: branch.clone(),
            },
            _ => RunsFor::NoPull,
        }
    }

    /// Who asks for the attempt: whoever had it run again, unless that was us.
    #[must_use]
    pub fn asker(&self, ours: bool) -> Option<&str> {
        let asker = if ours { &self.actor } else { &self.triggering_actor };
        asker.as_deref()
    }
}

impl Outside {
    /// Where the code comes from, in words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Fork { name } => format!("the code comes from the fork `{name}`"),
            Self::Unknown => "GitHub does not say where the code comes from, as of a fork that was deleted".to_owned(),
            Self::Dependabot => "Dependabot brings code of others, and its runs count as a fork's".to_owned(),
            Self::UnknownPull => {
                "the run is for a pull request (`pull_request_target`) that may come from a fork: GitHub does not say"
                    .to_owned()
            }
            Self::FollowUp => {
                "the run follows another (`workflow_run`) that may be a fork's: GitHub does not say".to_owned()
            }
        }
    }

    /// What to do where no approval helps, as there is no pull request to approve, or its commit is not
    /// the one that runs.
    #[must_use]
    pub fn cannot_be_approved(&self) -> Option<&'static str> {
        match self {
            Self::Fork { .. } | Self::Dependabot => None,
            Self::Unknown => Some("Somebody who may write to the repository can push the commit to a branch of it"),
            Self::UnknownPull => Some(
                "Use `pull_request` for the job that needs the machine, or run it by hand once the pull request is merged",
            ),
            Self::FollowUp => Some(
                "Where no fork's run is followed, the owner of the AWS account can allow it with `workflow_run: always`",
            ),
        }
    }
}
