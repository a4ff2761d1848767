//! Where a run comes from.

use serde::{Deserialize, Serialize};

/// Where a run attempt comes from, by GitHub's API.
///
/// <https://docs.github.com/en/rest/actions/workflow-runs#get-a-workflow-run-attempt>
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The event that started it: `push`, `pull_request` …
    pub event: String,
    /// GitHub's id of the repository that it runs in.
    pub repository: u64,
    /// The repository that its commit comes from; `None` if GitHub does not say, as for a deleted fork.
    pub head: Option<Head>,
    pub head_sha: String,
    pub head_branch: Option<String>,
    /// The user who started the run.
    pub actor: Option<String>,
    /// The user who started this attempt.
    pub triggering_actor: Option<String>,
    /// The heads of the pull requests that GitHub lists with the run: open ones with its commit or a branch of the same
    /// name, but none from forks.
    pub pulls: Vec<PullHead>,
}

/// The head of a pull request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullHead {
    /// The pull request's number.
    pub number: u64,
    /// GitHub's id of the head's repository.
    pub repository: u64,
    pub sha: String,
}

/// The pull request that a run is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunsFor {
    Pull(u64),
    /// None, or GitHub does not say.
    NoPull,
    /// One from this branch, to be asked for.
    Ask {
        /// The owner of the branch's repository.
        owner: String,
        branch: String,
    },
}

/// The repository that a commit comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// GitHub's id of it.
    pub id: u64,
    pub owner: String,
    /// Its full name.
    pub name: String,
}

/// How far a run's code and trigger are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeTrust {
    /// The repository's own code, triggered by a user who may write to it.
    Own,
    /// The repository's own code, but anyone can trigger it.
    AnyTrigger,
    /// Code from outside the repository, or of unknown origin.
    Outside(Outside),
}

/// Why code counts as coming from outside the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outside {
    Fork {
        /// Its full name.
        name: String,
    },
    /// GitHub does not say where it comes from.
    Unknown,
    /// It brings new versions of others' code.
    Dependabot,
    /// It runs for a pull request of unknown origin.
    UnknownPull,
    /// It follows another run, and GitHub does not say which.
    FollowUp,
}

/// Dependabot's account, whose runs GitHub treats as those of forks.
///
/// <https://docs.github.com/en/code-security/dependabot/troubleshooting-dependabot/troubleshooting-dependabot-on-github-actions>
const DEPENDABOT: &str = "dependabot[bot]";

/// The events that only a user with write access can cause, or whose code's origin `head_repository` names. A pull request
/// enters a merge queue through such a user, and the queue runs it as it was then.
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
    #[must_use]
    pub fn code_trust(&self) -> CodeTrust {
        let Some(head) = &self.head else {
            return CodeTrust::Outside(Outside::Unknown);
        };
        if head.id != self.repository {
            return CodeTrust::Outside(Outside::Fork {
                name: head.name.clone(),
            });
        }
        if self.is_by(DEPENDABOT) {
            return CodeTrust::Outside(Outside::Dependabot);
        }
        match self.event.as_str() {
            // It runs the default branch, after any run.
            "workflow_run" => CodeTrust::Outside(Outside::FollowUp),
            // It runs the base branch, for any pull request.
            "pull_request_target" => self.target_trust(),
            event if BY_WRITERS.contains(&event) => CodeTrust::Own,
            _ => CodeTrust::AnyTrigger,
        }
    }

    fn target_trust(&self) -> CodeTrust {
        // A pull request with only the same branch may have nothing to do with the run.
        let mut its = self.pulls.iter().filter(|pull| pull.sha == self.head_sha).peekable();
        if its.peek().is_some() && its.all(|pull| pull.repository == self.repository) {
            CodeTrust::Own
        } else {
            CodeTrust::Outside(Outside::UnknownPull)
        }
    }

    fn is_by(&self, login: &str) -> bool {
        let actors = [&self.actor, &self.triggering_actor];
        actors
            .into_iter()
            .flatten()
            .any(|actor| actor.eq_ignore_ascii_case(login))
    }

    /// Returns the pull request that it runs for. `from_branch` are the pull requests from its branch, if they were asked
    /// for: GitHub lists none from forks with the run.
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

    /// Returns the user who requested the attempt: who re-ran it or, if that was us, who started the run.
    #[must_use]
    pub fn requester(&self, ours: bool) -> Option<&str> {
        let requester = if ours { &self.actor } else { &self.triggering_actor };
        requester.as_deref()
    }
}

impl Outside {
    /// Returns where the code comes from, for a refusal.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Fork { name } => format!("the code comes from the fork `{name}`"),
            Self::Unknown => "GitHub does not say where the code comes from, as with a deleted fork".to_owned(),
            Self::Dependabot => "Dependabot brings code from others, so its runs count as a fork's".to_owned(),
            Self::UnknownPull => {
                "the run is for a pull request (`pull_request_target`) that may come from a fork: GitHub does not say"
                    .to_owned()
            }
            Self::FollowUp => {
                "the run follows another (`workflow_run`) that may be a fork's: GitHub does not say".to_owned()
            }
        }
    }

    /// Returns what to do where no approval helps, because there is no pull request or its commit is not the one that
    /// runs.
    #[must_use]
    pub fn cannot_be_approved(&self) -> Option<&'static str> {
        match self {
            Self::Fork { .. } | Self::Dependabot => None,
            Self::Unknown => Some("Someone with write access to the repository can push the commit to a branch of it"),
            Self::UnknownPull => Some(
                "Use `pull_request` for the job that needs the machine, or run it by hand once the pull request is merged",
            ),
            Self::FollowUp => Some(
                "If no run of a fork is followed, the owner of the AWS account can allow it with `workflow_run: always`",
            ),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    pub number: u64,
    /// The id of its head's repository, if that still exists.
    pub head: Option<u64>,
    pub labels: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// The reviewer.
    pub by: Option<String>,
    /// The reviewed commit.
    pub commit: Option<String>,
    pub state: ReviewState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReviewState {
    Approved,
    ChangesRequested,
    /// The review does not count any more.
    Dismissed,
    /// A comment, or an unknown state.
    #[serde(other)]
    Commented,
}

/// A label that was added or removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelEvent {
    pub label: String,
    /// The user who did it.
    pub by: Option<String>,
    pub added: bool,
}
