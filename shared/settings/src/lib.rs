//! The functions' settings. The template sets them as environment variables; here they become typed values, or
//! an error that names the variable and the fix.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

use std::time::Duration;

use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::SubnetId;
use dayfly_types::web::web_url;

/// GitHub's own API; GitHub Enterprise Server has another.
const GITHUB_API_URL: &str = "https://api.github.com";

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    #[error("the environment variable `{name}` is not set: {meaning}. The stack's template sets it; deploy it again")]
    Missing { name: &'static str, meaning: &'static str },
    #[error(
        "the environment variable `{name}` is `{value}`: expected {expected}. Set the stack's parameter of the same meaning"
    )]
    Unusable {
        name: &'static str,
        value: String,
        expected: String,
    },
}

/// GitHub's API and the App's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitHubSettings {
    /// The API's base URL, without a trailing slash.
    pub api_url: String,
    pub app_id: u64,
    /// The SSM parameter that holds the App's private key as PEM.
    pub key_parameter: String,
}

impl GitHubSettings {
    /// Returns the URL of GitHub's web pages.
    #[must_use]
    pub fn web_url(&self) -> String {
        web_url(&self.api_url)
    }
}

/// The stack's settings for launches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ec2Settings {
    /// The launch template's id.
    pub launch_template: String,
    /// The id of the template whose versions are for runners with their own security groups or instance profile;
    /// `None` in a function that launches nothing.
    pub launch_template_variants: Option<String>,
    /// The value of the tag `dayfly:stack`, which marks our instances.
    pub stack: String,
}

/// The environment that settings are read from.
pub struct Environment<F = fn(&str) -> Option<String>> {
    lookup: F,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self {
            lookup: |name| std::env::var(name).ok(),
        }
    }
}

impl<F: Fn(&str) -> Option<String>> Environment<F> {
    /// An environment given by `lookup`, for tests.
    pub fn new(lookup: F) -> Self {
        Self { lookup }
    }

    /// # Errors
    /// If `TABLE_NAME` is not set.
    pub fn table(&self) -> Result<String, SettingError> {
        self.required("TABLE_NAME", "the DynamoDB table of the stack")
    }

    /// # Errors
    /// If `BUS_NAME` is not set.
    pub fn bus(&self) -> Result<String, SettingError> {
        self.required("BUS_NAME", "the event bus of the stack")
    }

    /// Returns the ARN of the stack's topic for alerts to people.
    ///
    /// # Errors
    /// If `ALARMS_TOPIC` is not set.
    pub fn alarms_topic(&self) -> Result<String, SettingError> {
        self.required("ALARMS_TOPIC", "the ARN of the stack's topic for alarms")
    }

    /// # Errors
    /// If `WEBHOOK_SECRET_PARAMETER` is not set.
    pub fn webhook_secret_parameter(&self) -> Result<String, SettingError> {
        self.required(
            "WEBHOOK_SECRET_PARAMETER",
            "the name of the SSM parameter with the webhook's secret",
        )
    }

    /// Returns the SSM parameter with the stack policy, if the stack has one.
    #[must_use]
    pub fn policy_parameter(&self) -> Option<String> {
        self.optional("POLICY_PARAMETER")
    }

    /// # Errors
    /// If `MINUTE_SCHEDULE_NAME` is not set.
    pub fn minute_schedule(&self) -> Result<String, SettingError> {
        self.required(
            "MINUTE_SCHEDULE_NAME",
            "the EventBridge schedule that wakes the sweeper every minute",
        )
    }

    /// Returns the value of the tag `dayfly:stack`.
    ///
    /// # Errors
    /// If `STACK_NAME` is not set.
    pub fn stack(&self) -> Result<String, SettingError> {
        self.required("STACK_NAME", "the value of the tag that marks the stack's instances")
    }

    /// # Errors
    /// If a variable is not set, the App's id is no number, or the URL is invalid.
    pub fn github(&self) -> Result<GitHubSettings, SettingError> {
        let app_id = self.required("GITHUB_APP_ID", "the GitHub App's id, on the App's settings page")?;
        Ok(GitHubSettings {
            api_url: self.github_api_url()?,
            app_id: app_id
                .parse()
                .map_err(|_| unusable("GITHUB_APP_ID", app_id, "the number on the App's settings page"))?,
            key_parameter: self.required(
                "GITHUB_PRIVATE_KEY_PARAMETER",
                "the name of the SSM parameter with the App's private key",
            )?,
        })
    }

