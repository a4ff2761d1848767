//! A script of a job as a process, with its output line by line.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;

use dayfly_agent::processes;
use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

/// A running script.
pub struct Script {
    child: Child,
}

/// What a script says, on both of its outputs, in order.
pub type Output = Lines<BufReader<pipe::Receiver>>;

impl Script {
    /// Runs `file` as GitHub runs a step: a bash that ends at the first failure, with no profile.
    /// It sees `variables` on top of the runner's own environment, less the runner's inputs.
    pub fn start(file: &Path, folder: &Path, variables: &BTreeMap<String, String>) -> io::Result<(Self, Output)> {
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new("bash");
        command
            .args(["--noprofile", "--norc", "-eo", "pipefail"])
            .arg(file)
            .current_dir(folder)
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            // Of its own, so that a step is killed whole.
            .process_group(0)
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ACTIONS_RUNNER_") {
                command.env_remove(name);
            }
        }
        let child = command.spawn()?;
        // The command holds the pipe's writing ends, and with them its end.
        drop(command);
        let reader = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
        Ok((Self { child }, BufReader::new(reader).lines()))
    }

    /// Waits for its end: whether it succeeded.
    pub async fn succeeded(&mut self) -> io::Result<bool> {
        Ok(self.child.wait().await?.success())
    }

    /// Kills it and all that it started.
    pub fn kill(&self) {
        if let Some(pid) = self.child.id().map(u32::cast_signed) {
            processes::kill_descendants(pid);
            processes::signal(-pid, Signal::SIGKILL);
        }
    }
}
