//! The stack policy: what the owner of the account lets be launched, for whom, and at what price.
//!
//! A repository's configuration can only narrow it: of two limits the tighter one holds.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::format_push_string))]

mod globs;
mod read;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use self::globs::{Glob, Globs};
pub use self::read::{PolicyError, PolicyErrors};
use dayfly_config::RunnerSpec;
use dayfly_config::labels::Label;
use dayfly_types::budget::Budget;
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::ids::{InstanceType, Repository, SecurityGroupId, SubnetId};
use dayfly_types::money::MicroDollars;

/// The version of the policy's shape. A reader refuses one that it doesn't know.
pub const VERSION: u32 = 1;

/// The longest policy that is read: what a standard SSM parameter holds.
///
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html>
pub const MAX_BYTES: usize = 4 * 1024;

/// How long a policy that was read is used before it is read again.
pub const FRESH: Duration = Duration::from_mins(1);

/// What holds in a stack that was given no policy.
const DEFAULT: &str = "version: 1\n";

/// The stack policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The organisations and users whose repositories may launch.
    pub organizations: Globs,
    /// The repositories that may.
    pub repositories: Globs,
    /// The regions in which.
    pub regions: Globs,
    /// The instance types that may be launched.
    pub instance_types: Globs,
    /// The subnets that a configuration may name. Those of the stack are there without a name.
    pub subnets: Globs,
    /// The security groups that it may name.
    pub security_groups: Globs,
    /// The instance profiles that it may name.
    pub instance_profiles: Globs,
    /// What an hour of an instance may cost at most.
    pub max_price: Option<MicroDollars>,
    /// How long an instance may live at most.
    pub max_lifetime: Option<Duration>,
    /// How much may run at once.
    pub limits: Limits,
    /// How much may be spent in a month.
    pub caps: Caps,
    /// What GitHub charges for each minute of a job on a self-hosted runner: shown in reports, and no part
    /// of any cap.
    pub github_per_minute: MicroDollars,
    /// Of which caps the comments of pull requests tell.
    pub comment_caps: CommentCaps,
    /// Who may use which labels. What no rule names is for everybody.
    pub labels: Vec<LabelRule>,
    /// Whether jobs with code from outside of the repository run.
    pub forks: Forks,
    /// Whether jobs of runs run that follow another run.
    pub workflow_run: FollowUps,
    /// What the policy is known by: changed, it has another.
    pub digest: String,
}

/// Whether jobs with code from outside of the repository run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Forks {
    /// They don't.
    #[default]
    Never,
    /// They do once somebody who may write to the repository has approved their very commit.
    Approved,
    /// They do.
    Always,
}

/// Whether jobs of runs run that follow another run (`on: workflow_run`). GitHub does not tell which run
/// they follow, so nobody can tell whether a fork's code is at work in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FollowUps {
    /// They don't, unless forks' jobs always do.
    #[default]
    Never,
    /// They do.
    Always,
}

/// Of which caps the comments of pull requests tell what is spent and what is left. Everybody reads those of a
/// public repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CommentCaps {
    /// Of those of the pull request, its repository and who asks for its jobs.
    #[default]
    Own,
    /// Of those of the organisation and the stack too.
    All,
}

/// How much may run at once, in all and by whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// In the stack.
    pub stack: Limit,
    /// In each organisation.
    pub organization: Limit,
    /// In each repository.
    pub repository: Limit,
}

impl Limits {
    /// Each limit with its key.
    #[must_use]
    pub fn named(&self) -> [(&'static str, Limit); 3] {
        [
            ("stack", self.stack),
            ("organization", self.organization),
            ("repository", self.repository),
        ]
    }

    /// Whether there is any.
    #[must_use]
    pub fn any(&self) -> bool {
        self.named().iter().any(|(_, limit)| *limit != Limit::default())
    }
}

/// How much may be spent in a calendar month (UTC), by whom. What is not given is not capped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caps {
    /// By the stack.
    pub stack: Option<MicroDollars>,
    /// By each organisation.
    pub organization: Option<MicroDollars>,
    /// By each repository.
    pub repository: Option<MicroDollars>,
    /// For each pull request.
    pub pull_request: Option<MicroDollars>,
    /// By each user who asks for jobs.
    pub actor: Option<MicroDollars>,
}

impl Caps {
    /// Whether there is any.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self::default()
    }

    /// Whether somebody has one of whom GitHub has to be asked: whoever asks for a job, or its pull request.
    #[must_use]
    pub fn ask_who(&self) -> bool {
        self.pull_request.is_some() || self.actor.is_some()
    }

    /// The cap of a budget, if it has one.
    #[must_use]
    pub fn of(&self, budget: &Budget) -> Option<MicroDollars> {
        match budget {
            Budget::Stack => self.stack,
            Budget::Organization { .. } => self.organization,
            Budget::Repository { .. } => self.repository,
            Budget::PullRequest { .. } => self.pull_request,
            Budget::Actor { .. } => self.actor,
        }
    }

    /// The key of the cap of a budget.
    #[must_use]
    pub fn key(budget: &Budget) -> &'static str {
        match budget {
            Budget::Stack => "caps.stack",
            Budget::Organization { .. } => "caps.organization",
            Budget::Repository { .. } => "caps.repository",
            Budget::PullRequest { .. } => "caps.pull_request",
            Budget::Actor { .. } => "caps.actor",
        }
    }
}