    /// Returns the URL of GitHub's web pages.
    ///
    /// # Errors
    /// If the API's URL is invalid.
    pub fn web_url(&self) -> Result<String, SettingError> {
        Ok(web_url(&self.github_api_url()?))
    }

    /// # Errors
    /// If a variable is not set.
    pub fn ec2(&self) -> Result<Ec2Settings, SettingError> {
        Ok(Ec2Settings {
            launch_template: self.required("LAUNCH_TEMPLATE_ID", "the EC2 launch template of the stack")?,
            launch_template_variants: self.optional("LAUNCH_TEMPLATE_VARIANTS_ID"),
            stack: self.stack()?,
        })
    }

    /// # Errors
    /// If `SUBNET_IDS` is not set or names none.
    pub fn subnets(&self) -> Result<Vec<SubnetId>, SettingError> {
        const NAME: &str = "SUBNET_IDS";
        let text = self.required(NAME, "the subnets that instances may run in, separated by commas")?;
        let subnets: Vec<_> = text
            .split(',')
            .map(str::trim)
            .filter(|id| !id.is_empty())
            .map(SubnetId::new)
            .collect();
        if subnets.is_empty() || subnets.iter().any(|id| !id.as_str().starts_with("subnet-")) {
            return Err(unusable(NAME, text, "subnet ids, `subnet-…`, separated by commas"));
        }
        Ok(subnets)
    }

    /// Returns the deadlines, with defaults for those not set.
    ///
    /// # Errors
    /// If a deadline is no number of seconds above 0, or an instance would count as lost between two heartbeats.
    pub fn deadlines(&self) -> Result<Deadlines, SettingError> {
        const HEARTBEAT_LOST: &str = "DEADLINE_HEARTBEAT_SECONDS";
        let default = Deadlines::default();
        let deadlines = Deadlines {
            boot: self.seconds("DEADLINE_BOOT_SECONDS", default.boot)?,
            idle: self.seconds("DEADLINE_IDLE_SECONDS", default.idle)?,
            heartbeat_lost: self.seconds(HEARTBEAT_LOST, default.heartbeat_lost)?,
            heartbeat: self.seconds("HEARTBEAT_SECONDS", default.heartbeat)?,
            drain: self.seconds("DEADLINE_DRAIN_SECONDS", default.drain)?,
            lifetime: self.seconds("MAX_LIFETIME_SECONDS", default.lifetime)?,
            give_up: self.seconds("LAUNCH_GIVE_UP_SECONDS", default.give_up)?,
            leave: self.seconds("DEADLINE_LEAVE_SECONDS", default.leave)?,
            quiet: self.seconds("QUIET_SECONDS", default.quiet)?,
            webhook: self.seconds("WEBHOOK_SECONDS", default.webhook)?,
            absence: self.seconds("ABSENCE_SECONDS", default.absence)?,
            costing: self.seconds("COSTING_SECONDS", default.costing)?,
            retries: self.retries("RETRY_SECONDS", default.retries)?,
        };
        if deadlines.heartbeat_lost <= deadlines.heartbeat {
            return Err(unusable(
                HEARTBEAT_LOST,
                deadlines.heartbeat_lost.as_secs().to_string(),
                &format!(
                    "more than the {} seconds between two heartbeats (`HEARTBEAT_SECONDS`)",
                    deadlines.heartbeat.as_secs()
                ),
            ));
        }
        Ok(deadlines)
    }

    fn github_api_url(&self) -> Result<String, SettingError> {
        const NAME: &str = "GITHUB_API_URL";
        let Some(url) = self.optional(NAME) else {
            return Ok(GITHUB_API_URL.to_owned());
        };
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(unusable(NAME, url, &format!("a URL like `{GITHUB_API_URL}`")));
        }
        Ok(url.trim_end_matches('/').to_owned())
    }

    /// Reads `N` waits, such as `60,120,300,600,1200`.
    fn retries<const N: usize>(
        &self,
        name: &'static str,
        default: [Duration; N],
    ) -> Result<[Duration; N], SettingError> {
        let Some(text) = self.optional(name) else {
            return Ok(default);
        };
        let waits: Option<Vec<Duration>> = text
            .split(',')
            .map(|part| part.trim().parse().ok().filter(|seconds| *seconds > 0))
            .map(|seconds| seconds.map(Duration::from_secs))
            .collect();
        waits
            .and_then(|waits| <[Duration; N]>::try_from(waits).ok())
            .ok_or_else(|| {
                unusable(
                    name,
                    text,
                    &format!("{N} numbers of seconds above 0 separated by commas"),
                )
            })
    }

    fn seconds(&self, name: &'static str, default: Duration) -> Result<Duration, SettingError> {
        let Some(text) = self.optional(name) else {
            return Ok(default);
        };
        match text.parse() {
            Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
            _ => Err(unusable(name, text, "a whole number of seconds above 0")),
        }
    }

    fn required(&self, name: &'static str, meaning: &'static str) -> Result<String, SettingError> {
        self.optional(name).ok_or(SettingError::Missing { name, meaning })
    }

    /// An empty variable counts as not set: CloudFormation cannot leave one out.
    fn optional(&self, name: &str) -> Option<String> {
        (self.lookup)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }
}

