//! The functions' settings. The template sets them as environment variables; here they become
//! values with types, or an error that names the variable and its mend.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

use std::time::Duration;

use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::SubnetId;
use dayfly_types::web::pages_of;

/// GitHub's own API; GitHub Enterprise Server has another.
const GITHUB_API_URL: &str = "https://api.github.com";

/// A setting that is missing or cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// It is not there.
    #[error("the environment variable `{name}` is not set: {meaning}. The stack's template sets it; deploy it again")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What it has to hold.
        meaning: &'static str,
    },
    /// It is there, but not of use.
    #[error(
        "the environment variable `{name}` is `{value}`: expected {expected}. Set the stack's parameter of the same meaning"
    )]
    Unusable {
        /// The variable.
        name: &'static str,
        /// What it holds.
        value: String,
        /// What it should.
        expected: String,
    },
}

/// How GitHub is reached, and as which App.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitHubSettings {
    /// The API's base URL, without a slash at its end.
    pub api_url: String,
    /// The App's id.
    pub app_id: u64,
    /// The SSM parameter that holds the App's private key as PEM.
    pub key_parameter: String,
}

impl GitHubSettings {
    /// Where GitHub's pages are: beside its API, or above it on a server of one's own.
    #[must_use]
    pub fn web_url(&self) -> String {
        pages_of(&self.api_url)
    }
}

/// What launches need to know of the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ec2Settings {
    /// The launch template's id.
    pub launch_template: String,
    /// The id of the template whose versions are for runners with security groups or an instance profile of
    /// their own; nothing in a function that launches nothing.
    pub launch_template_variants: Option<String>,
    /// The value of the tag `dayfly:stack`: only instances with it are ours.
    pub stack: String,
}

/// The environment that settings are read from.
pub struct Environment<F = fn(&str) -> Option<String>> {
    lookup: F,
}

impl Environment {
    /// That of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self {
            lookup: |name| std::env::var(name).ok(),
        }
    }
}

impl<F: Fn(&str) -> Option<String>> Environment<F> {
    /// One that `lookup` answers for: tests need no process of their own.
    pub fn new(lookup: F) -> Self {
        Self { lookup }
    }

    /// The DynamoDB table.
    ///
    /// # Errors
    /// If `TABLE_NAME` is not set.
    pub fn table(&self) -> Result<String, SettingError> {
        self.required("TABLE_NAME", "the DynamoDB table of the stack")
    }

    /// The dayfly event bus.
    ///
    /// # Errors
    /// If `BUS_NAME` is not set.
    pub fn bus(&self) -> Result<String, SettingError> {
        self.required("BUS_NAME", "the event bus of the stack")
    }

    /// The topic on which the stack calls for a person.
    ///
    /// # Errors
    /// If `ALARMS_TOPIC` is not set.
    pub fn alarms_topic(&self) -> Result<String, SettingError> {
        self.required("ALARMS_TOPIC", "the ARN of the stack's topic for alarms")
    }

    /// The SSM parameter that holds the webhook's secret.
    ///
    /// # Errors
    /// If `WEBHOOK_SECRET_PARAMETER` is not set.
    pub fn webhook_secret_parameter(&self) -> Result<String, SettingError> {
        self.required(
            "WEBHOOK_SECRET_PARAMETER",
            "the name of the SSM parameter with the webhook's secret",
        )
    }

    /// The SSM parameter that holds the stack policy; nothing in a stack that can have none.
    #[must_use]
    pub fn policy_parameter(&self) -> Option<String> {
        self.optional("POLICY_PARAMETER")
    }

    /// The minute schedule.
    ///
    /// # Errors
    /// If `MINUTE_SCHEDULE_NAME` is not set.
    pub fn minute_schedule(&self) -> Result<String, SettingError> {
        self.required(
            "MINUTE_SCHEDULE_NAME",
            "the EventBridge schedule that wakes the sweeper every minute",
        )
    }

    /// The value of the tag `dayfly:stack`.
    ///
    /// # Errors
    /// If `STACK_NAME` is not set.
    pub fn stack(&self) -> Result<String, SettingError> {
        self.required("STACK_NAME", "the value of the tag that marks the stack's instances")
    }

    /// GitHub, and the App.
    ///
    /// # Errors
    /// If a variable is not set, the App's id is no number, or the URL is none.
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

    /// Where GitHub's pages are, for those who need no more of it.
    ///
    /// # Errors
    /// If the API's URL is none.
    pub fn web_url(&self) -> Result<String, SettingError> {
        Ok(pages_of(&self.github_api_url()?))
    }

    /// What EC2 is asked with.
    ///
    /// # Errors
    /// If a variable is not set.
    pub fn ec2(&self) -> Result<Ec2Settings, SettingError> {
        Ok(Ec2Settings {
            launch_template: self.required("LAUNCH_TEMPLATE_ID", "the EC2 launch template of the stack")?,
            launch_template_variants: self.optional("LAUNCH_TEMPLATE_VARIANTS_ID"),
            stack: self.stack()?,
        })
    }

    /// The subnets that instances may run in.
    ///
    /// # Errors
    /// If `SUBNET_IDS` is not set or names none.
    pub fn subnets(&self) -> Result<Vec<SubnetId>, SettingError> {
        const NAME: &str = "SUBNET_IDS";
        let text = self.required(NAME, "the subnets that instances may run in, commas between")?;
        let subnets: Vec<_> = text
            .split(',')
            .map(str::trim)
            .filter(|id| !id.is_empty())
            .map(SubnetId::new)
            .collect();
        if subnets.is_empty() || subnets.iter().any(|id| !id.as_str().starts_with("subnet-")) {
            return Err(unusable(NAME, text, "subnet ids, `subnet-…`, with commas between"));
        }
        Ok(subnets)
    }

    /// The deadlines; what is not set is as by default.
    ///
    /// # Errors
    /// If one is no number of seconds above 0, or if an instance would be given up between two of
    /// its heartbeats.
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

    /// Five pauses, `60,120,300,600,1200` say.
    fn retries<const N: usize>(
        &self,
        name: &'static str,
        default: [Duration; N],
    ) -> Result<[Duration; N], SettingError> {
        let Some(text) = self.optional(name) else {
            return Ok(default);
        };
        let pauses: Option<Vec<Duration>> = text
            .split(',')
            .map(|part| part.trim().parse().ok().filter(|seconds| *seconds > 0))
            .map(|seconds| seconds.map(Duration::from_secs))
            .collect();
        pauses
            .and_then(|pauses| <[Duration; N]>::try_from(pauses).ok())
            .ok_or_else(|| {
                unusable(
                    name,
                    text,
                    &format!("{N} numbers of seconds above 0 with commas between"),
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

    /// CloudFormation cannot leave a variable out, only leave it empty: both mean not set.
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
    fn a_missing_setting_is_named_with_what_it_is_for() {
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
    fn deadlines_that_are_not_set_are_as_by_default() {
        assert_eq!(with(&[]).deadlines(), Ok(Deadlines::default()));
        let deadlines = with(&[("DEADLINE_IDLE_SECONDS", "7"), ("MAX_LIFETIME_SECONDS", "")])
            .deadlines()
            .unwrap();
        assert_eq!(deadlines.idle, Duration::from_secs(7));
        assert_eq!(deadlines.lifetime, Deadlines::default().lifetime);
    }

    #[test]
    fn a_deadline_that_is_no_time_is_refused() {
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
    fn github_is_the_public_one_unless_another_is_named() {
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
    fn githubs_pages_are_found_from_its_api() {
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
