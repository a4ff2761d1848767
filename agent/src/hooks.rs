//! How the agent knows that a job runs: GitHub's runner calls a script before and after its job,
//! and the script writes a word into a pipe that the agent reads.
//!
//! <https://docs.github.com/en/actions/how-tos/manage-runners/self-hosted-runners/run-scripts>
//!
//! Job code has the runner's rights and could write into the pipe as well. All it would gain is a
//! wrong phase in its own instance's heartbeats, on which the control plane decides nothing alone.
//!
//! The script before the job also leaves its environment in a file that is the job's own, for the
//! interruption hook to have it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::net::unix::pipe;

use dayfly_core::checkin::JobMessage;

use crate::machine::Event;
use crate::messenger;

/// No word is longer; what is, comes from elsewhere.
const LONGEST_WORD: usize = 64;

/// The hooks' scripts.
#[derive(Clone, Debug)]
pub struct Scripts {
    /// For `ACTIONS_RUNNER_HOOK_JOB_STARTED`.
    pub started: PathBuf,
    /// For `ACTIONS_RUNNER_HOOK_JOB_COMPLETED`.
    pub completed: PathBuf,
}

/// The reading end of the hooks' pipe.
#[derive(Debug)]
pub struct JobWords {
    pipe: pipe::Receiver,
    unread: Vec<u8>,
}

/// Makes the scripts and their pipe in `folder`; `owner`, a user and group id, may write into
/// the pipe. With a `message` the script before the job fails the job with it.
///
/// # Errors
/// A file cannot be made.
pub fn install(
    folder: &Path,
    owner: Option<(u32, u32)>,
    message: Option<&JobMessage>,
) -> io::Result<(Scripts, JobWords)> {
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    let pipe = folder.join("jobs");
    match fs::remove_file(&pipe) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR)?;
    if let Some((user, group)) = owner {
        chown(&pipe, Some(user), Some(group))?;
    }
    let scripts = Scripts {
        started: folder.join("job-started.sh"),
        completed: folder.join("job-completed.sh"),
    };
    let environment = job_environment(folder);
    fs::write(&environment, "")?;
    fs::set_permissions(&environment, Permissions::from_mode(0o600))?;
    if let Some((user, group)) = owner {
        chown(&environment, Some(user), Some(group))?;
    }
    let leave_it = format!("{{ export -p >{}; }} 2>/dev/null || true\n", quoted(&environment));
    let started = match message {
        None => leave_it + &say(&pipe, STARTED),
        Some(message) => messenger::install(folder, message, &say(&pipe, TOLD), &say(&pipe, MISTAKEN))?,
    };
    for (script, text) in [(&scripts.started, started), (&scripts.completed, say(&pipe, FINISHED))] {
        fs::write(script, format!("#!/bin/sh\n{text}exit 0\n"))?;
        fs::set_permissions(script, Permissions::from_mode(0o755))?;
    }
    // For both ways: with no writer left a pipe would read as ended.
    let receiver = pipe::OpenOptions::new().read_write(true).open_receiver(&pipe)?;
    Ok((
        scripts,
        JobWords {
            pipe: receiver,
            unread: Vec::new(),
        },
    ))
}

const STARTED: &str = "started";
const FINISHED: &str = "finished";
const TOLD: &str = "told";
const MISTAKEN: &str = "mistaken";

/// The file in `folder` with the environment of the job's hooks, as shell text.
#[must_use]
pub fn job_environment(folder: &Path) -> PathBuf {
    folder.join("job-environment")
}

/// A script that fails would fail the job, and one that waits would hold it up for ever: so it
/// opens the pipe for both ways, which never waits for a reader, and always succeeds.
fn say(pipe: &Path, word: &str) -> String {
    format!("{{ echo {word} 1<>{}; }} 2>/dev/null || true\n", quoted(pipe))
}

/// A path as one word of a shell script.
pub(crate) fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

impl JobWords {
    /// The next thing that a hook says. Safe to cancel.
    ///
    /// # Errors
    /// The pipe cannot be read.
    pub async fn next(&mut self) -> io::Result<Event> {
        loop {
            if let Some(event) = self.take()? {
                return Ok(event);
            }
            self.pipe.readable().await?;
        }
    }

    /// What hooks have said already, without waiting.
    ///
    /// # Errors
    /// The pipe cannot be read.
    pub fn take(&mut self) -> io::Result<Option<Event>> {
        loop {
            while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                match line.trim_ascii_end() {
                    word if word == STARTED.as_bytes() => return Ok(Some(Event::JobStarted)),
                    word if word == FINISHED.as_bytes() => return Ok(Some(Event::JobFinished)),
                    word if word == TOLD.as_bytes() => return Ok(Some(Event::JobRefused { by_mistake: false })),
                    word if word == MISTAKEN.as_bytes() => return Ok(Some(Event::JobRefused { by_mistake: true })),
                    _ => {}
                }
            }
            if self.unread.len() > LONGEST_WORD {
                self.unread.clear();
            }
            let mut bytes = [0; 256];
            match self.pipe.try_read(&mut bytes) {
                Ok(0) => return Ok(None),
                Ok(count) => self.unread.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_hook_is_heard_and_noise_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("it's here");
        let (scripts, mut words) = install(&folder, None, None).unwrap();
        assert_eq!(words.take().unwrap(), None);
        fs::write(folder.join("jobs"), format!("\nhello\n{}\n", "x".repeat(1000))).unwrap();
        for (script, event) in [
            (&scripts.started, Event::JobStarted),
            (&scripts.completed, Event::JobFinished),
        ] {
            assert!(Command::new("sh").arg("-e").arg(script).status().unwrap().success());
            assert_eq!(words.next().await.unwrap(), event);
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_hook_without_an_agent_neither_fails_nor_waits() {
        let folder = tempfile::tempdir().unwrap();
        let (scripts, words) = install(folder.path(), None, None).unwrap();
        drop(words);
        assert!(
            Command::new("sh")
                .arg("-e")
                .arg(&scripts.started)
                .status()
                .unwrap()
                .success()
        );
        fs::remove_file(folder.path().join("jobs")).unwrap();
        fs::remove_file(&scripts.completed).unwrap();
        assert!(
            Command::new("sh")
                .arg("-e")
                .arg(&scripts.started)
                .status()
                .unwrap()
                .success()
        );
    }
}