fn unusable(name: &'static str, value: String, expected: &str) -> SettingError {
    SettingError::Unusable {
        name,
        value,
        expected: expected.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Environment<impl Fn(&str) -> Option<String>> {
        Environment::new(move |name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_missing_setting_is_named_with_its_purpose() {
        for error in [
            with(&[]).table().unwrap_err(),
            with(&[("TABLE_NAME", " ")]).table().unwrap_err(),
        ] {
            assert_eq!(
                error.to_string(),
                "the environment variable `TABLE_NAME` is not set: the DynamoDB table of the stack. \
                 The stack's template sets it; deploy it again"
            );
        }
    }

    #[test]
    fn unset_deadlines_have_their_defaults() {
        assert_eq!(with(&[]).deadlines(), Ok(Deadlines::default()));
        let deadlines = with(&[("DEADLINE_IDLE_SECONDS", "7"), ("MAX_LIFETIME_SECONDS", "")])
            .deadlines()
            .unwrap();
        assert_eq!(deadlines.idle, Duration::from_secs(7));
        assert_eq!(deadlines.lifetime, Deadlines::default().lifetime);
    }

    #[test]
    fn an_invalid_deadline_is_refused() {
        for bad in ["0", "-1", "10m", "1.5"] {
            let error = with(&[("DEADLINE_BOOT_SECONDS", bad)])
                .deadlines()
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("DEADLINE_BOOT_SECONDS") && error.contains("seconds above 0"),
                "{error}"
            );
        }
    }

    #[test]
    fn an_instance_may_not_be_lost_between_two_heartbeats() {
        let pairs = [("DEADLINE_HEARTBEAT_SECONDS", "30"), ("HEARTBEAT_SECONDS", "30")];
        let error = with(&pairs).deadlines().unwrap_err().to_string();
        assert!(error.contains("DEADLINE_HEARTBEAT_SECONDS"), "{error}");
    }

    #[test]
    fn github_com_is_the_default() {
        let own = [("GITHUB_APP_ID", "12"), ("GITHUB_PRIVATE_KEY_PARAMETER", "/dayfly/key")];
        let github = with(&own).github().unwrap();
        assert_eq!(github.api_url, "https://api.github.com");
        assert_eq!((github.app_id, github.key_parameter.as_str()), (12, "/dayfly/key"));
        let server = [own[0], own[1], ("GITHUB_API_URL", "https://git.example/api/v3/")];
        assert_eq!(with(&server).github().unwrap().api_url, "https://git.example/api/v3");
        assert!(
            with(&[own[0], own[1], ("GITHUB_API_URL", "git.example")])
                .github()
                .is_err()
        );
        assert!(with(&[("GITHUB_APP_ID", "dayfly"), own[1]]).github().is_err());
    }

    #[test]
    fn web_pages_are_found_from_the_api_url() {
        for (api_url, web_url) in [
            ("https://api.github.com", "https://github.com"),
            ("https://api.octo.ghe.com", "https://octo.ghe.com"),
            ("https://git.example/api/v3", "https://git.example"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ] {
            let own = [
                ("GITHUB_APP_ID", "12"),
                ("GITHUB_PRIVATE_KEY_PARAMETER", "/dayfly/key"),
                ("GITHUB_API_URL", api_url),
            ];
            assert_eq!(with(&own).github().unwrap().web_url(), web_url);
            assert_eq!(with(&own[2..]).web_url().unwrap(), web_url, "without an App");
        }
    }

    #[test]
    fn subnets_are_a_list() {
        let subnets = with(&[("SUBNET_IDS", "subnet-a, subnet-b,")]).subnets().unwrap();
        assert_eq!(subnets, [SubnetId::new("subnet-a"), SubnetId::new("subnet-b")]);
        for bad in [",", "vpc-1"] {
            assert!(with(&[("SUBNET_IDS", bad)]).subnets().is_err(), "{bad}");
        }
    }
}
