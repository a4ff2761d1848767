//! Identifiers: a type for each kind, so that one cannot stand in for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! number_id {
    ($(#[$meta:meta])* $name:ident($inner:ty)) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! text_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

number_id! {
    /// GitHub's id of a workflow job. A re-run makes new jobs with new ids.
    JobId(u64)
}
number_id! {
    /// GitHub's id of a workflow run, the same in all its attempts.
    RunId(u64)
}
number_id! {
    /// The attempt of a run, counted from 1.
    RunAttempt(u32)
}
number_id! {
    /// GitHub's id of an installation of the App in an organisation or user account.
    InstallationId(u64)
}
number_id! {
    /// GitHub's id of a check run.
    CheckRunId(u64)
}
number_id! {
    /// GitHub's id of a comment.
    CommentId(u64)
}
number_id! {
    /// GitHub's id of a registered runner.
    RunnerId(u64)
}
text_id! {
    /// `X-GitHub-Delivery`: the same in every redelivery of a webhook.
    DeliveryId
}
text_id! {
    /// The client token of a `CreateFleet` call; a repeated call has the same.
    FleetId
}
text_id! {
    /// The id of a launch queue: its runners are launched alike, and so together.
    QueueId
}
text_id! {
    /// An EC2 instance id, `i-…`.
    InstanceId
}
text_id! {
    /// An EC2 instance type, `g5.xlarge`.
    InstanceType
}
text_id! {
    /// An availability zone, `eu-west-1a`.
    Zone
}
text_id! {
    /// An AMI id, `ami-…`.
    ImageId
}
text_id! {
    /// A subnet id, `subnet-…`.
    SubnetId
}
text_id! {
    /// A security group's id, `sg-…`.
    SecurityGroupId
}
text_id! {
    /// An AWS region, `eu-west-1`.
    Region
}

impl Zone {
    /// Stands for a zone that EC2 did not name.
    #[must_use]
    pub fn unknown() -> Self {
        Self::new("unknown")
    }

    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::unknown()
    }
}

/// A repository by its full name, `owner/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repository {
    owner: String,
    name: String,
}

/// A text that is not `owner/name`.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a repository: expected `owner/name`")]
pub struct NotARepository(String);

impl Repository {
    /// The organisation or user.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name in lower case: GitHub ignores case in names.
    #[must_use]
    pub fn lowercase(&self) -> Self {
        Self {
            owner: self.owner.to_ascii_lowercase(),
            name: self.name.to_ascii_lowercase(),
        }
    }

    /// The repository of the same owner with a fixed name, such as `.cirun`.
    #[must_use]
    pub fn sibling(&self, name: &'static str) -> Self {
        Self {
            owner: self.owner.clone(),
            name: name.to_owned(),
        }
    }
}

