//! The output of the commands, and the status with which they end.

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

/// Where a command prints its results, and its notes on progress.
pub struct Output<'a> {
    results: &'a mut dyn Write,
    notes: &'a mut dyn Write,
}

/// The status of a command that was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandStatus {
    Done,
    /// The output names something that a person has to look at.
    NeedsAttention,
}

impl CommandStatus {
    pub(crate) fn done_if(done: bool) -> Self {
        if done { Self::Done } else { Self::NeedsAttention }
    }
}

impl<'a> Output<'a> {
    /// Prints results to `results` (standard output) and notes to `notes` (standard error).
    pub fn new(results: &'a mut dyn Write, notes: &'a mut dyn Write) -> Self {
        Self { results, notes }
    }

    /// Prints a result.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn result(&mut self, text: impl fmt::Display) -> io::Result<()> {
        writeln!(self.results, "{text}")?;
        self.results.flush()
    }

    /// Prints a result as JSON.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        self.result(text)
    }

    /// Prints a note on progress.
    ///
    /// # Errors
    /// It cannot be written. A closed pipe is no error: the results may still be read.
    pub fn note(&mut self, text: impl fmt::Display) -> io::Result<()> {
        match writeln!(self.notes, "{text}") {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => done,
        }
    }
}

impl fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct ClosedPipe;

    impl Write for ClosedPipe {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn closed_pipe_is_an_error_for_results_and_not_for_notes() {
        let (mut results, mut closed) = (Vec::new(), ClosedPipe);
        let mut output = Output::new(&mut results, &mut closed);
        output.note("looking …").unwrap();
        output.result("found").unwrap();
        assert_eq!(results, b"found\n");
        let mut notes = Vec::new();
        let error = Output::new(&mut ClosedPipe, &mut notes).result("found").unwrap_err();
        assert!(crate::Error::from(error).is_closed_pipe());
    }
}