/// How much may run at once. What is not given is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// So many runners.
    pub runners: Option<u32>,
    /// So many vCPUs.
    pub vcpus: Option<u32>,
}

/// Who may use some labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRule {
    /// The labels, without what stands behind `--`.
    pub labels: Globs,
    /// The teams whose members may: `organisation/team`, by the team's slug.
    pub teams: Vec<Team>,
    /// The users who may.
    pub actors: Globs,
}

/// A team of an organisation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Team {
    /// The organisation.
    pub organization: String,
    /// The team's slug.
    pub slug: String,
}

impl std::fmt::Display for Team {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.organization, self.slug)
    }
}

/// A rule's no, in words for the job's author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy rule `{rule}` of the stack: {words}")]
pub struct Refused {
    /// The rule's key.
    pub rule: String,
    /// Why, and what to do about it.
    pub words: String,
}

impl Refused {
    /// Returns the refusal by the rule of this key, with these words.
    pub fn new(rule: impl Into<String>, words: impl Into<String>) -> Self {
        Self {
            rule: rule.into(),
            words: words.into(),
        }
    }

    /// GitHub does not tell what it depends on, and what cannot be known is not trusted.
    #[must_use]
    pub fn untold(why: &str, needed: &str) -> Self {
        Self::new(
            "forks",
            format!("it cannot be told whether the job may run: {why}. It takes {needed}"),
        )
    }
}

/// Who wants something launched, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaunchRequest<'a> {
    /// The job's repository.
    pub repository: &'a Repository,
    /// The region that it would be launched in.
    pub region: &'a str,
}

/// What is known of an instance type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its vCPUs.
    pub vcpus: u32,
    /// What an hour of it costs on demand, if that is known.
    pub price: Option<MicroDollars>,
}

/// What the policy lets be launched of what a repository's configuration asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The runner, narrowed: fewer instance types, a lower price, a shorter life.
    pub spec: RunnerSpec,
    /// Why each of the instance types that fell away did.
    pub without: Vec<(InstanceType, Refused)>,
}

impl Default for Policy {
    /// What holds in a stack that was given no policy: anything goes but code from outside, and what gives
    /// an instance the powers of something else in the account.
    fn default() -> Self {
        Self {
            organizations: Globs::all(),
            repositories: Globs::all(),
            regions: Globs::all(),
            instance_types: Globs::all(),
            subnets: Globs::default(),
            security_groups: Globs::default(),
            instance_profiles: Globs::default(),
            max_price: None,
            max_lifetime: None,
            limits: Limits::default(),
            caps: Caps::default(),
            github_per_minute: MicroDollars::default(),
            comment_caps: CommentCaps::default(),
            labels: Vec::new(),
            forks: Forks::default(),
            workflow_run: FollowUps::default(),
            digest: digest(DEFAULT),
        }
    }
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// All that is wrong with it, each with its key and line and what to do about it.
    pub fn parse(text: &str) -> Result<Self, PolicyErrors> {
        read::policy(text)
    }

    /// What may be launched for an entry of a repository's configuration. `machine` knows the instance
    /// types; one that it doesn't know cannot be held against a price or a number of vCPUs, so it is
    /// refused where there is such a rule.
    ///
    /// # Errors
    /// The first rule that refuses, if nothing is left.
    pub fn admit(
        &self,
        request: LaunchRequest<'_>,
        spec: &RunnerSpec,
        lifecycle: InstanceLifecycle,
        machine: impl Fn(&InstanceType) -> Option<Machine>,
    ) -> Result<Admitted, Refused> {
        self.admit_repository(request.repository)?;
        self.admit_region(request.region)?;
        self.admit_surroundings(spec)?;
        let mut spec = self.narrowed(spec);
        let mut without = Vec::new();
        for name in std::mem::take(&mut spec.instance_types) {
            match self.admit_machine(&name, lifecycle, machine(&name)) {
                Ok(()) => spec.instance_types.push(name),
                Err(refused) => without.push((name, refused)),
            }
        }
        match without.first() {
            Some((_, refused)) if spec.instance_types.is_empty() => Err(refused.clone()),
            _ => Ok(Admitted { spec, without }),
        }
    }