impl FromStr for Repository {
    type Err = NotARepository;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // GitHub allows only these characters, so a repository cannot break out of a URL path.
        let plain = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        match text.split_once('/') {
            Some((owner, name)) if plain(owner) && plain(name) => Ok(Self {
                owner: owner.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err(NotARepository(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Repository {
    type Error = NotARepository;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Repository> for String {
    fn from(repository: Repository) -> Self {
        repository.to_string()
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// A job in one attempt of its run. Each gets a runner of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobKey {
    pub job: JobId,
    pub attempt: RunAttempt,
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job, self.attempt)
    }
}

/// One attempt of a workflow run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunKey {
    pub run: RunId,
    pub attempt: RunAttempt,
}

impl RunKey {
    /// Returns the attempt before, or `None` for the first.
    #[must_use]
    pub fn previous(self) -> Option<Self> {
        let RunAttempt(later @ 2..) = self.attempt else {
            return None;
        };
        Some(Self {
            attempt: RunAttempt(later - 1),
            ..self
        })
    }
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.run, self.attempt)
    }
}

/// The name of a runner, derived from the job it was launched for: `dayfly-<job>-<attempt>-<launch>`.
///
/// Its registrations with GitHub append the id of its instance without the dash, so that each leads to the
/// other even if the table is lost. Those after the first append `-m2`, `-m3` …, because a registration that
/// failed may still have been made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunnerName(String);

/// The start of every runner's name, before the job's id.
pub const RUNNER_PREFIX: &str = "dayfly-";

impl RunnerName {
    /// The runner of launch number `launch` for `job`, counted from 1.
    #[must_use]
    pub fn of(job: JobKey, launch: u32) -> Self {
        Self(format!("{RUNNER_PREFIX}{}-{}-{launch}", job.job, job.attempt))
    }

    /// Returns the runner that registered under this name, or `None` if it is not ours.
    #[must_use]
    pub fn from_registered(name: &str) -> Option<Self> {
        let parts: Vec<&str> = name.strip_prefix(RUNNER_PREFIX)?.split('-').collect();
        let number = |text: &str| !text.is_empty() && text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit());
        let instance = |text: &str| {
            text.strip_prefix('i')
                .is_some_and(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric()))
        };
        let ours = match parts.as_slice() {
            [job, attempt, launch, on, rest @ ..] => {
                [job, attempt, launch].iter().all(|p| number(p))
                    && instance(on)
                    && match rest {
                        [] => true,
                        [mint] => mint.strip_prefix('m').is_some_and(number),
                        _ => false,
                    }
            }
            _ => false,
        };
        ours.then(|| Self(format!("{RUNNER_PREFIX}{}", parts[..3].join("-"))))
    }

    /// Returns the runner that a person means by its own name, or by one that it registered under.
    #[must_use]
    pub fn meant_by(name: &str) -> Option<Self> {
        Self::from_registered(name).or_else(|| Self::from_registered(&format!("{name}-i0")))
    }

    /// The name to register under from its instance, at try number `mint`, counted from 1.
    #[must_use]
    pub fn registration(&self, instance: &InstanceId, mint: u32) -> String {
        let on = plain(instance);
        if mint <= 1 {
            format!("{}-{on}", self.0)
        } else {
            format!("{}-{on}-m{mint}", self.0)
        }
    }

    /// Whether one of our runners registered under this name from this instance.
    #[must_use]
    pub fn is_registered_from(name: &str, instance: &InstanceId) -> bool {
        Self::from_registered(name).is_some() && name.split('-').any(|part| part == plain(instance))
    }

    /// The job that it was launched for.
    #[must_use]
    pub fn job(&self) -> Option<JobKey> {
        let mut parts = self.0.strip_prefix(RUNNER_PREFIX)?.split('-');
        Some(JobKey {
            job: JobId(parts.next()?.parse().ok()?),
            attempt: RunAttempt(parts.next()?.parse().ok()?),
        })
    }

    /// The run attempt of that job.
    #[must_use]
    pub fn attempt(&self) -> Option<RunAttempt> {
        self.job().map(|job| job.attempt)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An instance's id without its dash, which separates the parts of a name.
fn plain(instance: &InstanceId) -> String {
    instance.as_str().replace('-', "")
}

impl fmt::Display for RunnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn repository_is_owner_and_name_in_plain_characters() {
        for good in ["octo/hello", "a-b/c_d.e", "A1/.github"] {
            assert_eq!(good.parse::<Repository>().unwrap().to_string(), good);
        }
        for bad in [
            "", "octo", "octo/", "/x", "a/b/c", "a/..", "a b/c", "a/b?x", "a/b#c", "é/b",
        ] {
            assert!(bad.parse::<Repository>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_other_runners_are_not_ours() {
        for not_ours in [
            "",
            "dayfly-",
            "dayfly-1-1",
            "dayfly-1-1-x",
            "dayfly-1-1-1",
            "dayfly-1-1-1-2",
            "dayfly-1-1-1-i",
            "gpu-1-1-1-i1",
            "dayfly-1-1-1-i1-m",
        ] {
            assert_eq!(RunnerName::from_registered(not_ours), None, "{not_ours}");
        }
    }

    proptest! {
        #[test]
        fn registration_leads_back_to_its_runner_and_instance(
            job: u64, attempt: u32, launch: u32, mint in 1u32..99, id in "i-[0-9a-f]{17}",
        ) {
            let name = RunnerName::of(JobKey { job: JobId(job), attempt: RunAttempt(attempt) }, launch);
            let registered = name.registration(&InstanceId::new(id.clone()), mint);
            prop_assert!(RunnerName::is_registered_from(&registered, &InstanceId::new(id)));
            prop_assert!(!RunnerName::is_registered_from(&registered, &InstanceId::new("i-0")));
            prop_assert_eq!(RunnerName::from_registered(&registered), Some(name.clone()));
            prop_assert_eq!(name.attempt(), Some(RunAttempt(attempt)));
            prop_assert_eq!(RunnerName::meant_by(&registered), Some(name.clone()));
            prop_assert_eq!(RunnerName::meant_by(name.as_str()), Some(name));
        }
    }
}
