//! Who may use a label: whether the requester of a job may use a file's runners, by the repository's or the organization's
//! file.
//!
//! As with the stack's policy, the requester is known from GitHub's API, and missing facts are asked for one at a time.

use dayfly_config::cirun::access::{Access, Rule};
use dayfly_config::{Actors, FileLocation, Format};
use dayfly_policy::Team;
use dayfly_types::ids::Repository;

use super::{AdmissionFacts, Origin, Question};

/// The run attempt whose requester is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requester<'a> {
    pub repository: &'a Repository,
    /// Whether the attempt is our re-run. Then it counts as requested by the user who started the run.
    pub ours: bool,
}

/// The decision on a requester.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelAccess {
    Allowed,
    /// The reason, for the requester.
    Refused(String),
    /// It depends on this question.
    Ask(Question),
}

/// Decides if a file accepts jobs of the requester.
#[must_use]
pub fn of_file(actors: &Actors, place: &FileLocation, requester: Requester<'_>, known: &AdmissionFacts) -> LabelAccess {
    let Some(origin) = &known.origin else {
        return LabelAccess::Ask(Question::Origin);
    };
    let user = origin.requester(requester.ours);
    if let Some(user) = user {
        if actors.has(user) {
            return LabelAccess::Allowed;
        }
        match is_in(&actors.teams, user, requester.repository, known) {
            Ok(true) => return LabelAccess::Allowed,
            Ok(false) => {}
            Err(question) => return LabelAccess::Ask(question),
        }
    }
    LabelAccess::Refused(format!(
        "{} may not use the runners of {}: {} in {place} accepts only the jobs of {actors}. One of them can run the job again",
        display(user),
        requester.repository,
        keys(actors, place)
    ))
}

/// Decides if the access rules of an organization let the requester use one of its runners.
#[must_use]
pub fn of_runner(
    access: &Access,
    place: &FileLocation,
    runner: &str,
    requester: Requester<'_>,
    known: &AdmissionFacts,
) -> LabelAccess {
    let repository = requester.repository;
    let Some(rules) = access.rules.get(runner).filter(|rules| !rules.is_empty()) else {
        return LabelAccess::Refused(format!(
            "{place} has no rule for the runner `{runner}`, so no one may use it: name it under `access_control`"
        ));
    };
    let here: Vec<&Rule> = rules.iter().filter(|rule| rule.is_for(repository)).collect();
    if here.is_empty() {
        return LabelAccess::Refused(format!(
            "{place} does not let {repository} use the runner `{runner}`: give it a policy of that repository"
        ));
    }
    let Some(origin) = &known.origin else {
        return LabelAccess::Ask(Question::Origin);
    };
    let user = origin.requester(requester.ours);
    if let Some(user) = user {
        for rule in &here {
            match allows(rule, origin, user, repository, known) {
                Ok(true) => return LabelAccess::Allowed,
                Ok(false) => {}
                Err(question) => return LabelAccess::Ask(question),
            }
        }
    }
    let each: Vec<String> = here
        .iter()
        .map(|rule| format!("`{}` {}", rule.id, rule.describe()))
        .collect();
    LabelAccess::Refused(format!(
        "no policy of {place} lets {} use the runner `{runner}` from {repository} for the event `{}`: {}",
        display(user),
        origin.event,
        each.join("; ")
    ))
}

fn allows(
    rule: &Rule,
    origin: &Origin,
    user: &str,
    repository: &Repository,
    known: &AdmissionFacts,
) -> Result<bool, Question> {
    let is_for_pull = origin.event.starts_with("pull_request");
    if rule.unsupported.is_some() || (is_for_pull && !rule.pull_requests) {
        return Ok(false);
    }
    if let Some(users) = &rule.users
        && !users.iter().any(|one| one.eq_ignore_ascii_case(user))
    {
        return Ok(false);
    }
    if rule.writers {
        match known.may_write.get(user) {
            Some(true) => {}
            Some(false) => return Ok(false),
            None => return Err(Question::MayWrite(user.to_owned())),
        }
    }
    match &rule.teams {
        Some(teams) => is_in(teams, user, repository, known),
        None => Ok(true),
    }
}

/// Whether a user is in one of these teams of the repository's organization.
fn is_in(teams: &[String], user: &str, repository: &Repository, known: &AdmissionFacts) -> Result<bool, Question> {
    for slug in teams {
        let team = Team {
            organization: repository.owner().to_owned(),
            slug: slug.clone(),
        };
        let key = (team, user.to_owned());
        match known.members.get(&key) {
            Some(true) => return Ok(true),
            Some(false) => {}
            None => return Err(Question::Member(key.0, key.1)),
        }
    }
    Ok(false)
}

fn display(user: Option<&str>) -> String {
    user.map_or_else(
        || "the requester, whom GitHub does not name,".to_owned(),
        |user| format!("`{user}`"),
    )
}

/// Returns the keys in the file that restrict who may request jobs.
fn keys(actors: &Actors, place: &FileLocation) -> &'static str {
    match (
        Format::of(&place.path),
        actors.users.is_empty(),
        actors.teams.is_empty(),
    ) {
        (Format::Cirun, ..) => "`run_only_when_triggered_by`",
        (_, true, false) => "`teams`",
        (_, false, false) => "`actors` with `teams`",
        (_, _, true) => "`actors`",
    }
}

#[cfg(test)]
mod tests;
