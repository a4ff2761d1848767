//! GitHub's runner as a process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dayfly_types::checkin::JobMessage;
use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use crate::account::{self, Account};
use crate::hooks::{self, JobWords, Scripts};
use crate::log;
use crate::machine::{Event, JitConfig};
use crate::processes::{self, Process};
use crate::settings::Settings;

/// The part of GitHub's runner that holds the session and ends in order when it is signalled;
/// `run.sh` around it passes no signal on. As long as the kernel lets a name be.
const LISTENER: &str = "Runner.Listener";
/// The part of GitHub's runner that runs one job.
const WORKER: &str = "Runner.Worker";
/// What `run.sh` always says last, and what tells nothing.
const EMPTY_WORDS: &str = "Exiting runner...";
/// How long the runner's last words may take to come out of its pipe.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The runner's processes.
#[derive(Debug)]
pub struct Runner {
    pid: i32,
}

impl Runner {
    /// Starts the runner, and with it all that a job runs, with the variables `env`: none of them replaces
    /// one of the agent's own. What it and its hooks say goes to `events`. With a `message` it is a
    /// messenger's and fails its job with that.
    ///
    /// # Errors
    /// The user is unknown, the hooks cannot be made, or `run.sh` does not start.
    pub fn start(
        settings: &Settings,
        jit_config: JitConfig,
        env: &BTreeMap<String, String>,
        message: Option<&JobMessage>,
        events: UnboundedSender<Event>,
    ) -> io::Result<Self> {
        let account = Account::find(settings.runner_user.as_deref())?;
        let owner = account.as_ref().map(Account::owner);
        let (scripts, words) = hooks::install(&settings.state_dir, owner, message)?;
        let mut command = Command::new(settings.runner_dir.join("run.sh"));
        command.current_dir(&settings.runner_dir);
        account::confine(&mut command, account.as_ref());
        command.envs(env);
        command.envs(own(&scripts, &jit_config, account::is_root(account.as_ref())));
        if message.is_some() {
            // Its machine may be too small to install what the runner needs for other languages, and
            // no step that could miss it runs.
            command.env("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1");
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

    /// The process of the step that runs, if one does.
    #[must_use]
    pub fn step(&self) -> Option<i32> {
        step(&processes::descendants(&processes::all(), self.pid))
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

/// The step among `processes`: what the worker started, or the listener where it has no worker.
/// The last one, if there are several.
fn step(processes: &[Process]) -> Option<i32> {
    let below = |name: &str| {
        let parents: Vec<i32> = processes.iter().filter(|it| it.name == name).map(|it| it.pid).collect();
        let others = |it: &&Process| it.name != LISTENER && it.name != WORKER;
        let children = processes
            .iter()
            .filter(others)
            .filter(|it| parents.contains(&it.parent));
        children.map(|it| it.pid).max()
    };
    below(WORKER).or_else(|| below(LISTENER))
}

/// What the runner gets on top.
fn own(scripts: &Scripts, jit_config: &JitConfig, as_root: bool) -> Vec<(&'static str, OsString)> {
    let mut variables: Vec<(&'static str, OsString)> = vec![
        // Not as an argument, which every process may read for as long as the runner lives. The
        // listener takes the variable out of what it hands on to the job.
        ("ACTIONS_RUNNER_INPUT_JITCONFIG", jit_config.0.clone().into()),
        ("ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE", "1".into()),
        ("ACTIONS_RUNNER_HOOK_JOB_STARTED", scripts.started.clone().into()),
        ("ACTIONS_RUNNER_HOOK_JOB_COMPLETED", scripts.completed.clone().into()),
    ];
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
    fn root_must_be_allowed() {
        let scripts = Scripts {
            started: "/s.sh".into(),
            completed: "/c.sh".into(),
        };
        let jit_config = JitConfig("c2VjcmV0".to_owned());
        for as_root in [true, false] {
            let own = own(&scripts, &jit_config, as_root);
            let allowed = own.iter().any(|(name, _)| *name == "RUNNER_ALLOW_RUNASROOT");
            assert_eq!(allowed, as_root);
        }
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
        assert_eq!(step(&processes), None);
    }

    #[test]
    fn the_step_is_what_the_worker_started() {
        let process = |pid, parent, name: &str| Process {
            pid,
            parent,
            name: name.to_owned(),
        };
        let mut processes = vec![process(3, 2, LISTENER), process(6, 3, "bash"), process(7, 6, "sleep")];
        assert_eq!(step(&processes), Some(6));
        processes.extend([process(5, 3, WORKER), process(8, 5, "bash"), process(9, 8, "sleep")]);
        assert_eq!(step(&processes), Some(8));
    }
}
