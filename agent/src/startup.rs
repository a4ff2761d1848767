//! The repository's `startup_script` as a process: what makes the instance ready, before its runner starts.
//!
//! It runs as the agent does, as root, and no job has run by then. Its text and its environment go to no
//! log; of what it says, the last lines are kept, for whoever has to mend it.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use crate::interruption::write_private;
use crate::machine::Event;
use crate::settings::Settings;
use crate::{account, processes};

/// So many of the script's last lines are kept.
const KEPT_LINES: usize = 10;
/// So much of each.
const LONGEST_LINE: usize = 160;
/// So much of all of them.
const MOST_WORDS: usize = 800;
/// How long its last lines may take to come out of its pipe.
const LAST_LINES: Duration = Duration::from_millis(500);

/// A startup script that runs.
#[derive(Debug)]
pub struct Startup {
    pid: i32,
}

impl Startup {
    /// Starts the script `text` with `env` on top of what the agent passes on. How it ends goes to `events`.
    ///
    /// # Errors
    /// The script cannot be written, or bash does not start.
    pub fn start(
        settings: &Settings,
        text: &str,
        env: &BTreeMap<String, String>,
        events: UnboundedSender<Event>,
    ) -> io::Result<Self> {
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
        let child = command.spawn()?;
        let Some(pid) = child.id().map(u32::cast_signed) else {
            return Err(io::Error::other("it ended before it began"));
        };
        tokio::spawn(watch(child, pid, events));
        Ok(Self { pid })
    }

    /// Ends the script and what it started.
    pub fn kill(&self) {
        processes::kill_descendants(self.pid);
        processes::signal(-self.pid, Signal::SIGKILL);
    }
}

async fn watch(mut child: Child, pid: i32, events: UnboundedSender<Event>) {
    let lines = Arc::new(Mutex::new(VecDeque::new()));
    let output = child.stdout.take().map(|output| keep(output, Arc::clone(&lines)));
    let errors = child.stderr.take().map(|output| keep(output, Arc::clone(&lines)));
    let status = child.wait().await;
    for relay in [output, errors].into_iter().flatten() {
        // What it left running may hold the pipe open, and is read for as long as it does.
        let _ = tokio::time::timeout(LAST_LINES, relay).await;
    }
    let ok = status.as_ref().is_ok_and(std::process::ExitStatus::success);
    if !ok {
        processes::signal(-pid, Signal::SIGKILL);
    }
    let words = match status {
        Ok(status) => match status.code() {
            Some(code) => format!("exit status {code}"),
            None => "ended by a signal".to_owned(),
        },
        Err(error) => format!("lost: {error}"),
    };
    let last_lines = last(&lines.lock().unwrap_or_else(PoisonError::into_inner));
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
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            let line = String::from_utf8_lossy(&line);
            let line: String = line.trim_end().chars().take(LONGEST_LINE).collect();
            if line.is_empty() {
                continue;
            }
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() == KEPT_LINES {
                kept.pop_front();
            }
            kept.push_back(line);
        }
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
