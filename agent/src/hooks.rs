//! The job hooks: scripts that GitHub's runner calls before and after its job. They write words into a pipe that
//! the agent reads.
//!
//! <https://docs.github.com/en/actions/how-tos/manage-runners/self-hosted-runners/run-scripts>
//!
//! Job code has the runner's rights and could write into the pipe too. It would gain nothing but a wrong phase in
//! its own instance's heartbeats, which decides nothing by itself.
//!
//! The script before the job asks whether the job may run on this machine, and waits for the answer: a file that
//! only the agent can write. Without an answer it fails the job. It also saves its environment for the
//! interruption hook, in a file that belongs to the job's user.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dayfly_types::checkin::JobMessage;
use dayfly_types::ids::{RunAttempt, RunId};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::net::unix::pipe;

use crate::machine::Event;
use crate::messenger;
use crate::script::quoted;

/// Longer lines do not come from a hook.
const MAX_LINE_LENGTH: usize = 64;

#[derive(Clone, Debug)]
pub struct Scripts {
    /// The value of `ACTIONS_RUNNER_HOOK_JOB_STARTED`.
    pub started: PathBuf,
    /// The value of `ACTIONS_RUNNER_HOOK_JOB_COMPLETED`.
    pub completed: PathBuf,
}

/// The reading end of the hooks' pipe.
#[derive(Debug)]
pub struct HookEvents {
    pipe: pipe::Receiver,
    unread: Vec<u8>,
}

/// Writes the scripts and their pipe to `folder`. `owner`, a user and group id, may write into the pipe. With a
/// `message`, the script before the job fails the job with it.
///
/// # Errors
/// A file cannot be written.
pub fn install(
    folder: &Path,
    owner: Option<(u32, u32)>,
    message: Option<&JobMessage>,
) -> io::Result<(Scripts, HookEvents)> {
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
    let save_environment = format!("{{ export -p >{}; }} 2>/dev/null || true\n", quoted(&environment));
    let answer = answer_file(folder);
    match fs::remove_file(&answer) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let started = match message {
        None => save_environment + &wait_for_permission(&pipe, &answer, PERMISSION_PATIENCE),
        Some(message) => messenger::install(
            folder,
            message,
            &write_word(&pipe, DELIVERED),
            &write_word(&pipe, MISTAKEN),
        )?,
    };
    for (script, text) in [
        (&scripts.started, started),
        (&scripts.completed, write_word(&pipe, FINISHED)),
    ] {
        fs::write(script, format!("#!/bin/sh\n{text}exit 0\n"))?;
        fs::set_permissions(script, Permissions::from_mode(0o755))?;
    }
    // For writing too: a pipe without a writer reads as ended.
    let receiver = pipe::OpenOptions::new().read_write(true).open_receiver(&pipe)?;
    Ok((
        scripts,
        HookEvents {
            pipe: receiver,
            unread: Vec::new(),
        },
    ))
}

const STARTING: &str = "starting";
const FINISHED: &str = "finished";
const DELIVERED: &str = "delivered";
const MISTAKEN: &str = "mistaken";

/// Returns the file in `folder` with the environment of the job's hooks, as shell text.
#[must_use]
pub fn job_environment(folder: &Path) -> PathBuf {
    folder.join("job-environment")
}

/// How long the script before a job waits for permission: longer than the agent asks for it.
const PERMISSION_PATIENCE: Duration = Duration::from_secs(120);

const POLLS_PER_SECOND: u64 = 20;

/// The log of a job that gets no answer.
const NO_ANSWER: &str = "\
::error::The agent on this machine does not answer whether the job may run here. Nothing is wrong with the job: run it again.
No step of it has run.
";

fn answer_file(folder: &Path) -> PathBuf {
    folder.join("answer")
}

/// Lets the job begin, or makes it fail with the text `refusal`.
///
/// # Errors
/// The answer cannot be written.
pub fn answer_start(folder: &Path, refusal: Option<&str>) -> io::Result<()> {
    let new = folder.join("answer.new");
    fs::write(&new, refusal.map(messenger::as_workflow_commands).unwrap_or_default())?;
    fs::set_permissions(&new, Permissions::from_mode(0o644))?;
    fs::rename(new, answer_file(folder))
}

/// Returns the shell text that asks for permission and waits for the answer. An empty answer lets the job begin;
/// any other fails it. The script needs only `sleep` and `cat` from the image.
fn wait_for_permission(pipe: &Path, answer: &Path, patience: Duration) -> String {
    let (pipe, answer, polls) = (quoted(pipe), quoted(answer), patience.as_secs() * POLLS_PER_SECOND);
    format!(
        "{{ echo \"{STARTING} ${{GITHUB_RUN_ID:-0}} ${{GITHUB_RUN_ATTEMPT:-0}}\" 1<>{pipe}; }} 2>/dev/null || true\n\
         polls=0\n\
         until [ -e {answer} ]; do\n\
         polls=$((polls + 1))\n\
         if [ \"$polls\" -gt {polls} ]; then cat <<'END'\n{NO_ANSWER}END\nexit 1; fi\n\
         sleep 0.05\n\
         done\n\
         if [ -s {answer} ]; then cat {answer}; exit 1; fi\n"
    )
}

/// Reads the request of the script before a job. A number that it does not know is 0, which no run has.
fn job_start_request(line: &[u8]) -> Option<Event> {
    let text = std::str::from_utf8(line).ok()?;
    let mut words = text.strip_prefix(STARTING)?.split_whitespace();
    let run = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
    let attempt = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
    Some(Event::JobStartRequested {
        run: RunId(run),
        attempt: RunAttempt(attempt),
    })
}

