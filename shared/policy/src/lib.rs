//! The stack policy: what the owner of the account lets be launched, for whom, and at what price.
//!
//! A repository's configuration can only narrow it: of two limits the tighter one holds.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::format_push_string))]

mod admit;
mod globs;
mod limits;
mod read;
mod rules;

use std::fmt::Write as _;
use std::time::Duration;

use dayfly_types::money::MicroDollars;
use sha2::{Digest as _, Sha256};

pub use self::admit::{Admitted, LaunchRequest, Machine, Refused};
pub use self::globs::{Glob, Globs};
pub use self::limits::{Caps, CommentCaps, Limit, Limits};
pub use self::read::PolicyErrors;
pub use self::rules::{FollowUps, Forks, LabelRule, Team, allowed_users};

/// The version of the policy's shape. Other versions are refused.
pub const VERSION: u32 = 1;

/// The longest policy that is read: what a standard SSM parameter holds.
///
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html>
pub const MAX_BYTES: usize = 4 * 1024;

/// How long a policy is used before it is read again.
pub const MAX_AGE: Duration = Duration::from_mins(1);

/// The policy of a stack without one.
const DEFAULT: &str = "version: 1\n";

/// The stack policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The organisations and users whose repositories may launch.
    pub organizations: Globs,
    pub repositories: Globs,
    pub regions: Globs,
    pub instance_types: Globs,
    /// The subnets that a configuration may name. The stack's own need no name.
    pub subnets: Globs,
    /// The security groups that a configuration may name.
    pub security_groups: Globs,
    /// The instance profiles that a configuration may name.
    pub instance_profiles: Globs,
    /// The highest price of an instance per hour.
    pub max_price: Option<MicroDollars>,
    /// How long an instance may live.
    pub max_lifetime: Option<Duration>,
    pub limits: Limits,
    pub caps: Caps,
    /// GitHub's price for a minute of a job on a self-hosted runner: reported, and not part of any cap.
    pub github_per_minute: MicroDollars,
    /// The caps that comments on pull requests show.
    pub comment_caps: CommentCaps,
    /// Who may use which labels. Labels without a rule are for everybody.
    pub labels: Vec<LabelRule>,
    pub forks: Forks,
    pub workflow_run: FollowUps,
    /// A digest of the text: it changes with the policy.
    pub digest: String,
}

impl Default for Policy {
    /// Returns the policy of a stack without one: it allows everything except code from outside, and what gives
    /// an instance the permissions of something else in the account.
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
    /// All errors, each with its key, its line and what to do.
    pub fn parse(text: &str) -> Result<Self, PolicyErrors> {
        read::policy(text)
    }
}

fn digest(text: &str) -> String {
    let mut digest = Sha256::digest(text.as_bytes())
        .iter()
        .fold(String::new(), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        });
    digest.truncate(12);
    digest
}

#[cfg(test)]
mod tests;
