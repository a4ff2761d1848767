//! The hook of a messenger's runner: it fails the job before its first step, with the reason in the job's log.
//!
//! The reason is data. It is kept in a file and printed after `stop-commands`, so that nothing in it is a command
//! to the shell or to GitHub's runner. Commands stay stopped, since nothing of the job follows.
//!
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use dayfly_types::checkin::JobMessage;

use crate::script::quoted;

/// The log of a job that the messenger took instead of the one that was given up.
const MISTAKE: &str = "\
::error::This machine took the job by mistake. Nothing is wrong with it: it is run again.
The machine was launched to tell another job with the same labels why no runner can be had for it.
No step of this job has run.
";

/// Writes the texts to `folder` and returns the body of the script that GitHub's runner calls before its job.
/// `delivered` and `mistaken` are the shell commands that report to the agent which job it was.
///
/// # Errors
/// A file cannot be written.
pub fn install(folder: &Path, message: &JobMessage, delivered: &str, mistaken: &str) -> io::Result<String> {
    let (reason, mistake) = (folder.join("reason"), folder.join("mistake"));
    for (file, text) in [
        (&reason, &as_workflow_commands(&message.text)),
        (&mistake, &MISTAKE.to_owned()),
    ] {
        fs::write(file, text)?;
        fs::set_permissions(file, Permissions::from_mode(0o644))?;
    }
    let (run, attempt) = (message.run, message.attempt);
    let (reason, mistake) = (quoted(&reason), quoted(&mistake));
    Ok(format!(
        "if [ \"${{GITHUB_RUN_ID:-}}\" = '{run}' ] && [ \"${{GITHUB_RUN_ATTEMPT:-}}\" = '{attempt}' ]; then\n\
         {delivered}cat {reason}\nelse\n{mistaken}cat {mistake}\nfi\nexit 1\n"
    ))
}

/// Returns `text` for the job's log: its first line as an error of the job, the rest as plain lines.
pub(crate) fn as_workflow_commands(text: &str) -> String {
    let text = text.trim();
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let first = first.trim().replace('%', "%25").replace('\r', "%0D");
    if rest.is_empty() {
        return format!("::error::{first}\n");
    }
    let mut token = token();
    while text.contains(&token) {
        token = self::token();
    }
    format!("::error::{first}\n::stop-commands::{token}\n{rest}\n")
}

/// Returns a token that a text cannot guess.
fn token() -> String {
    format!("{:032x}", fastrand::u128(..))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use dayfly_types::ids::{RunAttempt, RunId};

    use super::*;

    const NASTY: &str =
        "No spot capacity: 100% gone\n$(touch ran) `touch ran` ' \" \\\n::add-mask::a\n::error::b\n##[error]c";

    /// Returns the script's output in a job of this run attempt, and its exit status.
    fn runs_in(run: &str, attempt: &str) -> (String, Option<i32>) {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("it's here");
        fs::create_dir(&folder).unwrap();
        let message = JobMessage {
            run: RunId(22),
            attempt: RunAttempt(3),
            text: NASTY.to_owned(),
        };
        let script = folder.join("started.sh");
        fs::write(
            &script,
            install(&folder, &message, "echo delivered\n", "echo mistaken\n").unwrap(),
        )
        .unwrap();
        let mut command = Command::new("sh");
        command.arg("-e").arg(&script).current_dir(&folder);
        let output = command
            .env("GITHUB_RUN_ID", run)
            .env("GITHUB_RUN_ATTEMPT", attempt)
            .output()
            .unwrap();
        assert!(!folder.join("ran").exists(), "the text was run");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
        (String::from_utf8(output.stdout).unwrap(), output.status.code())
    }

    #[test]
    fn given_up_job_fails_with_the_literal_reason() {
        let (stdout, code) = runs_in("22", "3");
        assert_eq!(code, Some(1));
        let lines: Vec<&str> = stdout.lines().collect();
        assert_eq!(lines[..2], ["delivered", "::error::No spot capacity: 100%25 gone"]);
        let token = lines[2].strip_prefix("::stop-commands::").unwrap();
        assert_eq!(token.len(), 32);
        let (_, rest) = NASTY.split_once('\n').unwrap();
        assert_eq!(lines[3..].join("\n"), rest);
    }

    #[test]
    fn another_job_fails_as_taken_by_mistake() {
        for (run, attempt) in [("22", "2"), ("23", "3"), ("", ""), ("22 -o 1", "3")] {
            let (stdout, code) = runs_in(run, attempt);
            assert_eq!(code, Some(1), "{run} {attempt}");
            assert_eq!(stdout, format!("mistaken\n{MISTAKE}"), "{run} {attempt}");
        }
    }

    #[test]
    fn each_message_has_its_own_token() {
        assert_ne!(as_workflow_commands("a\nb"), as_workflow_commands("a\nb"));
        assert_eq!(
            as_workflow_commands("a\n"),
            "::error::a\n",
            "there is no text to protect"
        );
    }
}
