//! How the agent knows that a job runs: GitHub's runner calls a script before and after its job,
//! and the script writes a word into a pipe that the agent reads.
//!
//! <https://docs.github.com/en/actions/how-tos/manage-runners/self-hosted-runners/run-scripts>
//!
//! Job code has the runner's rights and could write into the pipe as well. All it would gain is a
//! wrong phase in its own instance's heartbeats, on which the control plane decides nothing alone.
//!
//! The script before the job asks in that way whether the job may run on this machine, and holds it back
//! until there is an answer: a file that only the agent can write. Without one it fails the job.
//!
//! It also leaves its environment in a file that is the job's own, for the
//! interruption hook to have it.

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
    let answer = answer(folder);
    match fs::remove_file(&answer) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let started = match message {
        None => leave_it + &ask(&pipe, &answer, ANSWERED_WITHIN),
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

const ASKS: &str = "asks";
const FINISHED: &str = "finished";
const TOLD: &str = "told";
const MISTAKEN: &str = "mistaken";

/// The file in `folder` with the environment of the job's hooks, as shell text.
#[must_use]
pub fn job_environment(folder: &Path) -> PathBuf {
    folder.join("job-environment")
}

/// For so long the script before a job waits for an answer: longer than the agent asks for one.
const ANSWERED_WITHIN: Duration = Duration::from_secs(120);

/// How often it looks.
const LOOKS_PER_SECOND: u64 = 20;

/// What a job reads if nobody answers.
const NOBODY_ANSWERS: &str = "\
::error::The agent on this machine does not answer whether the job may run here. Nothing is wrong with the job: run it again.
No step of it has run.
";

fn answer(folder: &Path) -> PathBuf {
    folder.join("answer")
}

/// Answers the script before the job: it may begin, or it fails with these words.
///
/// # Errors
/// The answer cannot be written.
pub fn answer_start(folder: &Path, refusal: Option<&str>) -> io::Result<()> {
    let unseen = folder.join("answer.new");
    fs::write(&unseen, refusal.map(messenger::rendered).unwrap_or_default())?;
    fs::set_permissions(&unseen, Permissions::from_mode(0o644))?;
    fs::rename(unseen, answer(folder))
}

/// Asks whether the job may run, and waits for the answer: an empty one lets it begin, any other is its
/// end. `sleep` and `cat` are all that it takes from the image.
fn ask(pipe: &Path, answer: &Path, within: Duration) -> String {
    let (pipe, answer, looks) = (quoted(pipe), quoted(answer), within.as_secs() * LOOKS_PER_SECOND);
    format!(
        "{{ echo \"{ASKS} ${{GITHUB_RUN_ID:-0}} ${{GITHUB_RUN_ATTEMPT:-0}}\" 1<>{pipe}; }} 2>/dev/null || true\n\
         looks=0\n\
         until [ -e {answer} ]; do\n\
         looks=$((looks + 1))\n\
         if [ \"$looks\" -gt {looks} ]; then cat <<'END'\n{NOBODY_ANSWERS}END\nexit 1; fi\n\
         sleep 0.05\n\
         done\n\
         if [ -s {answer} ]; then cat {answer}; exit 1; fi\n"
    )
}

/// What the script before a job asks. What it cannot tell is a run that there is not.
fn asked(line: &[u8]) -> Option<Event> {
    let text = std::str::from_utf8(line).ok()?;
    let mut words = text.strip_prefix(ASKS)?.split_whitespace();
    let run = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
    let attempt = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
    Some(Event::JobAsks {
        run: RunId(run),
        attempt: RunAttempt(attempt),
    })
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
                if let Some(event) = asked(line.trim_ascii_end()) {
                    return Ok(Some(event));
                }
                match line.trim_ascii_end() {
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
    use std::process::{Child, Command, Output, Stdio};

    use super::*;

    const RUN: Event = Event::JobAsks {
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

    fn said(output: &Output) -> String {
        String::from_utf8(output.stdout.clone()).unwrap()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_hook_is_heard_and_noise_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("it's here");
        let (scripts, mut words) = install(&folder, None, None).unwrap();
        assert_eq!(words.take().unwrap(), None);
        fs::write(folder.join("jobs"), format!("\nhello\n{}\n", "x".repeat(1000))).unwrap();
        let begins = hook(&scripts.started);
        assert_eq!(words.next().await.unwrap(), RUN);
        answer_start(&folder, None).unwrap();
        let output = begins.wait_with_output().unwrap();
        assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
        assert!(hook(&scripts.completed).wait().unwrap().success());
        assert_eq!(words.next().await.unwrap(), Event::JobFinished);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_job_waits_for_its_answer_and_fails_with_a_refusal_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (scripts, mut words) = install(folder.path(), None, None).unwrap();
        let mut begins = hook(&scripts.started);
        assert_eq!(words.next().await.unwrap(), RUN);
        std::thread::sleep(Duration::from_millis(200));
        assert!(begins.try_wait().unwrap().is_none(), "nobody has answered yet");
        answer_start(
            folder.path(),
            Some("It comes from a fork: 100%.\n$(touch ran)\n::add-mask::a"),
        )
        .unwrap();
        let output = begins.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = said(&output);
        assert!(
            said.starts_with("::error::It comes from a fork: 100%25.\n::stop-commands::"),
            "{said}"
        );
        assert!(said.contains("\n$(touch ran)\n::add-mask::a\n"), "{said}");
        assert!(!folder.path().join("ran").exists());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_answer_to_an_earlier_runner_is_none_to_the_next() {
        let folder = tempfile::tempdir().unwrap();
        answer_start(folder.path(), None).unwrap();
        install(folder.path(), None, None).unwrap();
        assert!(!answer(folder.path()).exists());
    }

    #[test]
    fn a_job_that_nobody_answers_for_fails_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("ask.sh");
        let text = ask(
            &folder.path().join("jobs"),
            &answer(folder.path()),
            Duration::from_secs(1),
        );
        fs::write(&script, text).unwrap();
        let output = hook(&script).wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), said(&output).as_str()),
            (Some(1), NOBODY_ANSWERS)
        );
    }

    #[test]
    fn a_hook_that_does_not_know_its_run_asks_for_one_that_there_is_not() {
        let nothing = Event::JobAsks {
            run: RunId(0),
            attempt: RunAttempt(0),
        };
        for line in [
            "asks",
            "asks ",
            "asks 0 0",
            "asks x y",
            "asks 99999999999999999999999 1e9",
        ] {
            assert_eq!(asked(line.as_bytes()), Some(nothing.clone()), "{line}");
        }
        assert_eq!(asked(b"asks 22 3"), Some(RUN));
        assert_eq!(asked(b"finished"), None);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_completed_hook_without_an_agent_neither_fails_nor_waits() {
        let folder = tempfile::tempdir().unwrap();
        let (scripts, words) = install(folder.path(), None, None).unwrap();
        drop(words);
        assert!(hook(&scripts.completed).wait().unwrap().success());
        fs::remove_file(folder.path().join("jobs")).unwrap();
        assert!(hook(&scripts.completed).wait().unwrap().success());
    }
}
