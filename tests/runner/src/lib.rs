//! A stand-in for GitHub's runner. It has the same folder, variables, signals and exit statuses, and runs the steps
//! of a job in bash, but speaks the twin's protocol.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod commands;
mod job;
mod service;
mod shell;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use dayfly_twin::runner_protocol::{JitConfig, JobMessage, RefusedCode};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::service::{CallError, Service};

/// The variable with the registration, if it is not an argument.
pub const JIT_VARIABLE: &str = "ACTIONS_RUNNER_INPUT_JITCONFIG";
/// The variable with the version to report instead of [`VERSION`].
pub const VERSION_VARIABLE: &str = "RUNNER_STANDIN_VERSION";
/// The variable with the address of a proxy to GitHub.
pub const PROXY_VARIABLE: &str = "RUNNER_STANDIN_PROXY";
/// A version that GitHub accepts.
pub const VERSION: &str = "2.336.0";
/// Pause after a poll that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// How many polls in a row may fail.
const MAX_FAILED_POLLS: u32 = 30;

/// The listener's exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerExit {
    /// It ran its job, or is no longer registered.
    Done = 0,
    Failed = 1,
    Outdated = 7,
}

#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// The registration, encoded.
    pub jit_config: String,
    /// The version to report.
    pub version: String,
    /// The proxy to GitHub (`http://127.0.0.1:<port>`), if any.
    pub proxy: Option<String>,
    /// Whether the exit status reports a refused version.
    pub report_outdated: bool,
    pub folder: PathBuf,
}

/// The signals that ask the listener to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self {
            interrupt,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Listens for a job, runs it, and ends.
pub async fn listen(listener: ListenerConfig) -> ListenerExit {
    match listen_or_fail(&listener).await {
        Ok(outcome) => outcome,
        Err(error) => {
            print_line(&format!("An error occurred: {error}"));
            ListenerExit::Failed
        }
    }
}

async fn listen_or_fail(listener: &ListenerConfig) -> Result<ListenerExit, Box<dyn std::error::Error>> {
    let mut signals = Signals::new()?;
    let config = JitConfig::decode(&listener.jit_config)?;
    let (service, session) = match Service::open(&config, &listener.version, listener.proxy.as_deref()).await {
        Ok(opened) => opened,
        Err(CallError::Refused(refused)) if refused.code == RefusedCode::VersionTooOld => {
            print_line(&refused.message);
            return Ok(if listener.report_outdated {
                ListenerExit::Outdated
            } else {
                ListenerExit::Done
            });
        }
        Err(CallError::Refused(refused)) => {
            print_line(&refused.message);
            return Ok(ListenerExit::Done);
        }
        Err(error) => return Err(error.into()),
    };
    print_line(&format!("Connected to GitHub as {}", config.runner.agent_name));
    print_line("Listening for Jobs");
    let job = tokio::select! {
        job = wait_for_job(&service, &session) => job?,
        () = signals.any() => None,
    };
    let Some(job) = job else {
        print_line("Exiting...");
        // If this fails, the session expires.
        let _ = service.close(&session).await;
        return Ok(ListenerExit::Done);
    };
    print_line(&format!("Running job: {}", job.job_name));
    let name = job.job_name.clone();
    let conclusion = job::run(&service, &config, &listener.folder, job, &mut signals).await?;
    print_line(&format!("Job {name} completed with result: {conclusion}"));
    Ok(ListenerExit::Done)
}

/// Polls until it gets a job. Returns `None` once the runner is no longer registered.
async fn wait_for_job(service: &Service, session: &str) -> Result<Option<JobMessage>, CallError> {
    let mut failed = 0;
    loop {
        match service.next_job(session).await {
            Ok(Some(job)) => return Ok(Some(job)),
            Ok(None) => failed = 0,
            Err(CallError::Refused(refused)) if refused.code == RefusedCode::NotRegistered => {
                print_line(&refused.message);
                return Ok(None);
            }
            Err(error) if failed >= MAX_FAILED_POLLS => return Err(error),
            Err(_) => {
                failed += 1;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Prints a line on the console, as GitHub's runner does.
fn print_line(line: &str) {
    // A closed console is no reason to stop.
    let _ = writeln!(std::io::stdout(), "{line}");
}
