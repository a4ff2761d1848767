//! The user of the job's processes, and the environment that they get.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use nix::unistd::{Uid, User};
use tokio::process::Command;

/// The user that the runner runs as.
#[derive(Clone, Debug)]
pub struct Account {
    name: String,
    home: PathBuf,
    uid: u32,
    gid: u32,
}

impl Account {
    /// Finds the account with this name. Without a name there is none, and the agent's own user is used.
    ///
    /// # Errors
    /// There is no such user.
    pub fn find(name: Option<&str>) -> io::Result<Option<Self>> {
        let Some(name) = name else { return Ok(None) };
        let Some(user) = User::from_name(name)? else {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("no user `{name}`")));
        };
        Ok(Some(Self {
            name: user.name,
            home: user.dir,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
        }))
    }

    /// The user and group id.
    #[must_use]
    pub fn owner(&self) -> (u32, u32) {
        (self.uid, self.gid)
    }
}

/// Makes `command` run as the job's user, without the agent's own environment, in its own process group, and with
/// its output in pipes.
pub fn confine(command: &mut Command, account: Option<&Account>) {
    command
        .env_clear()
        .envs(inherited(std::env::vars_os()))
        .envs(user_variables(account))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(account) = account {
        // Without supplementary groups: `docker` would make it root.
        command.uid(account.uid).gid(account.gid);
    }
}

/// Whether a process of `account` is root.
#[must_use]
pub fn is_root(account: Option<&Account>) -> bool {
    account
        .map_or_else(Uid::effective, |it| Uid::from_raw(it.uid))
        .is_root()
}

/// Removes the agent's credentials, endpoints and settings from its environment.
fn inherited(variables: impl Iterator<Item = (OsString, OsString)>) -> impl Iterator<Item = (OsString, OsString)> {
    variables.filter(|(name, _)| {
        let name = name.to_string_lossy().to_ascii_uppercase();
        !["AWS_", "DAYFLY_", "ACTIONS_RUNNER_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    })
}

fn user_variables(account: Option<&Account>) -> Vec<(&'static str, OsString)> {
    account.map_or_else(Vec::new, |Account { name, home, .. }| {
        vec![
            ("HOME", home.clone().into()),
            ("USER", name.into()),
            ("LOGNAME", name.into()),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_inherits_no_setting_and_no_credential() {
        let variables = [
            ("PATH", "/bin"),
            ("AWS_SESSION_TOKEN", "x"),
            ("aws_profile", "x"),
            ("DAYFLY_CHECKIN_URL", "x"),
            ("ACTIONS_RUNNER_INPUT_JITCONFIG", "x"),
            ("LANG", "C"),
        ];
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        let left: Vec<OsString> = inherited(variables).map(|(name, _)| name).collect();
        assert_eq!(left, ["PATH", "LANG"]);
    }

    #[test]
    fn job_user_has_its_own_home() {
        let account = Account {
            name: "runner".to_owned(),
            home: "/home/runner".into(),
            uid: 7,
            gid: 8,
        };
        let variables = user_variables(Some(&account));
        assert!(variables.contains(&("HOME", "/home/runner".into())));
        assert!(!is_root(Some(&account)));
        assert!(user_variables(None).is_empty());
    }
}
