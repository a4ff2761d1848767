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

/// The lines of a script's stdout and stderr, in order.
pub type Output = Lines<BufReader<pipe::Receiver>>;

impl Script {
    /// Runs `file` as GitHub runs a step: in a bash without a profile that ends at the first failure. It gets
    /// `variables` and the runner's environment without the runner's inputs.
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
            // So that a step is killed with its child processes.
            .process_group(0)
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ACTIONS_RUNNER_") {
                command.env_remove(name);
            }
        }
        let child = command.spawn()?;
        // The command holds the pipe's writing ends, which would keep it open.
        drop(command);
        let reader = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
        Ok((Self { child }, BufReader::new(reader).lines()))
    }

    /// Waits for the script's end, and returns whether it succeeded.
    pub async fn succeeded(&mut self) -> io::Result<bool> {
        Ok(self.child.wait().await?.success())
    }

    /// Kills the script and its child processes.
    pub fn kill(&self) {
        if let Some(pid) = self.child.id().map(u32::cast_signed) {
            processes::kill_descendants(pid);
            processes::signal(-pid, Signal::SIGKILL);
        }
    }
}
