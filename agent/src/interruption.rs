//! The repository's `on_interruption` hook as a process: a last chance to save the job's work.
//!
//! It is the job's own code and runs with the job's user, its hooks' environment and its workspace. Its output
//! goes to the agent's log and to the log of the step that is running.

use std::io;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use crate::account::{self, Account};
use crate::machine::Event;
use crate::script::{Script, ScriptEnd, read_lines, write_private};
use crate::settings::Settings;
use crate::{hooks, log};

/// Loads the job's environment and workspace, then runs the hook. `$1` is the environment that the job's
/// started-hook saved, `$2` the hook, `$3` the process of the running step, if any, and `$4` to `$6` are the
/// values of [`InterruptionDetails`].
///
/// A step's output is a pipe to GitHub's runner, and its own user may write into it. `tee -p` goes on when the
/// step ends.
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
/// How many lines of a hook's output are logged; the rest is dropped.
const MAX_LINES: usize = 200;
/// Characters logged of each line.
const MAX_LINE_LENGTH: usize = 1000;

/// What the hook gets in its environment.
#[derive(Clone, Debug)]
pub struct InterruptionDetails {
    /// When EC2 takes the instance back, in EC2's spelling (RFC 3339).
    pub at: String,
    /// How long the hook may take.
    pub limit: Duration,
    pub runner: String,
}

/// Starts the hook `text` beside the job's process `step`. Its end goes to `events`.
///
/// # Errors
/// The user is unknown, the hook cannot be written, or bash does not start.
pub(crate) fn start(
    settings: &Settings,
    text: &str,
    details: &InterruptionDetails,
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
        .args([&details.at, &details.limit.as_secs().to_string(), &details.runner])
        .current_dir(&settings.runner_dir);
    account::confine(&mut command, account.as_ref());
    let (script, child) = Script::start(&mut command)?;
    tokio::spawn(watch(script, child, events));
    Ok(script)
}

async fn watch(script: Script, mut child: Child, events: UnboundedSender<Event>) {
    let output = child.stdout.take().map(relay);
    let errors = child.stderr.take().map(relay);
    let ended = ScriptEnd::wait(child, [output, errors]).await;
    script.kill_group();
    // A closed channel means that the agent is ending.
    drop(events.send(Event::HookEnded(ended.describe())));
}

fn relay(output: impl AsyncRead + Unpin + Send + 'static) -> JoinHandle<()> {
    let mut count = 0;
    read_lines(output, MAX_LINE_LENGTH, move |line| {
        count += 1;
        if count <= MAX_LINES {
            log::info("hook_output", &line, &[]);
        }
    })
}
