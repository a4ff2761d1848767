//! Everything that the commands print goes through here.

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

/// Results on one side, for people and pipes; notes of what is being done on the other.
pub struct Output<'a> {
    results: &'a mut dyn Write,
    notes: &'a mut dyn Write,
}

impl<'a> Output<'a> {
    /// Results go to the first (standard output), notes to the second (standard error).
    pub fn new(results: &'a mut dyn Write, notes: &'a mut dyn Write) -> Self {
        Self { results, notes }
    }

    /// Prints a result.
    ///
    /// # Errors
    /// If nobody takes it.
    pub fn result(&mut self, text: impl fmt::Display) -> io::Result<()> {
        writeln!(self.results, "{text}")?;
        self.results.flush()
    }

    /// Prints a result for programs.
    ///
    /// # Errors
    /// If nobody takes it.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        self.result(text)
    }

    /// Says what is being done, so that nobody wonders while it takes its time.
    ///
    /// # Errors
    /// If they cannot be written, but for want of a reader: whoever wants no notes may want the results.
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

    /// Somebody who does not read.
    struct Nobody;

    impl Write for Nobody {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn results_that_nobody_reads_are_the_end_and_notes_are_not() {
        let (mut results, mut nobody) = (Vec::new(), Nobody);
        let mut output = Output::new(&mut results, &mut nobody);
        output.note("looking …").unwrap();
        output.result("found").unwrap();
        assert_eq!(results, b"found\n");
        let mut notes = Vec::new();
        let error = Output::new(&mut Nobody, &mut notes).result("found").unwrap_err();
        assert!(crate::Error::from(error).is_want_of_a_reader());
    }
}
