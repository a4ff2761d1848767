//! The processes of an instance: found by what they cannot easily shed.

use std::fs;
use std::time::Duration;

use dayfly_agent::processes::{self, Process};
use nix::sys::signal::Signal;

/// The variable that every process of an instance inherits. Its name is none of those that the
/// agent takes out of the runner's environment.
pub const MARK: &str = "INSTANCE_HOST_MARK";

/// Looks for left processes until there are none, this many times.
const LOOKS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// The processes that bear `mark`, and all that descend from one that does.
#[must_use]
pub fn of_instance(mark: &str) -> Vec<Process> {
    let all = processes::all();
    let own = std::process::id().cast_signed();
    let mut found: Vec<Process> = Vec::new();
    for process in &all {
        if process.pid != own && bears(process.pid, mark) {
            found.extend(processes::descendants(&all, process.pid));
            found.push(process.clone());
        }
    }
    found.sort_by_key(|process| process.pid);
    found.dedup();
    found
}

fn bears(pid: i32, mark: &str) -> bool {
    let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else {
        return false;
    };
    let wanted = format!("{MARK}={mark}");
    environment.split(|byte| *byte == 0).any(|variable| {
        // The mark of a host is the beginning of the marks of its instances.
        variable.starts_with(wanted.as_bytes())
    })
}

/// Kills them all, and looks again until none is left.
///
/// # Errors
/// Those that are left after two seconds.
pub async fn kill(mark: &str) -> Result<(), Vec<Process>> {
    for _ in 0..LOOKS {
        if kill_once(mark) == 0 {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(of_instance(mark))
}

/// Kills what a single look finds, and says how many those were.
pub fn kill_once(mark: &str) -> usize {
    let found = of_instance(mark);
    for process in &found {
        processes::signal(process.pid, Signal::SIGKILL);
    }
    found.len()
}