    /// Whether a repository may have anything launched.
    ///
    /// # Errors
    /// The rule that refuses.
    pub fn admit_repository(&self, repository: &Repository) -> Result<(), Refused> {
        let owner = repository.owner();
        if !self.organizations.has(owner) {
            return Err(Refused::new(
                "organizations",
                format!(
                    "`{owner}` is none of {}. The owner of the AWS account can add it",
                    self.organizations
                ),
            ));
        }
        if !self.repositories.has(&repository.to_string()) {
            return Err(Refused::new(
                "repositories",
                format!(
                    "`{repository}` is none of {}. The owner of the AWS account can add it",
                    self.repositories
                ),
            ));
        }
        Ok(())
    }

    /// Whether anything may be launched in a region.
    ///
    /// # Errors
    /// The rule that refuses.
    pub fn admit_region(&self, region: &str) -> Result<(), Refused> {
        if self.regions.has(region) {
            return Ok(());
        }
        let words = format!("`{region}` is none of {}: name one of these", self.regions);
        Err(Refused::new("regions", words))
    }

    /// Whether an entry of a repository's configuration may have what it names in place of the stack's own:
    /// subnets, security groups, an instance profile. They let it reach, and be, what others in the account
    /// cannot, so only what the policy lists is had.
    ///
    /// # Errors
    /// The first rule that refuses.
    pub fn admit_surroundings(&self, spec: &RunnerSpec) -> Result<(), Refused> {
        let subnets = spec.subnets.iter().map(SubnetId::as_str);
        let groups = spec.security_groups.iter().map(SecurityGroupId::as_str);
        for (rule, key, allowed, name) in subnets
            .map(|name| ("subnets", "subnets", &self.subnets, name))
            .chain(groups.map(|name| ("security_groups", "security_groups", &self.security_groups, name)))
            .chain(spec.instance_profile.iter().map(|name| {
                (
                    "instance_profiles",
                    "instance_profile",
                    &self.instance_profiles,
                    name.as_str(),
                )
            }))
        {
            // An ARN ends with the profile's name, which no other of the account has.
            let last = name.rsplit('/').next().unwrap_or(name);
            if !allowed.has(name) && !allowed.has(last) {
                let words = format!(
                    "`{name}` is none of {allowed}: leave `{key}` out to have the stack's own. The owner of the AWS account can add it"
                );
                return Err(Refused::new(rule, words));
            }
        }
        Ok(())
    }

    /// Whether an instance type may be launched. What spot capacity costs is held down by the price that
    /// is named to EC2, which [`Policy::narrowed`] lowers.
    ///
    /// # Errors
    /// The first rule that refuses.
    pub fn admit_machine(
        &self,
        name: &InstanceType,
        lifecycle: InstanceLifecycle,
        machine: Option<Machine>,
    ) -> Result<(), Refused> {
        if !self.instance_types.has(name.as_str()) {
            let words = format!("`{name}` is none of {}: name one of these", self.instance_types);
            return Err(Refused::new("instance_types", words));
        }
        if let (Some(most), InstanceLifecycle::OnDemand) = (self.max_price, lifecycle) {
            let price = machine.and_then(|machine| machine.price);
            if price.is_none_or(|price| price > most) {
                let costs = price.map_or("is not in the table of prices".to_owned(), |price| {
                    format!("costs {price}/h on demand")
                });
                return Err(Refused::new(
                    "max_price",
                    format!("`{name}` {costs}, and {most}/h is the most: name a cheaper instance type, or use spot"),
                ));
            }
        }
        for (whose, limit) in self.limits.named() {
            let Some(most) = limit.vcpus else { continue };
            let vcpus = machine.map(|machine| machine.vcpus);
            if vcpus.is_none_or(|vcpus| vcpus > most) {
                let has = vcpus.map_or("is not in the table of instance types".to_owned(), |vcpus| {
                    format!("has {vcpus} vCPUs")
                });
                return Err(Refused::new(
                    format!("limits.{whose}.vcpus"),
                    format!(
                        "`{name}` {has}, and {most} at once are the most: it could never be launched. Name a smaller instance type"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// A runner of a repository's configuration within the bounds of the policy.
    #[must_use]
    pub fn narrowed(&self, spec: &RunnerSpec) -> RunnerSpec {
        RunnerSpec {
            max_price: tighter(spec.max_price, self.max_price),
            max_lifetime: tighter(spec.max_lifetime, self.max_lifetime),
            ..spec.clone()
        }
    }

    /// The rules that say who may use one of these labels, each with that label.
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

    /// Whether who starts a job, and whose code runs in it, makes no difference to anything.
    #[must_use]
    pub fn admits_anybody(&self) -> bool {
        self.forks == Forks::Always && self.labels.is_empty()
    }
}

/// Whom these rules let use their labels, in words.
#[must_use]
pub fn whom(rules: &[&LabelRule]) -> String {
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

/// The tighter of two limits.
fn tighter<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// What a policy's text is known by.
fn digest(text: &str) -> String {
    let mut digest = hex(&Sha256::digest(text.as_bytes()));
    digest.truncate(12);
    digest
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
