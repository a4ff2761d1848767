//! The repository's `startup_script` as a process: it prepares the instance before the runner starts.
//!
//! It runs as the agent's user, root, before any job. Its text and environment are never logged. The last lines
//! of its output are kept for the report of a failure.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncRead;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use crate::account;
use crate::machine::Event;
use crate::script::{Script, ScriptEnd, read_lines, write_private};
use crate::settings::Settings;

/// How many of the script's last lines are kept.
const KEPT_LINES: usize = 10;
/// Characters kept of each.
const MAX_LINE_LENGTH: usize = 160;
/// Characters kept of all of them.
const MAX_KEPT_LENGTH: usize = 800;

/// Starts the script `text` with `env` on top of the agent's environment. Its end goes to `events`.
///
/// # Errors
/// The script cannot be written, or bash does not start.
pub(crate) fn start(
    settings: &Settings,
    text: &str,
    env: &BTreeMap<String, String>,
    events: UnboundedSender<Event>,
) -> io::Result<Script> {
    fs::create_dir_all(&settings.state_dir)?;
    let file = settings.state_dir.join("startup.sh");
    write_private(&file, text, None)?;
    let mut command = Command::new("bash");
    command.arg(&file).current_dir(&settings.runner_dir);
    account::confine(&mut command, None);
    if std::env::var_os("HOME").is_none() && account::is_root(None) {
        // Boot-time services do not always set it, and many programs need it.
        command.env("HOME", "/root");
    }
    if let Some(region) = &settings.region {
        command.env("AWS_REGION", region);
    }
    command.envs(env);
    let (script, child) = Script::start(&mut command)?;
    tokio::spawn(watch(script, child, events));
    Ok(script)
}

async fn watch(script: Script, mut child: Child, events: UnboundedSender<Event>) {
    let lines = Arc::new(Mutex::new(VecDeque::new()));
    let output = child
        .stdout
        .take()
        .map(|output| keep_last_lines(output, Arc::clone(&lines)));
    let errors = child
        .stderr
        .take()
        .map(|output| keep_last_lines(output, Arc::clone(&lines)));
    let ended = ScriptEnd::wait(child, [output, errors]).await;
    let ok = ended.ok();
    if !ok {
        script.kill_group();
    }
    let last_lines = last_fitting(&lines.lock().unwrap_or_else(PoisonError::into_inner));
    let outcome = ended.describe();
    // A closed channel means that the agent is ending.
    drop(events.send(Event::StartupEnded {
        ok,
        outcome,
        last_lines,
    }));
}

/// Joins the last lines that fit into `MAX_KEPT_LENGTH`.
fn last_fitting(lines: &VecDeque<String>) -> String {
    let mut left = MAX_KEPT_LENGTH;
    let fitting = lines.iter().rev().take_while(|line| {
        let length = line.chars().count() + 1;
        let fits = length <= left;
        left = left.saturating_sub(length);
        fits
    });
    let mut fitting: Vec<&str> = fitting.map(String::as_str).collect();
    fitting.reverse();
    fitting.join("\n")
}

/// Reads a script's output and keeps its end.
fn keep_last_lines(
    output: impl AsyncRead + Unpin + Send + 'static,
    kept: Arc<Mutex<VecDeque<String>>>,
) -> JoinHandle<()> {
    read_lines(output, MAX_LINE_LENGTH, move |line| {
        if line.is_empty() {
            return;
        }
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_kept() {
        assert_eq!(last_fitting(&VecDeque::new()), "");
        let lines = |count: usize| (0..count).map(|n| format!("{n:03}{}", "x".repeat(96))).collect();
        let kept = last_fitting(&lines(10));
        let numbers: Vec<&str> = kept.lines().map(|line| &line[..3]).collect();
        assert_eq!(numbers, ["002", "003", "004", "005", "006", "007", "008", "009"]);
    }
}
