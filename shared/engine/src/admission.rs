//! Whether a job may run in the stack: where its code comes from, and who asks for it.
//!
//! All of it is known from GitHub's API, and nothing from a webhook's payload. What is not known is
//! asked for, one question at a time, and what cannot be known is not trusted.

mod approval;
mod origin;

use std::collections::BTreeMap;

use dayfly_config::labels::Label;
use dayfly_policy::{FollowUps, Forks, Policy, Refused, Team, whom};
use dayfly_types::ids::Repository;

pub use self::approval::{LabelEvent, Pull, Review, ReviewState, approval_label};
pub use self::origin::{Head, Origin, Outside, PullHead, RunsFor, Standing};

/// The attempt of a run that is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt<'a> {
    /// Its repository.
    pub repository: &'a Repository,
    /// The labels that its job asks for, or more.
    pub labels: &'a [Label],
    /// Whether we had GitHub run it again. Then it stands for whoever started the run.
    pub ours: bool,
}

/// What GitHub has answered so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Where the attempt comes from.
    pub origin: Option<Origin>,
    /// Who may write to the repository, and who may not.
    pub may_write: BTreeMap<String, bool>,
    /// Who is a member of which team, and who is not.
    pub members: BTreeMap<(Team, String), bool>,
    /// The pull requests from the branch that the code comes from.
    pub pulls: Option<Vec<Pull>>,
    /// The reviews of a pull request, in their order.
    pub reviews: BTreeMap<u64, Vec<Review>>,
    /// When which labels of a pull request came and went, in their order.
    pub label_events: BTreeMap<u64, Vec<LabelEvent>>,
}

/// What GitHub has to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Where the attempt comes from.
    Origin,
    /// Whether this user may write to the repository.
    MayWrite(String),
    /// Whether this user is a member of the team.
    Member(Team, String),
    /// The pull requests from a branch of an owner's.
    Pulls {
        /// The owner of the repository that has the branch.
        owner: String,
        /// The branch.
        branch: String,
    },
    /// The reviews of a pull request.
    Reviews(u64),
    /// When which labels of a pull request came and went.
    LabelEvents(u64),
}

impl Question {
    /// What the GitHub App needs for an answer.
    #[must_use]
    pub fn permission(&self) -> &'static str {
        match self {
            Self::Origin => "the GitHub App's permission `actions: read` in the repository",
            Self::MayWrite(_) => "the GitHub App's permission `metadata: read` in the repository",
            Self::Member(..) => "the GitHub App's permission `members: read` in the organisation",
            Self::Pulls { .. } | Self::Reviews(_) | Self::LabelEvents(_) => {
                "the GitHub App's permission `pull_requests: read` in the repository"
            }
        }
    }
}

/// What becomes of the attempt's jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// They may run.
    Admitted,
    /// They may not.
    Refused(Refused),
    /// It depends on this.
    Ask(Question),
}

/// What stands in the way of an admission.
enum Stop {
    Refused(Refused),
    Ask(Question),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl Known {
    fn may_write(&self, user: &str) -> Result<bool, Stop> {
        let known = self.may_write.get(user).copied();
        known.ok_or_else(|| Stop::Ask(Question::MayWrite(user.to_owned())))
    }

    fn is_member(&self, team: &Team, user: &str) -> Result<bool, Stop> {
        let key = (team.clone(), user.to_owned());
        let known = self.members.get(&key).copied();
        known.ok_or(Stop::Ask(Question::Member(key.0, key.1)))
    }
}

/// Whether the jobs of an attempt may run, as far as that is known.
#[must_use]
pub fn judge(policy: &Policy, attempt: &Attempt<'_>, known: &Known) -> Judgement {
    match admit(policy, attempt, known) {
        Ok(()) => Judgement::Admitted,
        Err(Stop::Refused(refused)) => Judgement::Refused(refused),
        Err(Stop::Ask(question)) => Judgement::Ask(question),
    }
}

fn admit(policy: &Policy, attempt: &Attempt<'_>, known: &Known) -> Result<(), Stop> {
    policy.admit_repository(attempt.repository)?;
    let ruled = policy.rules_for(attempt.labels).next().is_some();
    if policy.forks == Forks::Always && !ruled {
        return Ok(());
    }
    let origin = known.origin.as_ref().ok_or(Stop::Ask(Question::Origin))?;
    code(policy, attempt, origin, known)?;
    who(policy, attempt, origin, known)
}

/// Whether the code may run that is at work in the attempt.
fn code(policy: &Policy, attempt: &Attempt<'_>, origin: &Origin, known: &Known) -> Result<(), Stop> {
    if policy.forks == Forks::Always {
        return Ok(());
    }
    let outside = match origin.standing() {
        Standing::Own => return Ok(()),
        Standing::AnyonesWord => return word(attempt, origin, known),
        Standing::Outside(Outside::FollowUp) if policy.workflow_run == FollowUps::Always => return Ok(()),
        Standing::Outside(outside) => outside,
    };
    let mend = match (outside.cannot_be_approved(), policy.forks) {
        (Some(mend), _) => mend.to_owned(),
        (None, Forks::Approved) if approval::is_approved(origin, known)? => return Ok(()),
        (None, Forks::Approved) => approval::how(attempt.repository, &origin.head_sha),
        (None, Forks::Never | Forks::Always) => format!(
            "The policy says `forks: never`: somebody who may write to `{}` can push the commit to a branch of it",
            attempt.repository
        ),
    };
    Err(no(&outside.words(), &mend))
}

/// Whether somebody had it started who may write: anybody can cause an event like this.
fn word(attempt: &Attempt<'_>, origin: &Origin, known: &Known) -> Result<(), Stop> {
    let user = origin.asker(attempt.ours);
    if let Some(user) = user
        && known.may_write(user)?
    {
        return Ok(());
    }
    let words = format!(
        "anybody can cause the event `{}`, and {} may not write to `{}`",
        origin.event,
        user.map_or("who did".to_owned(), |user| format!("`{user}`")),
        attempt.repository
    );
    Err(no(
        &words,
        "Somebody who may can cause it again, or run the workflow by hand",
    ))
}

fn no(why: &str, mend: &str) -> Stop {
    Stop::Refused(Refused::new("forks", format!("{why}. {mend}")))
}

/// Whether whoever asks for the attempt may use its labels.
fn who(policy: &Policy, attempt: &Attempt<'_>, origin: &Origin, known: &Known) -> Result<(), Stop> {
    let user = origin.asker(attempt.ours);
    'labels: for (label, rules) in policy.rules_for(attempt.labels) {
        for rule in &rules {
            let Some(user) = user else { break };
            if rule.actors.has(user) {
                continue 'labels;
            }
            for team in &rule.teams {
                if known.is_member(team, user)? {
                    continue 'labels;
                }
            }
        }
        let words = format!(
            "{} may not use the label `{label}`; {} may. One of them can run the job again",
            user.map_or(
                "whoever started the run, whom GitHub does not name,".to_owned(),
                |user| format!("`{user}`")
            ),
            whom(&rules),
        );
        return Err(Refused::new("labels", words).into());
    }
    Ok(())
}

#[cfg(test)]
#[path = "admission/tests.rs"]
mod tests;
