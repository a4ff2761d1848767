//! The configuration of a twin.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The permissions of dayfly's App.
const APP_PERMISSIONS: [(&str, &str); 8] = [
    ("actions", "write"),
    ("administration", "write"),
    ("checks", "write"),
    ("contents", "read"),
    ("issues", "read"),
    ("members", "read"),
    ("metadata", "read"),
    ("pull_requests", "write"),
];

/// The configuration of a twin. `TwinConfig::default()` behaves as GitHub does.
#[derive(Debug, Clone)]
pub struct TwinConfig {
    /// The App's private key in PEM (PKCS#1 or PKCS#8); none: a fresh 2048-bit key.
    pub app_private_key_pem: Option<String>,
    /// The secret that webhooks are signed with; none: a fresh one.
    pub webhook_secret: Option<String>,
    /// Where webhooks go; none: nowhere until `Twin::set_webhook_url`.
    pub webhook_url: Option<String>,
    /// The App's permissions where it is installed, as `permission → read|write`.
    pub app_permissions: BTreeMap<String, String>,
    /// Every delay and deadline.
    pub timings: Timings,
    /// How many webhooks are sent at once; the others wait.
    pub webhooks_at_once: usize,
    /// Which queued job a free runner gets when several match.
    pub job_pick: JobPick,
    /// How a re-run lists the jobs that do not run again.
    pub carried_over: CarriedOver,
    /// How App JWTs are judged beyond what GitHub documents.
    pub jwt_policy: JwtPolicy,
    /// Requests per hour and installation.
    pub rate_limit_per_hour: u32,
    /// The oldest runner version that may open a session (`major.minor.patch`).
    pub minimum_runner_version: String,
    /// Environments that hold a job back (`waiting`) until `Twin::approve`.
    pub protected_environments: Vec<String>,
    /// The folder of GitHub's descriptions to check every request, answer and webhook against (see
    /// [`schemas_dir`](crate::schemas_dir)); `None` for no checks.
    pub schemas: Option<PathBuf>,
}

impl Default for TwinConfig {
    fn default() -> Self {
        Self {
            app_private_key_pem: None,
            webhook_secret: None,
            webhook_url: None,
            app_permissions: APP_PERMISSIONS
                .iter()
                .map(|(name, level)| ((*name).to_owned(), (*level).to_owned()))
                .collect(),
            timings: Timings::default(),
            webhooks_at_once: 1_000,
            job_pick: JobPick::OldestFirst,
            carried_over: CarriedOver::Copied,
            jwt_policy: JwtPolicy::Documented,
            rate_limit_per_hour: 5_000,
            minimum_runner_version: "2.329.0".to_owned(),
            protected_environments: Vec::new(),
            schemas: None,
        }
    }
}

impl TwinConfig {
    /// GitHub's delays, checked against its descriptions in the checkout's `.tools/schemas`.
    #[must_use]
    pub fn checked() -> Self {
        Self {
            schemas: Some(crate::schemas_dir()),
            ..Self::default()
        }
    }
}

/// Every delay and deadline of the twin. The defaults are GitHub's documented or reported ones.
#[derive(Debug, Clone)]
pub struct Timings {
    /// How long a runner's poll is held without a job.
    pub poll: Duration,
    /// How often a runner renews its job.
    pub renew: Duration,
    /// How long after its last sign of life a runner reads `offline`.
    pub offline_after: Duration,
    /// How long a runner may take to acknowledge a job before it is queued again.
    pub acknowledge_within: Duration,
    /// How long a running job goes unrenewed before it fails with "lost communication".
    pub lost_after: Duration,
    /// How long a JIT runner may listen without a job before it is removed; `None` for no limit.
    pub unused_runner_after: Option<Duration>,
    /// How long an unused JIT config stays valid; `None` for no limit.
    pub unused_config_after: Option<Duration>,
    /// How long a job may stay queued.
    pub queued_at_most: Duration,
    /// How long a cancelled job's runner may take before GitHub ends the job.
    pub cancel_within: Duration,
    /// How long the receiver of a webhook may take to answer.
    pub webhook_timeout: Duration,
    /// How long an installation token is valid.
    pub token_lifetime: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(50),
            renew: Duration::from_mins(1),
            offline_after: Duration::from_secs(90),
            acknowledge_within: Duration::from_mins(1),
            lost_after: Duration::from_mins(10),
            unused_runner_after: Some(Duration::from_mins(6)),
            unused_config_after: Some(Duration::from_hours(1)),
            queued_at_most: Duration::from_hours(24),
            cancel_within: Duration::from_mins(5),
            webhook_timeout: Duration::from_secs(10),
            token_lifetime: Duration::from_hours(1),
        }
    }
}

impl Timings {
    /// Delays for a lab: a runner renews every second and is lost after ten.
    #[must_use]
    pub fn lab() -> Self {
        Self {
            poll: Duration::from_secs(10),
            renew: Duration::from_secs(1),
            offline_after: Duration::from_secs(15),
            lost_after: Duration::from_secs(10),
            cancel_within: Duration::from_secs(20),
            ..Self::default()
        }
    }
}

/// Which queued job a free runner gets when several match. GitHub promises no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobPick {
    OldestFirst,
    /// The latest one: every runner created for an older job is stolen.
    NewestFirst,
}

/// How a new attempt lists the jobs that are not run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CarriedOver {
    /// They appear under new ids, and their `completed` webhook is sent once more, as users of
    /// actions-runner-controller report (#4315).
    Copied,
    /// They stay as they are, under their old ids, and nothing is sent.
    Kept,
}

/// How App JWTs are judged beyond what GitHub documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwtPolicy {
    /// Signature, `iss`, `iat` and `exp`.
    Documented,
    /// Also a `jti`, and no two JWTs with the same one, as a user of terraform-aws-github-runner
    /// reports (#5025).
    UniqueJti,
}
