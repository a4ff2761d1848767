//! What is to be said on a commit is said at once, if the bus is there.

use dayfly_ports::Bus;
use dayfly_records::Notice;
use dayfly_records::event::{Event, NoticeDue};

/// Tells whoever says notices of one that was recorded. If that fails, the next sweep does it.
pub async fn announce<B: Bus>(bus: &B, notice: &Notice) {
    let due = NoticeDue {
        run: notice.run,
        key: notice.key,
    };
    if let Err(error) = bus.publish(&Event::NoticeDue(due)).await {
        tracing::warn!(job = %notice.key, %error, "what is to be said of the job waits for the next sweep");
    }
}
