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
use crate::hooks::{self, HookEvents, Scripts};
use crate::log;
use crate::machine::{Event, JitConfig};
use crate::processes::{self, Process};
use crate::settings::Settings;

/// The part of GitHub's runner that holds the session and ends in order on a signal. `run.sh` around it passes no
/// signal on. The kernel keeps 15 bytes of a name, which this is.
const LISTENER: &str = "Runner.Listener";
/// The part of GitHub's runner that runs one job.
const WORKER: &str = "Runner.Worker";
/// The last line of `run.sh`, which says nothing.
const EMPTY_LAST_LINE: &str = "Exiting runner...";
/// How long the runner's last line is waited for after its end.
const LAST_LINE_PATIENCE: Duration = Duration::from_millis(500);

/// The runner's processes.
#[derive(Debug)]
pub struct Runner {
    pid: i32,
}

impl Runner {
    /// Starts the runner with the variables `env`, none of which replaces one of the agent's own. Its events and
    /// those of its hooks go to `events`. With a `message` it is a messenger's runner and fails its job with it.
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
        let (scripts, hook_events) = hooks::install(&settings.state_dir, owner, message)?;
        let mut command = Command::new(settings.runner_dir.join("run.sh"));
        command.current_dir(&settings.runner_dir);
        account::confine(&mut command, account.as_ref());
        command.envs(env);
        command.envs(runner_variables(
            &scripts,
            &jit_config,
            account::is_root(account.as_ref()),
        ));
        if message.is_some() {
            // Its machine may be too small to install the libraries for other languages, and it runs no step that
            // needs them.
            command.env("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1");
        }
        let child = command.spawn()?;
        let Some(pid) = child.id() else {
            return Err(io::Error::other("the runner ended before it began"));
        };
        tokio::spawn(watch(child, hook_events, jit_config, events));
        Ok(Self { pid: pid.cast_signed() })
    }

    /// Asks the listener to end: it fails its job, reports to GitHub, and exits.
    pub fn interrupt(&self) {
        let listeners = listeners(&processes::descendants(&processes::all(), self.pid));
        for listener in &listeners {
            processes::signal(*listener, Signal::SIGINT);
        }
        if listeners.is_empty() {
            // It is starting or exiting: the scripts around it end by the signal themselves.
            log::info("no_listener", "signalling the runner's process group", &[]);
            processes::signal(-self.pid, Signal::SIGINT);
        }
    }

    /// The process of the running step, if any.
    #[must_use]
    pub fn step(&self) -> Option<i32> {
        step(&processes::descendants(&processes::all(), self.pid))
    }

    /// Kills the runner and its child processes, in its process group or outside.
    pub fn kill(&self) {
        // Descendants first: they cannot be found once their parents are gone.
        processes::kill_descendants(self.pid);
        processes::signal(-self.pid, Signal::SIGKILL);
    }
}

/// Returns the listeners among `processes`, without forks that still have a listener's name.
fn listeners(processes: &[Process]) -> Vec<i32> {
    let named: Vec<&Process> = processes.iter().filter(|it| it.name == LISTENER).collect();
    named
        .iter()
        .filter(|it| !named.iter().any(|other| other.pid == it.parent))
        .map(|it| it.pid)
        .collect()
}

/// Returns the step among `processes`: the last child of the worker, or of the listener if it has no worker.
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

/// The agent's own variables for the runner.
fn runner_variables(scripts: &Scripts, jit_config: &JitConfig, as_root: bool) -> Vec<(&'static str, OsString)> {
    let mut variables: Vec<(&'static str, OsString)> = vec![
        // Not as an argument, which every process can read. The listener removes the variable from the job's
        // environment.
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

/// Emits the hooks' events and, after them, the runner's end.
async fn watch(mut child: Child, mut hooks: HookEvents, jit_config: JitConfig, events: UnboundedSender<Event>) {
    let last_line = Arc::new(Mutex::new(None));
    let output = [
        child
            .stdout
            .take()
            .map(|it| relay(it, jit_config.clone(), Arc::clone(&last_line))),
        child
            .stderr
            .take()
            .map(|it| relay(it, jit_config, Arc::clone(&last_line))),
    ];
    // A closed channel means that the agent is ending.
    let emit = |event| drop(events.send(event));
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            event = hooks.next() => match event {
                Ok(event) => emit(event),
                Err(error) => {
                    log::warn("hooks_unread", &error.to_string(), &[]);
                    break child.wait().await;
                }
            },
        }
    };
    while let Ok(Some(event)) = hooks.try_next() {
        emit(event);
    }
    for relay in output.into_iter().flatten() {
        // A process that the job left running may hold the pipe open.
        let _ = tokio::time::timeout(LAST_LINE_PATIENCE, relay).await;
    }
    let last_line = last_line.lock().unwrap_or_else(PoisonError::into_inner).take();
    match status {
        Ok(status) => emit(Event::RunnerExited {
            code: status.code(),
            last_line,
        }),
        Err(error) => emit(Event::RunnerNotStarted(error.to_string())),
    }
}

/// Logs the runner's own output, which is not the job's.
fn relay(
    output: impl AsyncRead + Unpin + Send + 'static,
    jit_config: JitConfig,
    last_line: Arc<Mutex<Option<String>>>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        // A line that is not UTF-8 ends only the relay: the runner ignores that its writes then fail.
        while let Ok(Some(line)) = lines.next_line().await {
            let line = line.trim_end().replace(&jit_config.0, "***");
            if line.is_empty() {
                continue;
            }
            log::info("runner_output", &line, &[]);
            if line != EMPTY_LAST_LINE {
                *last_line.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runner_is_allowed_to_run_as_root() {
        let scripts = Scripts {
            started: "/s.sh".into(),
            completed: "/c.sh".into(),
        };
        let jit_config = JitConfig("c2VjcmV0".to_owned());
        for as_root in [true, false] {
            let variables = runner_variables(&scripts, &jit_config, as_root);
            let allowed = variables.iter().any(|(name, _)| *name == "RUNNER_ALLOW_RUNASROOT");
            assert_eq!(allowed, as_root);
        }
    }

    #[test]
    fn forks_of_a_listener_are_not_listeners() {
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
    fn step_is_the_child_of_the_worker() {
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
