//! A script of the repository as a process in its own process group, and helpers for shell scripts.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, chown};
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::processes;

/// How long a script's last lines are waited for after its end.
const LAST_LINES_PATIENCE: Duration = Duration::from_millis(500);

/// A running script.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    pid: i32,
}

impl Script {
    /// Starts `command`, which leads its own process group.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn start(command: &mut Command) -> io::Result<(Self, Child)> {
        let child = command.spawn()?;
        match child.id().map(u32::cast_signed) {
            Some(pid) => Ok((Self { pid }, child)),
            None => Err(io::Error::other("it ended before it began")),
        }
    }

    /// Kills the script and all its child processes.
    pub(crate) fn kill(self) {
        processes::kill_descendants(self.pid);
        self.kill_group();
    }

    /// Kills what is left of the script's process group.
    pub(crate) fn kill_group(self) {
        processes::signal(-self.pid, Signal::SIGKILL);
    }
}

/// How a script ended.
#[derive(Debug)]
pub(crate) struct ScriptEnd(io::Result<ExitStatus>);

impl ScriptEnd {
    /// Waits for the script's end and its last output.
    pub(crate) async fn wait(mut child: Child, readers: [Option<JoinHandle<()>>; 2]) -> Self {
        let status = child.wait().await;
        for reader in readers.into_iter().flatten() {
            // A process that it left running may hold the pipe open.
            let _ = tokio::time::timeout(LAST_LINES_PATIENCE, reader).await;
        }
        Self(status)
    }

    pub(crate) fn ok(&self) -> bool {
        self.0.as_ref().is_ok_and(ExitStatus::success)
    }

    pub(crate) fn describe(&self) -> String {
        match &self.0 {
            Ok(status) => match status.code() {
                Some(code) => format!("exit status {code}"),
                None => "ended by a signal".to_owned(),
            },
            Err(error) => format!("lost: {error}"),
        }
    }
}

/// Reads a script's output and calls `each` with every line, cut to `longest` characters.
pub(crate) fn read_lines(
    output: impl AsyncRead + Unpin + Send + 'static,
    longest: usize,
    mut each: impl FnMut(String) + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            let line = String::from_utf8_lossy(&line);
            each(line.trim_end().chars().take(longest).collect());
        }
    })
}

/// Writes a file that only its owner can read.
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

/// Quotes a path as one word of a shell script.
pub(crate) fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
