//! The repository's `startup_script` as a process: what makes the instance ready, before its runner starts.
//!
//! It runs as the agent does, as root, and no job has run by then. Its text and its environment go to no
//! log; of what it says, the last lines are kept, for whoever has to mend it.

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
use crate::script::{Ended, Script, read_lines, write_private};
use crate::settings::Settings;

/// So many of the script's last lines are kept.
const KEPT_LINES: usize = 10;
/// So much of each.
const LONGEST_LINE: usize = 160;
/// So much of all of them.
const MOST_WORDS: usize = 800;

/// Starts the script `text` with `env` on top of what the agent passes on. How it ends goes to `events`.
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
        // What starts programs at boot does not always say so, and many need it.
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
    let output = child.stdout.take().map(|output| keep(output, Arc::clone(&lines)));
    let errors = child.stderr.take().map(|output| keep(output, Arc::clone(&lines)));
    let ended = Ended::of(child, [output, errors]).await;
    let ok = ended.ok();
    if !ok {
        script.kill_group();
    }
    let last_lines = last(&lines.lock().unwrap_or_else(PoisonError::into_inner));
    let words = ended.words();
    // A receiver that is gone means that the agent ends: nobody is left to be told.
    drop(events.send(Event::StartupEnded { ok, words, last_lines }));
}

/// The last of these lines that fit.
fn last(lines: &VecDeque<String>) -> String {
    let mut left = MOST_WORDS;
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

/// Reads all that a script says, and keeps the end of it.
fn keep(output: impl AsyncRead + Unpin + Send + 'static, kept: Arc<Mutex<VecDeque<String>>>) -> JoinHandle<()> {
    read_lines(output, LONGEST_LINE, move |line| {
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
    fn of_many_words_the_last_are_kept() {
        assert_eq!(last(&VecDeque::new()), "");
        let lines = |count: usize| (0..count).map(|n| format!("{n:03}{}", "x".repeat(96))).collect();
        let kept = last(&lines(10));
        let told: Vec<&str> = kept.lines().map(|line| &line[..3]).collect();
        assert_eq!(told, ["002", "003", "004", "005", "006", "007", "008", "009"]);
    }
}
