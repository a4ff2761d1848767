//! Admission: whether a job may run in the stack, by where its code comes from and who requests it.
//!
//! All facts come from GitHub's API, none from a webhook's payload. Missing facts are asked for, one question at a time;
//! what cannot be known is not trusted.

mod approval;
pub mod label_access;

use std::collections::BTreeMap;

use dayfly_config::labels::Label;
use dayfly_policy::{FollowUps, Forks, Policy, Refused, Team, allowed_users};
use dayfly_types::ids::Repository;

pub use self::approval::approval_label;
use dayfly_records::origin::{CodeTrust, LabelEvent, Origin, Outside, Pull, Review};

/// The run attempt and labels to decide on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobRequest<'a> {
    pub repository: &'a Repository,
    /// The labels that its job asks for, or more.
    pub labels: &'a [Label],
    /// Whether the attempt is our re-run. Then it counts as requested by the user who started the run.
    pub ours: bool,
}

/// GitHub's answers so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdmissionFacts {
    pub origin: Option<Origin>,
    /// Which users may write to the repository.
    pub may_write: BTreeMap<String, bool>,
    /// Which users are members of which teams.
    pub members: BTreeMap<(Team, String), bool>,
    /// The pull requests from the branch that the code comes from.
    pub pulls: Option<Vec<Pull>>,
    /// The reviews of a pull request, in order.
    pub reviews: BTreeMap<u64, Vec<Review>>,
    /// The labels added to and removed from a pull request, in order.
    pub label_events: BTreeMap<u64, Vec<LabelEvent>>,
}

/// A question to GitHub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Where the attempt comes from.
    Origin,
    /// If this user may write to the repository.
    MayWrite(String),
    /// If this user is a member of the team.
    Member(Team, String),
    /// The pull requests from a branch.
    Pulls {
        /// The owner of the branch's repository.
        owner: String,
        branch: String,
    },
    Reviews(u64),
    /// The labels added to and removed from a pull request.
    LabelEvents(u64),
}

impl Question {
    /// Returns the permission that the GitHub App needs for an answer.
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

/// The decision on an attempt's jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    Admitted,
    Refused(Refused),
    /// It depends on this question.
    Ask(Question),
}

/// An obstacle to an admission.
enum Stop {
    Refused(Refused),
    Ask(Question),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl AdmissionFacts {
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

/// Decides on an attempt's jobs from the known facts.
#[must_use]
pub fn judge(policy: &Policy, request: &JobRequest<'_>, known: &AdmissionFacts) -> Judgement {
    match admit(policy, request, known) {
        Ok(()) => Judgement::Admitted,
        Err(Stop::Refused(refused)) => Judgement::Refused(refused),
        Err(Stop::Ask(question)) => Judgement::Ask(question),
    }
}

fn admit(policy: &Policy, request: &JobRequest<'_>, known: &AdmissionFacts) -> Result<(), Stop> {
    policy.admit_repository(request.repository)?;
    let ruled = policy.rules_for(request.labels).next().is_some();
    if policy.forks == Forks::Always && !ruled {
        return Ok(());
    }
    let origin = known.origin.as_ref().ok_or(Stop::Ask(Question::Origin))?;
    check_code(policy, request, origin, known)?;
    check_labels(policy, request, origin, known)
}

/// Checks that the attempt's code may run.
fn check_code(policy: &Policy, request: &JobRequest<'_>, origin: &Origin, known: &AdmissionFacts) -> Result<(), Stop> {
    if policy.forks == Forks::Always {
        return Ok(());
    }
    let outside = match origin.code_trust() {
        CodeTrust::Own => return Ok(()),
        CodeTrust::AnyTrigger => return check_trigger(request, origin, known),
        CodeTrust::Outside(Outside::FollowUp) if policy.workflow_run == FollowUps::Always => return Ok(()),
        CodeTrust::Outside(outside) => outside,
    };
    let remedy = match (outside.cannot_be_approved(), policy.forks) {
        (Some(remedy), _) => remedy.to_owned(),
        (None, Forks::Approved) if approval::is_approved(origin, known)? => return Ok(()),
        (None, Forks::Approved) => approval::instructions(request.repository, &origin.head_sha),
        (None, Forks::Never | Forks::Always) => format!(
            "The policy says `forks: never`: someone with write access to `{}` can push the commit to a branch of it",
            request.repository
        ),
    };
    Err(refused(&outside.describe(), &remedy))
}

/// Checks that a user who may write triggered the run, whose event anyone can cause.
fn check_trigger(request: &JobRequest<'_>, origin: &Origin, known: &AdmissionFacts) -> Result<(), Stop> {
    let user = origin.requester(request.ours);
    if let Some(user) = user
        && known.may_write(user)?
    {
        return Ok(());
    }
    let words = format!(
        "anyone can cause the event `{}`, and {} has no write access to `{}`",
        origin.event,
        user.map_or("its requester".to_owned(), |user| format!("`{user}`")),
        request.repository
    );
    Err(refused(
        &words,
        "Someone with write access can cause it again, or run the workflow by hand",
    ))
}

fn refused(why: &str, remedy: &str) -> Stop {
    Stop::Refused(Refused::new("forks", format!("{why}. {remedy}")))
}

/// Checks that the requester may use the attempt's labels.
fn check_labels(
    policy: &Policy,
    request: &JobRequest<'_>,
    origin: &Origin,
    known: &AdmissionFacts,
) -> Result<(), Stop> {
    let user = origin.requester(request.ours);
    'labels: for (label, rules) in policy.rules_for(request.labels) {
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
            user.map_or("the requester, whom GitHub does not name,".to_owned(), |user| format!(
                "`{user}`"
            )),
            allowed_users(&rules),
        );
        return Err(Refused::new("labels", words).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
