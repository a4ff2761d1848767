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
    /// If nobody takes it.
    pub fn note(&mut self, text: impl fmt::Display) -> io::Result<()> {
        writeln!(self.notes, "{text}")
    }
}

impl fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output")
    }
}
