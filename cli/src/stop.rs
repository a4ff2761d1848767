//! Ctrl-C, handled where it does no harm.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A request to stop. Once it is awaited, Ctrl-C no longer ends the process.
pub(crate) struct StopRequest {
    request: Pin<Box<dyn Future<Output = ()>>>,
    is_requested: bool,
}

impl StopRequest {
    pub(crate) fn on_ctrl_c() -> Self {
        Self::on(async {
            if tokio::signal::ctrl_c().await.is_err() {
                // Without a handler it ends the process as usual.
                std::future::pending::<()>().await;
            }
        })
    }

    pub(crate) fn on(request: impl Future<Output = ()> + 'static) -> Self {
        Self {
            request: Box::pin(request),
            is_requested: false,
        }
    }

    /// Returns whether a stop was requested. The first call starts to handle Ctrl-C.
    pub(crate) async fn is_requested(&mut self) -> bool {
        self.requested_within(Duration::ZERO).await
    }

    /// Waits for a request for `time`, and returns whether it came.
    pub(crate) async fn requested_within(&mut self, time: Duration) -> bool {
        // A future that has ended must not be polled again.
        self.is_requested = self.is_requested || tokio::time::timeout(time, &mut self.request).await.is_ok();
        self.is_requested
    }
}
