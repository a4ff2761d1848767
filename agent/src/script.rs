//! A script of the repository's as a process, in a process group of its own, until it has ended.

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

/// How long a script's last lines may take to come out of its pipe.
const LAST_LINES: Duration = Duration::from_millis(500);

/// A script that runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    pid: i32,
}

impl Script {
    /// Starts `command`, which leads a group of its own.
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

    /// Ends the script and what it started.
    pub(crate) fn kill(self) {
        processes::kill_descendants(self.pid);
        self.kill_group();
    }

    /// Ends what is left of the script's group.
    pub(crate) fn kill_group(self) {
        processes::signal(-self.pid, Signal::SIGKILL);
    }
}

/// How a script ended.
#[derive(Debug)]
pub(crate) struct Ended(io::Result<ExitStatus>);

impl Ended {
    /// Waits for the script's end, and for the last of what it says.
    pub(crate) async fn of(mut child: Child, readers: [Option<JoinHandle<()>>; 2]) -> Self {
        let status = child.wait().await;
        for reader in readers.into_iter().flatten() {
            // What it left running may hold the pipe open, and is read for as long as it does.
            let _ = tokio::time::timeout(LAST_LINES, reader).await;
        }
        Self(status)
    }

    pub(crate) fn ok(&self) -> bool {
        self.0.as_ref().is_ok_and(ExitStatus::success)
    }

    pub(crate) fn words(&self) -> String {
        match &self.0 {
            Ok(status) => match status.code() {
                Some(code) => format!("exit status {code}"),
                None => "ended by a signal".to_owned(),
            },
            Err(error) => format!("lost: {error}"),
        }
    }
}

/// Reads all that a script says, and hands on its lines, of each as much as `longest` characters.
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

/// Writes a file for its owner alone, for it may hold what others need not read.
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
