//! A stand-in for GitHub's runner: it has its folder, its variables, its signals and its exit
//! statuses, and really runs the steps of a job in bash, but speaks the twin's protocol.
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

/// The variable that holds the registration where it is no argument.
pub const JIT_VARIABLE: &str = "ACTIONS_RUNNER_INPUT_JITCONFIG";
/// The version that the stand-in says it has, where this variable is not set.
pub const VERSION_VARIABLE: &str = "RUNNER_STANDIN_VERSION";
/// The variable with the address of a proxy on the way to GitHub, if there is one.
pub const PROXY_VARIABLE: &str = "RUNNER_STANDIN_PROXY";
/// A version that GitHub takes.
pub const VERSION: &str = "2.336.0";
/// Pause after a poll that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// How many polls may fail one after the other.
const FAILED_POLLS: u32 = 30;

/// How the listener ends, as its exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ran its job, or has no business here any more.
    Done = 0,
    /// It cannot go on.
    Failed = 1,
    /// Its version is refused.
    Outdated = 7,
}

/// What the listener was started with.
#[derive(Clone, Debug)]
pub struct Start {
    /// The registration, encoded.
    pub jit_config: String,
    /// The version it says it has.
    pub version: String,
    /// The proxy on the way to GitHub (`http://127.0.0.1:<port>`); none: straight there.
    pub proxy: Option<String>,
    /// Whether a refused version is told by the exit status.
    pub tell_outdated: bool,
    /// The runner's folder.
    pub folder: PathBuf,
}

/// Whoever asked the listener to end.
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
pub async fn listen(start: Start) -> Outcome {
    match listen_or_fail(&start).await {
        Ok(outcome) => outcome,
        Err(error) => {
            say(&format!("An error occurred: {error}"));
            Outcome::Failed
        }
    }
}

async fn listen_or_fail(start: &Start) -> Result<Outcome, Box<dyn std::error::Error>> {
    let mut signals = Signals::new()?;
    let config = JitConfig::decode(&start.jit_config)?;
    let (service, session) = match Service::open(&config, &start.version, start.proxy.as_deref()).await {
        Ok(opened) => opened,
        Err(CallError::Refused(refused)) if refused.code == RefusedCode::VersionTooOld => {
            say(&refused.message);
            return Ok(if start.tell_outdated {
                Outcome::Outdated
            } else {
                Outcome::Done
            });
        }
        Err(CallError::Refused(refused)) => {
            say(&refused.message);
            return Ok(Outcome::Done);
        }
        Err(error) => return Err(error.into()),
    };
    say(&format!("Connected to GitHub as {}", config.runner.agent_name));
    say("Listening for Jobs");
    let job = tokio::select! {
        job = wait_for_job(&service, &session) => job?,
        () = signals.any() => None,
    };
    let Some(job) = job else {
        say("Exiting...");
        // The session ends by itself if this fails.
        let _ = service.close(&session).await;
        return Ok(Outcome::Done);
    };
    say(&format!("Running job: {}", job.job_name));
    let name = job.job_name.clone();
    let conclusion = job::run(&service, &config, &start.folder, job, &mut signals).await?;
    say(&format!("Job {name} completed with result: {conclusion}"));
    Ok(Outcome::Done)
}

/// Polls until a job was taken; `None` once the runner is no longer registered.
async fn wait_for_job(service: &Service, session: &str) -> Result<Option<JobMessage>, CallError> {
    let mut failed = 0;
    loop {
        match service.next_job(session).await {
            Ok(Some(job)) => return Ok(Some(job)),
            Ok(None) => failed = 0,
            Err(CallError::Refused(refused)) if refused.code == RefusedCode::NotRegistered => {
                say(&refused.message);
                return Ok(None);
            }
            Err(error) if failed >= FAILED_POLLS => return Err(error),
            Err(_) => {
                failed += 1;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Says something on the console, where GitHub's runner does.
fn say(line: &str) {
    // A console that nobody reads is no reason to stop.
    let _ = writeln!(std::io::stdout(), "{line}");
}
