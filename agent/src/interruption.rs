//! The repository's `on_interruption` hook as a process: a last chance to save what the job has done.
//!
//! It is the job's own code and gets what the job has: its user, the environment of its hooks, its
//! workspace. What it says goes to the agent's log, and into the log of the step that runs.

use std::io;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use crate::account::{self, Account};
use crate::machine::Event;
use crate::script::{Ended, Script, read_lines, write_private};
use crate::settings::Settings;
use crate::{hooks, log};

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

/// Starts the hook `text`, beside the process `step` of the job. How it ends goes to `events`.
///
/// # Errors
/// The user is unknown, the hook cannot be written, or bash does not start.
pub(crate) fn start(
    settings: &Settings,
    text: &str,
    told: &Told,
    step: Option<i32>,
    events: UnboundedSender<Event>,
) -> io::Result<Script> {
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
    let (script, child) = Script::start(&mut command)?;
    tokio::spawn(watch(script, child, events));
    Ok(script)
}

async fn watch(script: Script, mut child: Child, events: UnboundedSender<Event>) {
    let output = child.stdout.take().map(relay);
    let errors = child.stderr.take().map(relay);
    let ended = Ended::of(child, [output, errors]).await;
    script.kill_group();
    // A receiver that is gone means that the agent ends: nobody is left to be told.
    drop(events.send(Event::HookEnded(ended.words())));
}

fn relay(output: impl AsyncRead + Unpin + Send + 'static) -> JoinHandle<()> {
    let mut count = 0;
    read_lines(output, LONGEST_LINE, move |line| {
        count += 1;
        if count <= MOST_LINES {
            log::info("hook_output", &line, &[]);
        }
    })
}
