//! Looks at all parts of a lab at once and prints the timeline as it happens.

use std::io::{IsTerminal, Write};
use std::time::Instant;

use anyhow::bail;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use dayfly_host::Reported;
use dayfly_twin::TwinEvent;

use crate::ec2_proxy::Launch;
use crate::lab::Lab;
use crate::timeline::{Kind, Line, Sight, Timeline};

/// A look at a lab, from the moment it was made.
#[derive(Debug)]
pub struct Watch {
    twin: broadcast::Receiver<TwinEvent>,
    instances: broadcast::Receiver<Reported>,
    launches: broadcast::Receiver<Launch>,
    timeline: Timeline,
    clock: Instant,
    colour: bool,
}

impl Watch {
    /// Looks at `lab` from now on. Colours are for terminals only.
    #[must_use]
    pub fn new(lab: &Lab) -> Self {
        Self {
            twin: lab.twin().events(),
            instances: lab.host().events(),
            launches: lab.ec2().launches(),
            timeline: Timeline::default(),
            clock: Instant::now(),
            colour: std::io::stdout().is_terminal(),
        }
    }

    /// The next thing that happens. Dropping it before it comes loses nothing.
    ///
    /// # Errors
    /// When a part of the lab has ended.
    pub async fn next(&mut self) -> anyhow::Result<Sight> {
        loop {
            let sight = tokio::select! {
                event = self.twin.recv() => event.map(Sight::Twin),
                event = self.instances.recv() => event.map(Sight::Instance),
                launch = self.launches.recv() => launch.map(Sight::Launch),
            };
            match sight {
                Ok(sight) => return Ok(sight),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => bail!("a part of the lab has ended"),
            }
        }
    }

    /// Prints the line for what was seen, if it is worth one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn print(&mut self, sight: &Sight, out: &mut impl Write) -> std::io::Result<()> {
        match self.timeline.see(sight, self.clock.elapsed()) {
            Some(line) => writeln!(out, "{}", coloured(&line, self.colour)),
            None => Ok(()),
        }
    }
}

/// The line with a colour of its kind.
fn coloured(line: &Line, colour: bool) -> String {
    let code = match line.kind {
        _ if !colour => return line.to_string(),
        Kind::Stage => "36",
        Kind::Output => "2",
        Kind::Trouble => "31",
    };
    format!("\u{1b}[{code}m{line}\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn colours_are_for_terminals_only() {
        let line = Line {
            at: Duration::ZERO,
            kind: Kind::Trouble,
            stage: "trouble",
            text: "x".into(),
        };
        assert!(!coloured(&line, false).contains('\u{1b}'));
        assert!(coloured(&line, true).starts_with("\u{1b}[31m"));
    }
}
