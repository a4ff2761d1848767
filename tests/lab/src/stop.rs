//! Being asked to stop: Ctrl-C, or the system's word.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Hears, from its making on, that the program has to stop. Without it a signal ends the program
/// where it stands, and the lab's files stay.
#[derive(Debug)]
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the system gives no signals.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Comes when the program is asked to stop.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