/// Returns the shell text that writes `word` into the pipe. It always succeeds, since a failure would fail the
/// job, and opens the pipe for reading too, since it would otherwise wait for a reader.
fn write_word(pipe: &Path, word: &str) -> String {
    format!("{{ echo {word} 1<>{}; }} 2>/dev/null || true\n", quoted(pipe))
}

impl HookEvents {
    /// Waits for the next event of a hook. Safe to cancel.
    ///
    /// # Errors
    /// The pipe cannot be read.
    pub async fn next(&mut self) -> io::Result<Event> {
        loop {
            if let Some(event) = self.try_next()? {
                return Ok(event);
            }
            self.pipe.readable().await?;
        }
    }

    /// Returns the next event that has come already.
    ///
    /// # Errors
    /// The pipe cannot be read.
    pub fn try_next(&mut self) -> io::Result<Option<Event>> {
        loop {
            while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                if let Some(event) = job_start_request(line.trim_ascii_end()) {
                    return Ok(Some(event));
                }
                match line.trim_ascii_end() {
                    word if word == FINISHED.as_bytes() => return Ok(Some(Event::JobFinished)),
                    word if word == DELIVERED.as_bytes() => {
                        return Ok(Some(Event::MessengerTookJob { by_mistake: false }));
                    }
                    word if word == MISTAKEN.as_bytes() => {
                        return Ok(Some(Event::MessengerTookJob { by_mistake: true }));
                    }
                    _ => {}
                }
            }
            if self.unread.len() > MAX_LINE_LENGTH {
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
    use std::process::{Child, Command, Output, Stdio};

    use super::*;

    const RUN: Event = Event::JobStartRequested {
        run: RunId(22),
        attempt: RunAttempt(3),
    };

    /// A hook of a job of run 22 in its third attempt.
    fn hook(script: &Path) -> Child {
        let mut command = Command::new("sh");
        command.arg("-e").arg(script).stdout(Stdio::piped());
        let of_run = command.env("GITHUB_RUN_ID", "22").env("GITHUB_RUN_ATTEMPT", "3");
        of_run.spawn().unwrap()
    }

    fn stdout(output: &Output) -> String {
        String::from_utf8(output.stdout.clone()).unwrap()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn hook_events_are_read_and_other_input_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("it's here");
        let (scripts, mut events) = install(&folder, None, None).unwrap();
        assert_eq!(events.try_next().unwrap(), None);
        fs::write(folder.join("jobs"), format!("\nhello\n{}\n", "x".repeat(1000))).unwrap();
        let begins = hook(&scripts.started);
        assert_eq!(events.next().await.unwrap(), RUN);
        answer_start(&folder, None).unwrap();
        let output = begins.wait_with_output().unwrap();
        assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
        assert!(hook(&scripts.completed).wait().unwrap().success());
        assert_eq!(events.next().await.unwrap(), Event::JobFinished);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn job_waits_for_permission_and_fails_with_a_literal_refusal() {
        let folder = tempfile::tempdir().unwrap();
        let (scripts, mut events) = install(folder.path(), None, None).unwrap();
        let mut begins = hook(&scripts.started);
        assert_eq!(events.next().await.unwrap(), RUN);
        std::thread::sleep(Duration::from_millis(200));
        assert!(begins.try_wait().unwrap().is_none(), "there is no answer yet");
        answer_start(
            folder.path(),
            Some("It comes from a fork: 100%.\n$(touch ran)\n::add-mask::a"),
        )
        .unwrap();
        let output = begins.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let stdout = stdout(&output);
        assert!(
            stdout.starts_with("::error::It comes from a fork: 100%25.\n::stop-commands::"),
            "{stdout}"
        );
        assert!(stdout.contains("\n$(touch ran)\n::add-mask::a\n"), "{stdout}");
        assert!(!folder.path().join("ran").exists());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn answer_to_an_earlier_runner_is_not_reused() {
        let folder = tempfile::tempdir().unwrap();
        answer_start(folder.path(), None).unwrap();
        install(folder.path(), None, None).unwrap();
        assert!(!answer_file(folder.path()).exists());
    }

    #[test]
    fn job_without_an_answer_fails_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("wait.sh");
        let text = wait_for_permission(
            &folder.path().join("jobs"),
            &answer_file(folder.path()),
            Duration::from_secs(1),
        );
        fs::write(&script, text).unwrap();
        let output = hook(&script).wait_with_output().unwrap();
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), NO_ANSWER));
    }

    #[test]
    fn hook_without_a_known_run_asks_for_run_zero() {
        let nothing = Event::JobStartRequested {
            run: RunId(0),
            attempt: RunAttempt(0),
        };
        for line in [
            "starting",
            "starting ",
            "starting 0 0",
            "starting x y",
            "starting 99999999999999999999999 1e9",
        ] {
            assert_eq!(job_start_request(line.as_bytes()), Some(nothing.clone()), "{line}");
        }
        assert_eq!(job_start_request(b"starting 22 3"), Some(RUN));
        assert_eq!(job_start_request(b"finished"), None);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn completed_hook_without_an_agent_succeeds_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (scripts, events) = install(folder.path(), None, None).unwrap();
        drop(events);
        assert!(hook(&scripts.completed).wait().unwrap().success());
        fs::remove_file(folder.path().join("jobs")).unwrap();
        assert!(hook(&scripts.completed).wait().unwrap().success());
    }
}
