//! GitHub's runner as a process.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use crate::hooks::{self, JobWords, Scripts};
use crate::log;
use crate::machine::{Event, JitConfig};
use crate::processes::{self, Process};
use crate::settings::Settings;

/// The part of GitHub's runner that holds the session and ends in order when it is signalled;
/// `run.sh` around it passes no signal on. As long as the kernel lets a name be.
const LISTENER: &str = "Runner.Listener";
/// What `run.sh` always says last, and what tells nothing.
const EMPTY_WORDS: &str = "Exiting runner...";
/// How long the runner's last words may take to come out of its pipe.
const LAST_WORDS: Duration = Duration::from_millis(500);

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
}

/// The runner's processes.
#[derive(Debug)]
pub struct Runner {
    pid: i32,
}

impl Runner {
    /// Starts the runner. What it and its hooks say goes to `events`.
    ///
    /// # Errors
    /// The user is unknown, the hooks cannot be made, or `run.sh` does not start.
    pub fn start(settings: &Settings, jit_config: JitConfig, events: UnboundedSender<Event>) -> io::Result<Self> {
        let account = Account::find(settings.runner_user.as_deref())?;
        let owner = account.as_ref().map(|account| (account.uid, account.gid));
        let (scripts, words) = hooks::install(&settings.state_dir, owner)?;
        let as_root = account.as_ref().map_or_else(Uid::effective, |it| Uid::from_raw(it.uid));
        let mut command = Command::new(settings.runner_dir.join("run.sh"));
        command
            .current_dir(&settings.runner_dir)
            .env_clear()
            .envs(inherited(std::env::vars_os()))
            .envs(own(&scripts, &jit_config, account.as_ref(), as_root.is_root()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(account) = &account {
            // With no other groups than its own: not even `docker`, which is root by another name.
            command.uid(account.uid).gid(account.gid);
        }
        let child = command.spawn()?;
        let Some(pid) = child.id() else {
            return Err(io::Error::other("the runner ended before it began"));
        };
        tokio::spawn(watch(child, words, jit_config, events));
        Ok(Self { pid: pid.cast_signed() })
    }

    /// Asks the listener to end: it fails its job, tells GitHub, and goes.
    pub fn interrupt(&self) {
        let listeners = listeners(&processes::descendants(&processes::all(), self.pid));
        for listener in &listeners {
            processes::signal(*listener, Signal::SIGINT);
        }
        if listeners.is_empty() {
            // It is not up yet, or is going: the scripts around it end by the signal themselves.
            log::info("no_listener", "signalling the runner's process group", &[]);
            processes::signal(-self.pid, Signal::SIGINT);
        }
    }

    /// Ends the runner and what it started, in its process group or out of it.
    pub fn kill(&self) {
        // Descendants first: once their parents are gone they are nobody's.
        processes::kill_descendants(self.pid);
        processes::signal(-self.pid, Signal::SIGKILL);
    }
}

/// The listeners among `processes`, without what a listener forked and that still bears its name.
fn listeners(processes: &[Process]) -> Vec<i32> {
    let named: Vec<&Process> = processes.iter().filter(|it| it.name == LISTENER).collect();
    named
        .iter()
        .filter(|it| !named.iter().any(|other| other.pid == it.parent))
        .map(|it| it.pid)
        .collect()
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

/// What the runner gets on top.
fn own(
    scripts: &Scripts,
    jit_config: &JitConfig,
    account: Option<&Account>,
    as_root: bool,
) -> Vec<(&'static str, OsString)> {
    let mut variables: Vec<(&'static str, OsString)> = vec![
        // Not as an argument, which every process may read for as long as the runner lives. The
        // listener takes the variable out of what it hands on to the job.
        ("ACTIONS_RUNNER_INPUT_JITCONFIG", jit_config.0.clone().into()),
        ("ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE", "1".into()),
        ("ACTIONS_RUNNER_HOOK_JOB_STARTED", scripts.started.clone().into()),
        ("ACTIONS_RUNNER_HOOK_JOB_COMPLETED", scripts.completed.clone().into()),
    ];
    if let Some(Account { name, home, .. }) = account {
        variables.push(("HOME", home.clone().into()));
        variables.push(("USER", name.into()));
        variables.push(("LOGNAME", name.into()));
    }
    if as_root {
        variables.push(("RUNNER_ALLOW_RUNASROOT", "1".into()));
    }
    variables
}

/// Passes on what the hooks say and, after all of that, how the runner ended.
async fn watch(mut child: Child, mut words: JobWords, jit_config: JitConfig, events: UnboundedSender<Event>) {
    let last_words = Arc::new(Mutex::new(None));
    let output = [
        child
            .stdout
            .take()
            .map(|it| relay(it, jit_config.clone(), Arc::clone(&last_words))),
        child
            .stderr
            .take()
            .map(|it| relay(it, jit_config, Arc::clone(&last_words))),
    ];
    // A receiver that is gone means that the agent ends: nobody is left to be told.
    let tell = |event| drop(events.send(event));
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            word = words.next() => match word {
                Ok(event) => tell(event),
                Err(error) => {
                    log::warn("hooks_unread", &error.to_string(), &[]);
                    break child.wait().await;
                }
            },
        }
    };
    while let Ok(Some(event)) = words.take() {
        tell(event);
    }
    for relay in output.into_iter().flatten() {
        // What the job left running may hold the pipe open.
        let _ = tokio::time::timeout(LAST_WORDS, relay).await;
    }
    let last_words = last_words.lock().unwrap_or_else(PoisonError::into_inner).take();
    match status {
        Ok(status) => tell(Event::RunnerExited {
            code: status.code(),
            last_words,
        }),
        Err(error) => tell(Event::RunnerNotStarted(error.to_string())),
    }
}

/// Puts the runner's own output, which is not the job's, into the agent's log.
fn relay(
    output: impl AsyncRead + Unpin + Send + 'static,
    jit_config: JitConfig,
    last_words: Arc<Mutex<Option<String>>>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        // A line that is not UTF-8 ends the relay, and with it the runner's pipe only: its
        // writes then fail, which the runner ignores.
        while let Ok(Some(line)) = lines.next_line().await {
            let line = line.trim_end().replace(&jit_config.0, "***");
            if line.is_empty() {
                continue;
            }
            log::info("runner_output", &line, &[]);
            if line != EMPTY_WORDS {
                *last_words.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
            }
        }
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
    fn root_must_be_allowed_and_a_user_has_a_home() {
        let scripts = Scripts {
            started: "/s.sh".into(),
            completed: "/c.sh".into(),
        };
        let jit_config = JitConfig("c2VjcmV0".to_owned());
        let account = Account {
            name: "runner".to_owned(),
            home: "/home/runner".into(),
            uid: 7,
            gid: 8,
        };
        let has = |variables: &[(&str, OsString)], name: &str| variables.iter().any(|(it, _)| *it == name);
        let as_user = own(&scripts, &jit_config, Some(&account), false);
        assert!(has(&as_user, "HOME") && !has(&as_user, "RUNNER_ALLOW_RUNASROOT"));
        let as_root = own(&scripts, &jit_config, None, true);
        assert!(!has(&as_root, "HOME") && has(&as_root, "RUNNER_ALLOW_RUNASROOT"));
    }

    #[test]
    fn the_listener_itself_is_signalled_and_not_its_forks() {
        let process = |pid, parent, name: &str| Process {
            pid,
            parent,
            name: name.to_owned(),
        };
        let processes = [
            process(2, 1, "run-helper.sh"),
            process(3, 2, LISTENER),
            process(4, 3, LISTENER),
            process(5, 3, "Runner.Worker"),
        ];
        assert_eq!(listeners(&processes), [3]);
    }
}
