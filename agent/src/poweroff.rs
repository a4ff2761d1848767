//! The end of the instance. EC2 terminates an instance that powers off, by its launch template's
//! `InstanceInitiatedShutdownBehavior`.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::log;

/// The command that takes the place of the usual ones.
const VARIABLE: &str = "DAYFLY_POWEROFF";
/// One after the other: the first that the system has and that works. `--force` does not wait
/// for services, since every second of waiting is billed.
const USUAL: [&str; 3] = ["systemctl poweroff --force", "poweroff -f", "/sbin/poweroff -f"];
/// A system that still runs this long after it agreed to power off is told again.
const PATIENCE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Powers off. Returns only after a command of the user's own succeeded.
pub fn power_off() {
    let own = std::env::var(VARIABLE).ok().filter(|command| !command.is_empty());
    let commands: Vec<&str> = match &own {
        Some(command) => vec![command],
        None => USUAL.to_vec(),
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
