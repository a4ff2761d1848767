//! AWS on this machine: starts ministack with IAM enforced, and ends it with everything it started.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use tokio::process::{Child, Command};

use crate::process::Group;

/// The variable that overrides the Python with ministack, by default the checkout's own.
pub const PYTHON_VARIABLE: &str = "DAYFLY_MINISTACK_PYTHON";

/// Where `make` installs ministack, in the checkout.
const PYTHON_IN_CHECKOUT: &str = ".tools/venv/bin/python";

/// ministack extended with the parts of AWS that it lacks, in the checkout.
const PROGRAM_IN_CHECKOUT: &str = "tools/ministack_lab.py";

/// Runs ministack and ends its whole process group when our end of its standard input closes, so that
/// even a killed lab leaves nothing behind. Ended normally, it ends the functions' processes first and
/// waits for them, which ministack does not.
const LAUNCHER: &str = "\
import os, runpy, signal, sys, threading
def end_with_the_lab():
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=end_with_the_lab, daemon=True).start()
program = sys.argv.pop()
try:
    runpy.run_path(program, run_name='__main__')
finally:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass
";

/// How often a start is tried: another process may take the free port before ministack does.
const STARTS: usize = 3;

/// How long ministack may take to answer.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How long ministack may take to end by itself before its group is killed.
const END_WITHIN: Duration = Duration::from_secs(5);

const POLL: Duration = Duration::from_millis(50);

/// How often a dropped handle checks for the end of its processes.
const DROP_CHECKS: u32 = 40;

/// The settings of a start.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// The checkout, with ministack and its start program.
    pub checkout: &'a Path,
    /// The folder of all its files.
    pub scratch: &'a Path,
    pub region: &'a str,
    /// The length of a minute of `rate(n minutes)`.
    pub minute: Duration,
}

#[derive(Debug)]
pub struct Ministack {
    child: Child,
    group: Group,
    port: u16,
    log: PathBuf,
}

impl Ministack {
    /// Starts ministack and waits until it answers.
    ///
    /// # Errors
    /// If ministack is not installed (with the fix), does not start or does not answer.
    pub async fn start(settings: &Settings<'_>) -> anyhow::Result<Self> {
        let python = python(settings.checkout)?;
        for attempt in 1.. {
            let mut started = Self::spawn(&python, settings)?;
            match started.ready().await {
                Ok(()) => return Ok(started),
                Err(error) if attempt == STARTS => return Err(error),
                Err(error) => {
                    tracing::warn!("ministack did not start, trying again: {error:#}");
                    started.stop().await?;
                }
            }
        }
        unreachable!("the loop returns")
    }

    fn spawn(python: &Path, settings: &Settings<'_>) -> anyhow::Result<Self> {
        let scratch = settings.scratch;
        let port = free_port()?;
        let temporary = scratch.join("tmp");
        std::fs::create_dir_all(&temporary)?;
        let log = scratch.join("ministack.log");
        let out = std::fs::File::create(&log)?;
        let child = Command::new(python)
            .args(["-u", "-c", LAUNCHER])
            .arg(settings.checkout.join(PROGRAM_IN_CHECKOUT))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", scratch)
            .env("TMPDIR", &temporary)
            .env("STATE_DIR", scratch.join("state"))
            .env("S3_DATA_DIR", scratch.join("s3"))
            .env("AUTH", "true")
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("MINISTACK_HOST", "127.0.0.1")
            .env("MINISTACK_REGION", settings.region)
            .env("MINISTACK_RATE_UNIT", settings.minute.as_secs_f64().to_string())
            .env("AWS_DEFAULT_REGION", settings.region)
            // It would look for its containers in this machine's real Docker.
            .env("DOCKER_HOST", "unix:///nonexistent.sock")
            // The functions' endpoint for every AWS service.
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
            .env("SFTP_ENABLED", "0")
            .env("IOT_MTLS_ENABLED", "0")
            .stdin(Stdio::piped())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", python.display()))?;
        let group = child
            .id()
            .and_then(Group::of_leader)
            .context("ministack ended as it started")?;
        Ok(Self {
            child,
            group,
            port,
            log,
        })
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let url = format!("{}/_ministack/ready", self.endpoint());
        let client = reqwest::Client::builder().no_proxy().build()?;
        let wait = async {
            loop {
                if let Some(status) = self.child.try_wait()? {
                    bail!("ministack ended with {status}; its log says:\n{}", self.log_text()?);
                }
                if let Ok(answer) = client.get(&url).send().await
                    && answer.status().is_success()
                {
                    return Ok(());
                }
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(READY_WITHIN, wait)
            .await
            .unwrap_or_else(|_| bail!("ministack does not answer on port {}", self.port))
    }

    /// Returns the only address of all its services.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the processes of its group: ministack itself and its functions.
    #[must_use]
    pub fn processes(&self) -> Vec<(i32, String)> {
        self.group.members()
    }

    /// Returns everything that ministack itself logged so far.
    ///
    /// # Errors
    /// If the log file cannot be read.
    pub fn log_text(&self) -> io::Result<String> {
        // A function's crash may have written any bytes.
        Ok(String::from_utf8_lossy(&std::fs::read(&self.log)?).into_owned())
    }

    /// Ends ministack and every process it started.
    ///
    /// # Errors
    /// If one of its processes does not end.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // It may already have ended, which is fine.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _ = tokio::time::timeout(END_WITHIN, self.child.wait()).await;
        self.group.signal(Signal::SIGKILL)?;
        self.child.wait().await?;
        let gone = async {
            while !self.group.members().is_empty() {
                tokio::time::sleep(POLL).await;
            }
        };
        if tokio::time::timeout(END_WITHIN, gone).await.is_err() {
            bail!("processes of ministack are left: {:?}", self.group.members());
        }
        Ok(())
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        // `stop` was not called (after a panic, for example): the functions must not outlive the lab.
        if let Err(error) = self.group.signal(Signal::SIGKILL) {
            tracing::warn!("ministack's processes could not be ended: {error}");
        }
        // Its files may be removed next, so it must not write any more.
        for _ in 0..DROP_CHECKS {
            if self.group.members().is_empty() {
                break;
            }
            std::thread::sleep(POLL);
        }
    }
}

fn python(checkout: &Path) -> anyhow::Result<PathBuf> {
    let python = std::env::var_os(PYTHON_VARIABLE).map_or_else(|| checkout.join(PYTHON_IN_CHECKOUT), PathBuf::from);
    if python.exists() {
        Ok(python)
    } else {
        bail!(
            "ministack is not installed: `{}` is missing\n\nhelp: run `make tools`, or set \
             `{PYTHON_VARIABLE}` to a Python that has it",
            python.display()
        )
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_ministack_says_what_to_run() {
        let error = python(Path::new("/nonexistent"));
        if std::env::var_os(PYTHON_VARIABLE).is_none() {
            assert!(error.unwrap_err().to_string().contains("make tools"));
        }
    }
}
