//! The power-off. EC2 terminates an instance that powers off, because of its launch template's
//! `InstanceInitiatedShutdownBehavior`.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::log;

/// A command to use instead of the default ones.
const VARIABLE: &str = "DAYFLY_POWEROFF";
/// Tried in this order. `--force` does not wait for services: every second is billed.
const DEFAULT_COMMANDS: [&str; 3] = ["systemctl poweroff --force", "poweroff -f", "/sbin/poweroff -f"];
/// How long after a successful command the next one is tried.
const PATIENCE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Powers off. Returns only after a configured command succeeded.
pub fn power_off() {
    let own = std::env::var(VARIABLE).ok().filter(|command| !command.is_empty());
    let commands: Vec<&str> = match &own {
        Some(command) => vec![command],
        None => DEFAULT_COMMANDS.to_vec(),
    };
    let mut pause = Duration::from_secs(1);
    loop {
        for command in &commands {
            if succeeds(command) {
                if own.is_some() {
                    return;
                }
                thread::sleep(PATIENCE);
            }
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn succeeds(command: &str) -> bool {
    log::info("power_off", "powering off", &[("command", command)]);
    let mut words = command.split_whitespace();
    let Some(program) = words.next() else { return false };
    let status = Command::new(program).args(words).stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => true,
        Ok(status) => {
            log::error("power_off_failed", &status.to_string(), &[("command", command)]);
            false
        }
        Err(error) => {
            log::error("power_off_failed", &error.to_string(), &[("command", command)]);
            false
        }
    }
}
