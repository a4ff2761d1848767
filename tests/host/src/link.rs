//! An instance's way out to one server, which can be cut.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A relay on a loopback port of its own.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    /// Ends with this value, and every connection with it.
    _relay: JoinSet<()>,
}

impl Link {
    /// Relays to `to` as long as `up` is true.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn open(to: SocketAddr, up: watch::Receiver<bool>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(relay(listener, to, up));
        Ok(Self { address, _relay: tasks })
    }

    /// Where the relay listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn relay(listener: TcpListener, to: SocketAddr, up: watch::Receiver<bool>) {
    // Dropped with this task, and its connections with it.
    let mut connections = JoinSet::new();
    while let Ok((inside, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        // A cut link accepts and hangs up: a timeout would only take longer to tell the same.
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
        // Ends when either side hangs up; how is of no interest to the other.
        _ = copy_bidirectional(&mut inside, &mut outside) => {}
        _ = up.wait_for(|up| !up) => {}
    }
}
