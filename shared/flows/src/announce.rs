//! What is to be said on a commit is said at once, if the bus is there.

use dayfly_ports::Bus;
use dayfly_records::CheckRun;
use dayfly_records::event::{CheckRunDue, Event};

/// Tells whoever says check runs of one that was recorded. If that fails, the next sweep does it.
pub async fn announce<B: Bus>(bus: &B, check_run: &CheckRun) {
    let due = CheckRunDue {
        run: check_run.run,
        key: check_run.key,
    };
    if let Err(error) = bus.publish(&Event::CheckRunDue(due)).await {
        tracing::warn!(job = %check_run.key, %error, "what is to be said of the job waits for the next sweep");
    }
}
