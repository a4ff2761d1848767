//! Watches all parts of a lab at once and prints the timeline as it happens.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;

use dayfly_host::InstanceEvent;
use dayfly_twin::TwinEvent;

use crate::aws::Aws;
use crate::ec2_proxy::{Launch, Shortage};
use crate::healing::HEALERS;
use crate::lab::Lab;
use crate::timeline::{Kind, Line, Observation, Timeline};

/// How often the functions' logs are read.
const READ_LOGS: Duration = Duration::from_millis(200);

/// A watch of a lab, from its creation on.
#[derive(Debug)]
pub struct Watch {
    twin: broadcast::Receiver<TwinEvent>,
    instances: broadcast::Receiver<InstanceEvent>,
    launches: broadcast::Receiver<Launch>,
    shortages: broadcast::Receiver<Shortage>,
    logs: Logs,
    shown: BTreeSet<&'static str>,
    timeline: Timeline,
    clock: Instant,
    colour: bool,
}

impl Watch {
    /// Watches `lab` from now on. Colours are for terminals only.
    #[must_use]
    pub fn new(lab: &Lab) -> Self {
        Self::with(lab, Logs::read(lab))
    }

    /// The same without the functions' logs, which are read repeatedly and may be long.
    #[must_use]
    pub fn without_logs(lab: &Lab) -> Self {
        Self::with(lab, Logs::none())
    }

    fn with(lab: &Lab, logs: Logs) -> Self {
        Self {
            twin: lab.twin().events(),
            instances: lab.host().events(),
            launches: lab.ec2().launches(),
            shortages: lab.ec2().shortages(),
            logs,
            shown: BTreeSet::new(),
            timeline: Timeline::default(),
            clock: Instant::now(),
            colour: std::io::stdout().is_terminal(),
        }
    }

    /// Returns the next event. Cancel safe.
    ///
    /// # Errors
    /// If a part of the lab has ended.
    pub async fn next(&mut self) -> anyhow::Result<Observation> {
        loop {
            let observation = tokio::select! {
                event = self.twin.recv() => event.map(Observation::Twin),
                event = self.instances.recv() => event.map(Observation::Instance),
                launch = self.launches.recv() => launch.map(Observation::Launch),
                shortage = self.shortages.recv() => shortage.map(Observation::Shortage),
                line = self.logs.next() => line.map(Observation::Log),
            };
            match observation {
                Ok(observation) => return Ok(observation),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => bail!("a part of the lab has ended"),
            }
        }
    }

    /// Prints the line for an observation, if it is worth one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn print(&mut self, observation: &Observation, out: &mut impl Write) -> std::io::Result<()> {
        match self.timeline.see(observation, self.clock.elapsed()) {
            Some(line) => {
                self.shown.insert(line.stage);
                writeln!(out, "{}", coloured(&line, self.colour))
            }
            None => Ok(()),
        }
    }

    /// Whether a line of this stage was printed.
    #[must_use]
    pub fn has_shown(&self, stage: &str) -> bool {
        self.shown.contains(stage)
    }
}

/// The log lines of functions that repair.
#[derive(Debug)]
struct Logs {
    lines: mpsc::UnboundedReceiver<Value>,
    reader: Option<JoinHandle<()>>,
}

impl Logs {
    fn none() -> Self {
        Self {
            lines: mpsc::unbounded_channel().1,
            reader: None,
        }
    }

    async fn next(&mut self) -> Result<Value, RecvError> {
        if self.reader.is_none() {
            std::future::pending::<()>().await;
        }
        self.lines.recv().await.ok_or(RecvError::Closed)
    }

    fn read(lab: &Lab) -> Self {
        let (sender, lines) = mpsc::unbounded_channel();
        let groups = HEALERS
            .into_iter()
            .filter_map(|function| lab.cloud().log_group(function).ok());
        let groups = groups.map(|group| (group.to_owned(), 0)).collect();
        let reader = tokio::spawn(read_forever(lab.aws().clone(), groups, sender));
        Self {
            lines,
            reader: Some(reader),
        }
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            reader.abort();
        }
    }
}

/// Reads log groups repeatedly, each from the line count on that was read before.
async fn read_forever(aws: Aws, mut groups: Vec<(String, usize)>, sender: mpsc::UnboundedSender<Value>) {
    loop {
        for (group, read) in &mut groups {
            // What cannot be read now is read the next time.
            let lines = aws.log_lines(group).await.unwrap_or_default();
            for line in lines.iter().skip(*read) {
                // Lambda's own lines are not JSON.
                if let Ok(value) = serde_json::from_str(line) {
                    drop(sender.send(value));
                }
            }
            *read = lines.len().max(*read);
        }
        tokio::time::sleep(READ_LOGS).await;
    }
}

/// The maximum width of a line of a job's output.
const WIDTH: usize = 160;

/// Returns the line in the colour of its kind.
fn coloured(line: &Line, colour: bool) -> String {
    let mut text = line.to_string();
    if line.kind == Kind::Output && text.chars().count() > WIDTH {
        text = text.chars().take(WIDTH - 1).chain(['…']).collect();
    }
    let code = match line.kind {
        _ if !colour => return text,
        Kind::Stage => "36",
        Kind::Output => "2",
        Kind::Problem => "31",
        Kind::Healing => "32",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn colours_are_for_terminals_only() {
        let line = Line {
            at: Duration::ZERO,
            kind: Kind::Problem,
            stage: "trouble",
            text: "x".into(),
        };
        assert!(!coloured(&line, false).contains('\u{1b}'));
        assert!(coloured(&line, true).starts_with("\u{1b}[31m"));
    }
}
