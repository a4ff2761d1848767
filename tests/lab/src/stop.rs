//! Requests to stop: Ctrl-C, or a signal.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for a request to stop, from its creation on. Without it a signal would end the program at once
/// and leave the lab's files.
#[derive(Debug)]
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// Starts listening.
    ///
    /// # Errors
    /// If the system provides no signals.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits until the program is asked to stop.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
