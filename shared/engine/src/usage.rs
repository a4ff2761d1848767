//! Whether the runners of a file may be used by whoever asks for a job, as its repository's files say.
//!
//! As with the stack's policy, who asks is known from GitHub's API, and what is not known yet is asked
//! for, one question at a time.

use dayfly_config::cirun::access::{Access, Rule};
use dayfly_config::{Actors, Format, Place};
use dayfly_policy::Team;
use dayfly_types::ids::Repository;

use super::admission::{Known, Origin, Question};

/// The attempt of a run that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requester<'a> {
    /// Its repository.
    pub repository: &'a Repository,
    /// Whether we had GitHub run it again. Then it stands for whoever started the run.
    pub ours: bool,
}

/// Whether the runners may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Usage {
    /// They may.
    Allowed,
    /// They may not, in words for whoever asks.
    Refused(String),
    /// It depends on this.
    Ask(Question),
}

/// Whether a file takes jobs of whoever asks.
#[must_use]
pub fn of_file(actors: &Actors, place: &Place, requester: Requester<'_>, known: &Known) -> Usage {
    let Some(origin) = &known.origin else {
        return Usage::Ask(Question::Origin);
    };
    let user = origin.asker(requester.ours);
    if let Some(user) = user {
        if actors.has(user) {
            return Usage::Allowed;
        }
        match is_in(&actors.teams, user, requester.repository, known) {
            Ok(true) => return Usage::Allowed,
            Ok(false) => {}
            Err(question) => return Usage::Ask(question),
        }
    }
    Usage::Refused(format!(
        "{} may not use the runners of {}: {} in {place} takes the jobs of {actors} only. One of them can run the job again",
        named(user),
        requester.repository,
        keys(actors, place)
    ))
}

/// Whether the rules of an organisation let whoever asks use one of its runners.
#[must_use]
pub fn of_runner(access: &Access, place: &Place, runner: &str, requester: Requester<'_>, known: &Known) -> Usage {
    let repository = requester.repository;
    let Some(rules) = access.rules.get(runner).filter(|rules| !rules.is_empty()) else {
        return Usage::Refused(format!(
            "{place} has no rule for the runner `{runner}`, so nobody may use it: name it under `access_control`"
        ));
    };
    let here: Vec<&Rule> = rules.iter().filter(|rule| rule.is_for(repository)).collect();
    if here.is_empty() {
        return Usage::Refused(format!(
            "{place} does not let {repository} use the runner `{runner}`: give it a policy of that repository"
        ));
    }
    let Some(origin) = &known.origin else {
        return Usage::Ask(Question::Origin);
    };
    let user = origin.asker(requester.ours);
    if let Some(user) = user {
        for rule in &here {
            match lets(rule, origin, user, repository, known) {
                Ok(true) => return Usage::Allowed,
                Ok(false) => {}
                Err(question) => return Usage::Ask(question),
            }
        }
    }
    let each: Vec<String> = here
        .iter()
        .map(|rule| format!("`{}` {}", rule.id, rule.whom()))
        .collect();
    Usage::Refused(format!(
        "no policy of {place} lets {} use the runner `{runner}` from {repository} for the event `{}`: {}",
        named(user),
        origin.event,
        each.join("; ")
    ))
}

fn lets(rule: &Rule, origin: &Origin, user: &str, repository: &Repository, known: &Known) -> Result<bool, Question> {
    let is_for_pull = origin.event.starts_with("pull_request");
    if rule.unkept.is_some() || (is_for_pull && !rule.pull_requests) {
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

/// Whether a user is in one of these teams of the repository's organisation.
fn is_in(teams: &[String], user: &str, repository: &Repository, known: &Known) -> Result<bool, Question> {
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

fn named(user: Option<&str>) -> String {
    user.map_or_else(
        || "whoever started the run, whom GitHub does not name,".to_owned(),
        |user| format!("`{user}`"),
    )
}

/// The keys that say whose jobs are taken.
fn keys(actors: &Actors, place: &Place) -> &'static str {
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
#[path = "usage_tests.rs"]
mod tests;
