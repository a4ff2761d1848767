//! The process that outlives the worker.
//!
//! A panic hook or a destructor could power off after a panic, but not after SIGKILL, a stack overflow, an abort
//! in a library or the kernel's out-of-memory killer. A parent process can. It does little, so that little can
//! fail: it starts the worker, reaps, waits, kills what is left, says goodbye if the worker could not, and powers
//! off. If it is killed itself, the kernel sends the worker SIGTERM, and the worker powers off.

use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::settings::max_lifetime_or_default;
use crate::{log, poweroff, processes};

/// A worker that runs this much longer than the longest lifetime hangs.
const WORKER_GRACE: Duration = Duration::from_secs(120);
/// How long the goodbye for a lost worker may take.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(20);

/// Runs the worker, and powers off however it ends.
#[must_use]
pub fn run() -> ExitCode {
    let own_pid = std::process::id();
    // Processes that jobs leave behind become children of this one, so that they are found and killed.
    if let Err(error) = prctl::set_child_subreaper(true) {
        log::warn("no_subreaper", error.desc(), &[]);
    }
    let outcome = match start(&["work", &own_pid.to_string()]) {
        Ok(worker) => {
            let pid = worker.id().cast_signed();
            thread::spawn(move || {
                thread::sleep(max_lifetime_or_default() + WORKER_GRACE);
                log::error("worker_hangs", "killing the worker", &[]);
                processes::signal(pid, Signal::SIGKILL);
            });
            wait_for(pid)
        }
        Err(error) => Err(format!("the worker did not start: {error}")),
    };
    processes::kill_descendants(own_pid.cast_signed());
    if let Err(why) = outcome {
        log::error("worker_lost", &why, &[]);
        say_goodbye(&why);
    }
    poweroff::power_off();
    ExitCode::SUCCESS
}

fn start(arguments: &[&str]) -> std::io::Result<Child> {
    // The running program itself, even if its file was replaced or removed.
    Command::new("/proc/self/exe")
        .args(arguments)
        .stdin(Stdio::null())
        .spawn()
}

/// Reaps every child until the worker is among them.
fn wait_for(worker: i32) -> Result<(), String> {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid.as_raw() == worker => {
                return if code == 0 {
                    Ok(())
                } else {
                    Err(format!("exit status {code}"))
                };
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid.as_raw() == worker => {
                return Err(format!("ended by {signal}"));
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(format!("cannot wait for the worker: {}", error.desc())),
        }
    }
}

fn say_goodbye(why: &str) {
    let Ok(child) = start(&["goodbye", why]) else { return };
    let pid = Pid::from_raw(child.id().cast_signed());
    let start = Instant::now();
    while start.elapsed() < GOODBYE_PATIENCE {
        match waitpid(pid, Some(nix::sys::wait::WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => thread::sleep(Duration::from_millis(50)),
            _ => return,
        }
    }
    processes::signal(pid.as_raw(), Signal::SIGKILL);
}
