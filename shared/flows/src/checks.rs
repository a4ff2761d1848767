//! Check runs and stories that are due.

mod stories;

use dayfly_ports::Bus;
use dayfly_records::CheckRun;
use dayfly_records::event::{CheckRunDue, Event};

pub use stories::{load_stories, load_story, mark_stories_due, publish_story_now};

/// Publishes that a recorded check run is due. If that fails, the next sweep does it.
pub async fn publish_check_run_due<B: Bus>(bus: &B, check_run: &CheckRun) {
    let due = CheckRunDue {
        run: check_run.run,
        key: check_run.key,
    };
    if let Err(error) = bus.publish(&Event::CheckRunDue(due)).await {
        tracing::warn!(job = %check_run.key, %error, "the job's check run waits for the next sweep");
    }
}
