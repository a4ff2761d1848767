//! Findings: everything wrong with a file, each with its place, its cause and its remedy.

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;

use super::tree::{Span, SyntaxError};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The file, or the entry with the finding, cannot be used.
    Error,
    /// The file can be used, but may not mean what its author thinks.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Something wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    /// The file's path in the repository.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// The full path of the key: `runners[0].disk.size`. Empty for the file itself.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub message: String,
    /// What to do, or the nearest right spelling.
    pub hint: Option<String>,
    /// The byte range in the text.
    #[serde(skip)]
    pub(crate) bytes: (usize, usize),
}

impl fmt::Display for Finding {
    /// Writes the finding on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            severity,
            file,
            line,
            column,
            message,
            hint,
            ..
        } = self;
        write!(f, "{file}:{line}:{column}: {severity}: {message}")?;
        hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

/// How many findings are kept: more than anybody reads at a time. The rest is only counted.
const MAX_FINDINGS: usize = 50;

/// Collects findings while a file is read, and knows which key is being read.
#[derive(Debug)]
pub struct Findings<'a> {
    file: &'a str,
    path: Vec<String>,
    found: Vec<Finding>,
    reported: HashSet<(usize, String)>,
    errors: usize,
    last_message: String,
    omitted: usize,
}

impl<'a> Findings<'a> {
    #[must_use]
    pub fn new(file: &'a str) -> Self {
        Self {
            file,
            path: Vec::new(),
            found: Vec::new(),
            reported: HashSet::new(),
            errors: 0,
            last_message: String::new(),
            omitted: 0,
        }
    }

    /// Runs `act` with a key, `name` or `[3]`, added to the current path.
    pub fn within<T>(&mut self, key: impl Into<String>, act: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(key.into());
        let done = act(self);
        self.path.pop();
        done
    }

    fn key(&self) -> String {
        let mut key = String::new();
        for part in &self.path {
            if !key.is_empty() && !part.starts_with('[') {
                key.push('.');
            }
            key.push_str(part);
        }
        key
    }

    /// Returns the innermost named key, or `None` for the file itself.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let named = self.path.iter().rev().find(|part| !part.starts_with('['));
        named.map(String::as_str)
    }

    /// Returns whether the innermost key is an item of a list.
    #[must_use]
    pub fn is_in_list(&self) -> bool {
        self.path.last().is_some_and(|part| part.starts_with('['))
    }

    fn add(&mut self, severity: Severity, span: Span, message: String, hint: Option<String>) {
        self.last_message.clone_from(&message);
        // An alias repeats the same finding at each place where it stands.
        if !self.reported.insert((span.start, message.clone())) {
            return;
        }
        self.errors += usize::from(severity == Severity::Error);
        if self.found.len() >= MAX_FINDINGS {
            self.omitted += 1;
            // An error matters more than a warning.
            let warning = self.found.iter().rposition(|one| one.severity == Severity::Warning);
            match warning.filter(|_| severity == Severity::Error) {
                Some(index) => self.found.remove(index),
                None => return,
            };
        }
        self.found.push(Finding {
            severity,
            file: self.file.to_owned(),
            line: span.line,
            column: span.column,
            key: self.key(),
            message,
            hint,
            bytes: (span.start, span.end),
        });
    }

    pub fn error(&mut self, span: Span, message: impl Into<String>, hint: Option<String>) {
        self.add(Severity::Error, span, message.into(), hint);
    }

    pub fn warning(&mut self, span: Span, message: impl Into<String>, hint: Option<String>) {
        self.add(Severity::Warning, span, message.into(), hint);
    }

    pub fn syntax_errors(&mut self, errors: Vec<SyntaxError>) {
        for error in errors {
            self.error(error.span, error.message, error.hint);
        }
    }

    /// Returns the number of errors so far.
    #[must_use]
    pub fn error_count(&self) -> usize {
        self.errors
    }

    #[must_use]
    pub fn last_message(&self) -> &str {
        &self.last_message
    }

    /// Counts a finding without reporting it.
    pub fn omit(&mut self) {
        self.omitted += 1;
    }

    /// Returns whether there are so many errors that the rest of the file need not be read.
    #[must_use]
    pub fn has_enough_errors(&self) -> bool {
        self.errors >= MAX_FINDINGS
    }

    #[must_use]
    pub fn is_full(&self) -> bool {
        self.found.len() >= MAX_FINDINGS
    }

    /// Returns the findings in the order of the file.
    #[must_use]
    pub fn finish(mut self) -> Vec<Finding> {
        self.found.sort_by_key(|finding| (finding.line, finding.column));
        if self.omitted > 0 {
            let severity = if self.errors > 0 {
                Severity::Error
            } else {
                Severity::Warning
            };
            let (line, column, bytes) = self
                .found
                .last()
                .map_or((1, 1, (0, 0)), |last| (last.line, last.column, last.bytes));
            self.found.push(Finding {
                severity,
                file: self.file.to_owned(),
                line,
                column,
                key: String::new(),
                message: format!("there are at least {} more findings, which are not shown", self.omitted),
                hint: Some("fix these first".to_owned()),
                bytes,
            });
        }
        self.found
    }
}
