//! Ctrl-C, heard where it does no harm.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A wish to stop. From when it is made, Ctrl-C no longer ends the process by itself.
pub(crate) struct Stop {
    wish: Pin<Box<dyn Future<Output = ()>>>,
    come: bool,
}

impl Stop {
    /// Ctrl-C.
    pub(crate) fn on_ctrl_c() -> Self {
        Self::on(async {
            if tokio::signal::ctrl_c().await.is_err() {
                // It cannot be heard, so it ends the process as it always does.
                std::future::pending::<()>().await;
            }
        })
    }

    pub(crate) fn on(wish: impl Future<Output = ()> + 'static) -> Self {
        Self {
            wish: Box::pin(wish),
            come: false,
        }
    }

    /// Whether it has come. The first time, this is when it begins to be heard.
    pub(crate) async fn has_come(&mut self) -> bool {
        self.comes_within(Duration::ZERO).await
    }

    /// Waits for it, so long at most.
    pub(crate) async fn comes_within(&mut self, time: Duration) -> bool {
        // A future that has ended may not be asked again.
        self.come = self.come || tokio::time::timeout(time, &mut self.wish).await.is_ok();
        self.come
    }
}
