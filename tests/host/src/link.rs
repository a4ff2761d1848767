//! An instance's network link to one server, which can be cut.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A relay on its own loopback port.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    /// Dropping it ends the relay and its connections.
    _relay: JoinSet<()>,
}

impl Link {
    /// Relays to `to` as long as `up` is true.
    ///
    /// # Errors
    /// No port is free.
    pub async fn open(to: SocketAddr, up: watch::Receiver<bool>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(relay(listener, to, up));
        Ok(Self { address, _relay: tasks })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn relay(listener: TcpListener, to: SocketAddr, up: watch::Receiver<bool>) {
    // The connections end with this task.
    let mut connections = JoinSet::new();
    while let Ok((inside, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        // A cut link accepts and hangs up: a timeout would have the same effect, later.
        if *up.borrow() {
            connections.spawn(connect(inside, to, up.clone()));
        }
    }
}

async fn connect(mut inside: TcpStream, to: SocketAddr, mut up: watch::Receiver<bool>) {
    let Ok(mut outside) = TcpStream::connect(to).await else {
        return;
    };
    tokio::select! {
        // Ends when either side hangs up.
        _ = copy_bidirectional(&mut inside, &mut outside) => {}
        _ = up.wait_for(|up| !up) => {}
    }
}
