//! The progress of very many jobs, in numbers.

use std::io::Write;
use std::time::{Duration, Instant};

use dayfly_twin::Status;

use crate::scenario::Story;

/// Prints the progress of a run's jobs whenever it has changed.
#[derive(Debug)]
pub struct Progress {
    start: Instant,
    last: Option<Counts>,
}

/// The number of jobs in each state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    queued: usize,
    calls: usize,
    launched: usize,
    registered: usize,
    running: usize,
    done: usize,
    alive: usize,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            last: None,
        }
    }
}

impl Progress {
    /// Prints a line, if something changed.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn print(&mut self, story: &Story<'_>, out: &mut impl Write) -> std::io::Result<()> {
        let now = counts(story);
        if self.last == Some(now) {
            return Ok(());
        }
        if self.last.is_none() {
            writeln!(
                out,
                "{:>8}  {:>6} {:>13} {:>9} {:>10} {:>7} {:>5} {:>10}",
                "", "queued", "CreateFleet", "launched", "registered", "running", "done", "instances"
            )?;
        }
        self.last = Some(now);
        writeln!(
            out,
            "{}  {:>6} {:>13} {:>9} {:>10} {:>7} {:>5} {:>10}",
            seconds(self.start.elapsed()),
            now.queued,
            now.calls,
            now.launched,
            now.registered,
            now.running,
            now.done,
            now.alive
        )
    }
}

fn seconds(time: Duration) -> String {
    format!("{:6.1} s", time.as_secs_f64())
}

fn counts(story: &Story<'_>) -> Counts {
    let jobs = story.jobs(1);
    let that_are = |status: Status| jobs.iter().filter(|job| job.status == status).count();
    let hosted = story.lab.host().instances();
    Counts {
        queued: that_are(Status::Queued),
        calls: story.lab.ec2().count("CreateFleet"),
        launched: story.launches.len(),
        registered: story.lab.twin().inspect(|state| state.runners().count()),
        running: that_are(Status::InProgress),
        done: that_are(Status::Completed),
        alive: hosted.iter().filter(|instance| instance.ending.is_none()).count(),
    }
}
