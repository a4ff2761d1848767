//! Whose processes the job's are, and what they see of the agent.

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
    /// The account of that name; without one, none: the agent's own is used.
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

    /// Its user and group id.
    #[must_use]
    pub fn owner(&self) -> (u32, u32) {
        (self.uid, self.gid)
    }
}

/// Makes `command` one of the job's: of its user, with nothing of the agent's that is not its own,
/// and in a process group by which it can be ended. What it says can be read.
pub fn confine(command: &mut Command, account: Option<&Account>) {
    command
        .env_clear()
        .envs(inherited(std::env::vars_os()))
        .envs(own(account))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(account) = account {
        // With no other groups than its own: not even `docker`, which is root by another name.
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

/// The agent's environment as far as the job may see it: no credential, endpoint or setting.
fn inherited(variables: impl Iterator<Item = (OsString, OsString)>) -> impl Iterator<Item = (OsString, OsString)> {
    variables.filter(|(name, _)| {
        let name = name.to_string_lossy().to_ascii_uppercase();
        !["AWS_", "DAYFLY_", "ACTIONS_RUNNER_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    })
}

fn own(account: Option<&Account>) -> Vec<(&'static str, OsString)> {
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
    fn the_job_inherits_no_setting_and_no_credential() {
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
    fn another_user_has_its_own_home() {
        let account = Account {
            name: "runner".to_owned(),
            home: "/home/runner".into(),
            uid: 7,
            gid: 8,
        };
        let own = own(Some(&account));
        assert!(own.contains(&("HOME", "/home/runner".into())));
        assert!(!is_root(Some(&account)));
        assert!(super::own(None).is_empty());
    }
}
