//! The processes of an instance, found by a variable in their environment.

use std::fs;
use std::time::Duration;

use dayfly_agent::processes::{self, Process};
use nix::sys::signal::Signal;

/// The variable that every process of an instance inherits. The agent does not remove it from the runner's
/// environment.
pub const MARK: &str = "INSTANCE_HOST_MARK";

/// How often remaining processes are killed.
const MAX_PASSES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// Returns the processes with `mark` and their descendants.
#[must_use]
pub fn of_instance(mark: &str) -> Vec<Process> {
    let all = processes::all();
    let own = std::process::id().cast_signed();
    let mut found: Vec<Process> = Vec::new();
    for process in &all {
        if process.pid != own && has_mark(process.pid, mark) {
            found.extend(processes::descendants(&all, process.pid));
            found.push(process.clone());
        }
    }
    found.sort_by_key(|process| process.pid);
    found.dedup();
    found
}

fn has_mark(pid: i32, mark: &str) -> bool {
    let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else {
        return false;
    };
    let wanted = format!("{MARK}={mark}");
    environment.split(|byte| *byte == 0).any(|variable| {
        // A host's mark is the prefix of its instances' marks.
        variable.starts_with(wanted.as_bytes())
    })
}

/// Kills the processes with `mark` until none is left.
///
/// # Errors
/// Returns those that are left after two seconds.
pub async fn kill(mark: &str) -> Result<(), Vec<Process>> {
    for _ in 0..MAX_PASSES {
        if kill_once(mark) == 0 {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(of_instance(mark))
}

/// Kills the processes with `mark` once, and returns how many there were.
pub fn kill_once(mark: &str) -> usize {
    let found = of_instance(mark);
    for process in &found {
        processes::signal(process.pid, Signal::SIGKILL);
    }
    found.len()
}
