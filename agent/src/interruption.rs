//! The repository's `on_interruption` hook as a process: a last chance to save what the job has done.
//!
//! It is the job's own code and gets what the job has: its user, the environment of its hooks, its
//! workspace. What it says goes to the agent's log, and into the log of the step that runs.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, chown};
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::UnboundedSender;

use crate::account::{self, Account};
use crate::machine::Event;
use crate::settings::Settings;
use crate::{hooks, log, processes};

/// Takes up the job's environment and workspace, then becomes the hook: `$1` the environment as the
/// job's started-hook left it, `$2` the hook, `$3` the process of the step that runs, if any, `$4` to
/// `$6` what the hook is told.
///
/// A step's output is a pipe to GitHub's runner, and its own user may write into it. `-p`: a step
/// that ends takes nothing with it.
const WRAPPER: &str = r#"
. "$1" 2>/dev/null
export DAYFLY_INTERRUPTION_AT=$4 DAYFLY_SECONDS_LEFT=$5 DAYFLY_RUNNER=$6
cd "${GITHUB_WORKSPACE:-.}" 2>/dev/null
if [ -n "$3" ] && [ -p "/proc/$3/fd/1" ]; then
  exec > >(exec tee -ap "/proc/$3/fd/1")
fi
exec 2>&1
echo "EC2 takes this machine back at $4. on_interruption has $5 s."
exec bash "$2"
"#;
/// So many lines of a hook go to the agent's log; the rest is read and dropped.
const MOST_LINES: usize = 200;
/// So much of a line does.
const LONGEST_LINE: usize = 1000;
/// How long a hook's last lines may take to come out of its pipe.
const LAST_LINES: Duration = Duration::from_millis(500);

/// What a hook is told.
#[derive(Clone, Debug)]
pub struct Told {
    /// When EC2 takes the instance back, in EC2's own spelling (RFC 3339).
    pub at: String,
    /// How long the hook may take.
    pub limit: Duration,
    /// The runner's name.
    pub runner: String,
}

/// A hook that runs.
#[derive(Debug)]
pub struct Hook {
    pid: i32,
}

impl Hook {
    /// Starts the hook `text`, beside the process `step` of the job. How it ends goes to `events`.
    ///
    /// # Errors
    /// The user is unknown, the hook cannot be written, or bash does not start.
    pub fn start(
        settings: &Settings,
        text: &str,
        told: &Told,
        step: Option<i32>,
        events: UnboundedSender<Event>,
    ) -> io::Result<Self> {
        let account = Account::find(settings.runner_user.as_deref())?;
        let file = settings.state_dir.join("on-interruption.sh");
        write_private(&file, text, account.as_ref().map(Account::owner))?;
        let mut command = Command::new("bash");
        command
            .args(["-c", WRAPPER, "on_interruption"])
            .arg(hooks::job_environment(&settings.state_dir))
            .arg(&file)
            .arg(step.map(|step| step.to_string()).unwrap_or_default())
            .args([&told.at, &told.limit.as_secs().to_string(), &told.runner])
            .current_dir(&settings.runner_dir);
        account::confine(&mut command, account.as_ref());
        let child = command.spawn()?;
        let Some(pid) = child.id().map(u32::cast_signed) else {
            return Err(io::Error::other("it ended before it began"));
        };
        tokio::spawn(watch(child, pid, events));
        Ok(Self { pid })
    }

    /// Ends the hook and what it started.
    pub fn kill(&self) {
        processes::kill_descendants(self.pid);
        processes::signal(-self.pid, Signal::SIGKILL);
    }
}

/// For its owner alone, for it may hold what others need not read.
pub(crate) fn write_private(file: &Path, text: &str, owner: Option<(u32, u32)>) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    open.write_all(text.as_bytes())?;
    match owner {
        Some((user, group)) => chown(file, Some(user), Some(group)),
        None => Ok(()),
    }
}

async fn watch(mut child: Child, pid: i32, events: UnboundedSender<Event>) {
    let output = child.stdout.take().map(|output| tokio::spawn(relay(output)));
    let errors = child.stderr.take().map(|output| tokio::spawn(relay(output)));
    let status = child.wait().await;
    for relay in [output, errors].into_iter().flatten() {
        // What it left running may hold the pipe open.
        let _ = tokio::time::timeout(LAST_LINES, relay).await;
    }
    processes::signal(-pid, Signal::SIGKILL);
    let words = match status {
        Ok(status) => match status.code() {
            Some(code) => format!("exit status {code}"),
            None => "ended by a signal".to_owned(),
        },
        Err(error) => format!("lost: {error}"),
    };
    // A receiver that is gone means that the agent ends: nobody is left to be told.
    drop(events.send(Event::HookEnded(words)));
}

async fn relay(output: impl AsyncRead + Unpin) {
    let mut lines = BufReader::new(output).split(b'\n');
    let mut count = 0;
    while let Ok(Some(line)) = lines.next_segment().await {
        count += 1;
        if count <= MOST_LINES {
            let line = String::from_utf8_lossy(&line);
            let line: String = line.trim_end().chars().take(LONGEST_LINE).collect();
            log::info("hook_output", &line, &[]);
        }
    }
}
