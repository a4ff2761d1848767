//! The agent's settings, which the user data passes in the environment.

use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Settings {
    /// Base URL of the check-in function, without a trailing slash.
    pub checkin_url: String,
    /// Region to sign for; IMDS is asked if unset.
    pub region: Option<String>,
    /// Base URL of IMDS.
    pub imds_endpoint: String,
    /// Folder with the GitHub runner's `run.sh`.
    pub runner_dir: PathBuf,
    /// The unprivileged user of the runner; the agent's own if unset.
    pub runner_user: Option<String>,
    /// Folder of the job hooks and their pipe.
    pub state_dir: PathBuf,
    /// Time from the agent's start to the instance's end at the latest.
    pub max_lifetime: Duration,
    /// Time from the last successful check-in to the instance's end.
    pub unreachable: Duration,
    /// Time between polls for an interruption notice. EC2 recommends five seconds.
    pub spot_poll: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A required variable is missing or empty.
    #[error("`{0}` is not set")]
    Missing(&'static str),
    /// A variable is not a whole number of seconds, from 1.
    #[error("`{name}` is `{value}`: expected a whole number of seconds from 1")]
    NotSeconds { name: &'static str, value: String },
}

impl Settings {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// A required variable is missing, or one is invalid.
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads settings by `variable`; an empty value counts as none.
    ///
    /// # Errors
    /// As [`Settings::from_env`].
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let required = |name: &'static str| get(name).ok_or(SettingsError::Missing(name));
        let seconds = |name: &'static str, default: u64| match get(name) {
            None => Ok(Duration::from_secs(default)),
            Some(value) => match value.parse() {
                Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
                _ => Err(SettingsError::NotSeconds { name, value }),
            },
        };
        let trimmed = |url: String| url.trim_end_matches('/').to_owned();
        let root = get("DAYFLY_ROOT").unwrap_or_default();
        Ok(Self {
            checkin_url: trimmed(required("DAYFLY_CHECKIN_URL")?),
            region: get("AWS_REGION"),
            imds_endpoint: trimmed(
                get("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_else(|| "http://169.254.169.254".to_owned()),
            ),
            runner_dir: required("DAYFLY_RUNNER_DIR")?.into(),
            runner_user: get("DAYFLY_RUNNER_USER"),
            state_dir: PathBuf::from(format!("{root}/run/dayfly")),
            max_lifetime: seconds(MAX_LIFETIME, DEFAULT_MAX_LIFETIME)?,
            unreachable: seconds("DAYFLY_UNREACHABLE_SECONDS", 300)?,
            spot_poll: seconds("DAYFLY_SPOT_POLL_SECONDS", 5)?,
        })
    }
}

const MAX_LIFETIME: &str = "DAYFLY_MAX_LIFETIME_SECONDS";
const DEFAULT_MAX_LIFETIME: u64 = 6 * 60 * 60;

/// Returns the instance's longest lifetime. The supervisor needs it even if the settings are bad.
#[must_use]
pub fn max_lifetime_or_default() -> Duration {
    let seconds = std::env::var(MAX_LIFETIME).ok().and_then(|value| value.parse().ok());
    Duration::from_secs(seconds.unwrap_or(DEFAULT_MAX_LIFETIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::read(|name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    const LEAST: [(&str, &str); 2] = [
        ("DAYFLY_CHECKIN_URL", "https://c.example/"),
        ("DAYFLY_RUNNER_DIR", "/opt/runner"),
    ];

    #[test]
    fn defaults_suit_a_real_instance() {
        let settings = read(&LEAST).unwrap();
        assert_eq!(settings.checkin_url, "https://c.example");
        assert_eq!(settings.imds_endpoint, "http://169.254.169.254");
        assert_eq!(settings.max_lifetime, Duration::from_secs(21_600));
        assert_eq!(settings.unreachable, Duration::from_secs(300));
        assert_eq!(settings.state_dir, PathBuf::from("/run/dayfly"));
        assert_eq!(settings.runner_user, None);
    }

    #[test]
    fn missing_or_invalid_variable_is_named() {
        let missing = read(&LEAST[..1]).unwrap_err();
        assert_eq!(missing.to_string(), "`DAYFLY_RUNNER_DIR` is not set");
        for bad in ["0", "-1", "5m", "1.5"] {
            let error = read(&[LEAST[0], LEAST[1], ("DAYFLY_UNREACHABLE_SECONDS", bad)]).unwrap_err();
            assert!(error.to_string().contains("`DAYFLY_UNREACHABLE_SECONDS`"), "{error}");
        }
    }

    #[test]
    fn empty_user_means_the_agents_own() {
        let settings = read(&[LEAST[0], LEAST[1], ("DAYFLY_RUNNER_USER", "")]).unwrap();
        assert_eq!(settings.runner_user, None);
    }
}
