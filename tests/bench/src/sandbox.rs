//! One execution environment: a function's process, started as Lambda starts it.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::process::{Child, Command};

use crate::runtime_api::{INVOCATION_LIMIT, Outcome, RuntimeApi, Signal};

/// How many of a process's last log lines an error quotes.
const QUOTED_LOG_LINES: usize = 12;

/// A deployed function.
#[derive(Clone, Debug)]
pub struct Function {
    /// Short name, as in the table: `webhook`.
    pub name: String,
    /// The binary that is `bootstrap` on Lambda.
    pub binary: PathBuf,
    /// The template's settings, besides Lambda's own.
    pub env: Vec<(&'static str, String)>,
}

/// The times of an invocation, and its result.
#[derive(Debug)]
pub struct Invoked {
    /// When the event was delivered to the process.
    pub handed_out: Instant,
    /// When the process had answered.
    pub answered: Instant,
    pub outcome: Outcome,
}

impl Invoked {
    /// Returns the time from the event's delivery to the answer.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.answered - self.handed_out
    }
}

/// A running process of a function. Dropping it kills the process; [`Sandbox::end`] also waits for
/// it.
pub struct Sandbox {
    name: String,
    api: RuntimeApi,
    process: Child,
    log: NamedTempFile,
    spawned: Instant,
    asked: Option<Instant>,
}

impl Sandbox {
    /// Spawns the function's binary with the environment of a Lambda function, and nothing else.
    ///
    /// # Errors
    /// When the binary cannot be started or no loopback port is free.
    pub async fn start(function: &Function) -> anyhow::Result<Self> {
        Self::start_with(function, RuntimeApi::start(&function.name).await?)
    }

    /// The same, with `event` waiting before the process starts, as on a cold start.
    ///
    /// # Errors
    /// As for [`Sandbox::start`], and if the process ends or does not answer.
    pub async fn start_cold(function: &Function, event: &Value) -> anyhow::Result<(Self, Invoked)> {
        let api = RuntimeApi::start(&function.name).await?;
        let request = api.push(event).to_string();
        let mut sandbox = Self::start_with(function, api)?;
        let invoked = sandbox.answer(&request).await?;
        Ok((sandbox, invoked))
    }

    fn start_with(function: &Function, api: RuntimeApi) -> anyhow::Result<Self> {
        let log = NamedTempFile::new().context("no temporary file for the function's log")?;
        let task_root = function.binary.parent().unwrap_or(&function.binary);
        let mut command = Command::new(&function.binary);
        command
            .env_clear()
            .envs(lambda_env(&function.name, &api.authority()))
            .env("LAMBDA_TASK_ROOT", task_root)
            .envs(function.env.iter().map(|(name, value)| (name, value)))
            .current_dir(task_root)
            .stdin(Stdio::null())
            .stdout(writer(&log)?)
            .stderr(writer(&log)?)
            .kill_on_drop(true);
        let spawned = Instant::now();
        let process = command
            .spawn()
            .with_context(|| format!("cannot start `{}`", function.binary.display()))?;
        Ok(Self {
            name: function.name.clone(),
            api,
            process,
            log,
            spawned,
            asked: None,
        })
    }

    /// Returns the time from the spawn to the first request for an event.
    #[must_use]
    pub fn init(&self) -> Option<Duration> {
        self.asked.map(|asked| asked - self.spawned)
    }

    /// Returns the time from the spawn to this moment.
    #[must_use]
    pub fn since_spawn(&self, moment: Instant) -> Duration {
        moment - self.spawned
    }

    /// Sends the function an event and waits for its answer.
    ///
    /// # Errors
    /// If the process ends, fails to initialise or does not answer in time. An error returned by the
    /// function is not an error of the invocation.
    pub async fn invoke(&mut self, event: &Value) -> anyhow::Result<Invoked> {
        let request = self.api.push(event).to_string();
        self.answer(&request).await
    }

    async fn answer(&mut self, request: &str) -> anyhow::Result<Invoked> {
        let mut handed_out = None;
        let limit = tokio::time::sleep(INVOCATION_LIMIT);
        tokio::pin!(limit);
        loop {
            let signal = tokio::select! {
                // Signals sent before the process ended come first.
                biased;
                signal = self.api.signal() => signal,
                status = self.process.wait() => {
                    bail!("`{}` ended ({}){}", self.name, status?, self.quote_log());
                }
                () = &mut limit => {
                    bail!("`{}` gave no answer in {INVOCATION_LIMIT:?}{}", self.name, self.quote_log());
                }
            };
            match signal.context("the emulator is gone")? {
                Signal::Next { at } => {
                    self.asked.get_or_insert(at);
                }
                Signal::HandedOut { request: id, at } if id.to_string() == request => {
                    handed_out = Some(at);
                }
                Signal::Answered {
                    request: id,
                    at,
                    outcome,
                } if id == request => {
                    let handed_out = handed_out.context("an answer to an event that was never handed out")?;
                    return Ok(Invoked {
                        handed_out,
                        answered: at,
                        outcome,
                    });
                }
                Signal::InitFailed(error) => {
                    bail!("`{}` failed to initialise: {error}{}", self.name, self.quote_log());
                }
                other @ (Signal::HandedOut { .. } | Signal::Answered { .. }) => {
                    bail!("`{}` mixed up its invocations: {other:?}", self.name);
                }
            }
        }
    }

    /// Returns the peak resident memory of the process, in bytes (`VmHWM`).
    ///
    /// # Errors
    /// If the process is gone or the kernel does not report it.
    pub fn peak_rss(&self) -> anyhow::Result<u64> {
        let id = self.process.id().context("the process is gone")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        peak_rss_of(&status).context("no VmHWM in the process's status")
    }

    /// Returns the end of the process's log, for an error message; empty without logs.
    #[must_use]
    pub fn quote_log(&self) -> String {
        let log = std::fs::read_to_string(self.log.path()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(QUOTED_LOG_LINES)..];
        tail.iter().fold(String::new(), |mut text, line| {
            text.push_str("\n    | ");
            text.push_str(line);
            text
        })
    }

    /// Kills the process and waits until it is gone.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub async fn end(mut self) -> anyhow::Result<()> {
        Ok(self.process.kill().await?)
    }
}

fn writer(log: &NamedTempFile) -> anyhow::Result<Stdio> {
    // Appending, because standard output and error share the file.
    let file = File::options()
        .append(true)
        .open(log.path())
        .context("cannot open the function's log")?;
    Ok(Stdio::from(file))
}

fn peak_rss_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Lambda's own variables on `provided.al2023`. Source: AWS, "Defined runtime environment variables".
fn lambda_env(name: &str, runtime_api: &str) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", name.to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}")),
        (
            "AWS_LAMBDA_LOG_STREAM_NAME",
            "2026/01/01/[$LATEST]00000000000000000000000000000000".to_owned(),
        ),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "ASIABENCHBENCHBENCH0".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "bench".to_owned()),
        ("AWS_SESSION_TOKEN", "bench".to_owned()),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime".to_owned()),
        ("_HANDLER", "bootstrap".to_owned()),
        ("LANG", "en_US.UTF-8".to_owned()),
        ("TZ", ":UTC".to_owned()),
        ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_rss_is_read_in_bytes() {
        let status = "Name:\tbootstrap\nVmPeak:\t  9000 kB\nVmHWM:\t    5120 kB\nVmRSS:\t 4000 kB\n";
        assert_eq!(peak_rss_of(status), Some(5_242_880));
    }

    #[test]
    fn a_status_without_a_peak_has_none() {
        assert_eq!(peak_rss_of("Name:\tbootstrap\n"), None);
    }
}
