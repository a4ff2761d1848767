//! Whose jobs run: those with code from outside, and those with restricted labels.

use std::fmt;

use dayfly_config::labels::Label;
use serde::{Deserialize, Serialize};

use crate::Policy;
use crate::globs::Globs;

/// When jobs with code from outside the repository run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forks {
    #[default]
    Never,
    /// Once a user with write access to the repository has approved that very commit.
    Approved,
    Always,
}

/// When jobs of runs run that follow another run (`on: workflow_run`). GitHub does not tell which run they
/// follow, so a fork's code may be at work in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FollowUps {
    /// Only if forks' jobs always run.
    #[default]
    Never,
    Always,
}

/// Who may use some labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRule {
    /// The labels, without their suffix after `--`.
    pub labels: Globs,
    /// Teams whose members may use them.
    pub teams: Vec<Team>,
    /// Users who may use them.
    pub actors: Globs,
}

/// A team of an organisation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Team {
    pub organization: String,
    pub slug: String,
}

impl fmt::Display for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.organization, self.slug)
    }
}

impl Policy {
    /// Returns the labels with rules, each with its rules.
    pub fn rules_for<'a>(&'a self, labels: &'a [Label]) -> impl Iterator<Item = (&'a Label, Vec<&'a LabelRule>)> {
        labels.iter().filter_map(|label| {
            let rules: Vec<&LabelRule> = self
                .labels
                .iter()
                .filter(|rule| rule.labels.has(label.kind()))
                .collect();
            (!rules.is_empty()).then_some((label, rules))
        })
    }

    /// Returns whether neither the requester of a job nor the origin of its code matters.
    #[must_use]
    pub fn admits_anybody(&self) -> bool {
        self.forks == Forks::Always && self.labels.is_empty()
    }
}

/// Lists the teams and users that rules allow.
#[must_use]
pub fn allowed_users(rules: &[&LabelRule]) -> String {
    let teams = rules
        .iter()
        .flat_map(|rule| &rule.teams)
        .map(|team| format!("the team `{team}`"));
    let actors = rules
        .iter()
        .filter(|rule| !rule.actors.0.is_empty())
        .map(|rule| rule.actors.to_string());
    teams.chain(actors).collect::<Vec<_>>().join(", ")
}
