//! What is found in a file: each with its place, its cause and its mend, all of them at once.

use std::collections::HashSet;
use std::fmt::{self, Write as _};

use serde::Serialize;

use super::render::{self, Look};
use super::yaml::{Span, Unreadable};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The file, or the entry that it is in, cannot be used.
    Error,
    /// It can be used, but may not mean what its author thinks.
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

/// Something found in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file's path in the repository.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The character on it, from 1.
    pub column: usize,
    /// The key that it is about, with those that it lies in: `runners[0].disk.size`. Empty if it is
    /// about the file.
    pub key: String,
    /// What was found, and what is allowed.
    pub message: String,
    /// What to do, or the nearest right spelling.
    pub hint: Option<String>,
    /// Its bytes in the text.
    #[serde(skip)]
    pub(super) bytes: (usize, usize),
}

impl fmt::Display for Finding {
    /// On one line.
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

/// More findings than anybody reads at a time; what is counted besides says how many.
const MOST: usize = 50;

/// So many errors are told a job that cannot have its runner: its record and its log hold them.
const MOST_SHOWN: usize = 10;

/// Collects what is found while a file is read, and knows which key is being read.
#[derive(Debug)]
pub(super) struct Findings<'a> {
    file: &'a str,
    path: Vec<String>,
    found: Vec<Finding>,
    seen: HashSet<(usize, String)>,
    errors: usize,
    last: String,
    left_out: usize,
}

impl<'a> Findings<'a> {
    pub(super) fn new(file: &'a str) -> Self {
        Self {
            file,
            path: Vec::new(),
            found: Vec::new(),
            seen: HashSet::new(),
            errors: 0,
            last: String::new(),
            left_out: 0,
        }
    }

    /// Does something inside of a key, `name` or `[3]`.
    pub(super) fn within<T>(&mut self, key: impl Into<String>, act: impl FnOnce(&mut Self) -> T) -> T {
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

    /// The innermost key with a name; nothing for the file itself.
    pub(super) fn name(&self) -> Option<&str> {
        let named = self.path.iter().rev().find(|part| !part.starts_with('['));
        named.map(String::as_str)
    }

    /// Whether the innermost key is an item of a list.
    pub(super) fn is_in_list(&self) -> bool {
        self.path.last().is_some_and(|part| part.starts_with('['))
    }

    fn add(&mut self, severity: Severity, span: Span, message: String, hint: Option<String>) {
        self.last.clone_from(&message);
        // An alias brings the same finding once for each place that it stands in.
        if !self.seen.insert((span.start, message.clone())) {
            return;
        }
        self.errors += usize::from(severity == Severity::Error);
        if self.found.len() >= MOST {
            self.left_out += 1;
            // An error is worth more than a warning.
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

    pub(super) fn error(&mut self, span: Span, message: impl Into<String>, hint: Option<String>) {
        self.add(Severity::Error, span, message.into(), hint);
    }

    pub(super) fn warning(&mut self, span: Span, message: impl Into<String>, hint: Option<String>) {
        self.add(Severity::Warning, span, message.into(), hint);
    }

    pub(super) fn unreadable(&mut self, errors: Vec<Unreadable>) {
        for error in errors {
            self.error(error.span, error.what, error.hint);
        }
    }

    /// How many errors there are so far.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    /// What was found last.
    pub(super) fn last(&self) -> &str {
        &self.last
    }

    /// Counts something that is not worth its words.
    pub(super) fn leave_out(&mut self) {
        self.left_out += 1;
    }

    /// Whether so much is wrong that the rest need not be looked at.
    pub(super) fn are_enough(&self) -> bool {
        self.errors >= MOST
    }

    /// Whether so many were found that no more are looked at closely.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= MOST
    }

    /// What was found, in the order of the file.
    pub(super) fn finish(mut self) -> Vec<Finding> {
        self.found.sort_by_key(|finding| (finding.line, finding.column));
        if self.left_out > 0 {
            let severity = if self.errors > 0 {
                Severity::Error
            } else {
                Severity::Warning
            };
            let place = self
                .found
                .last()
                .map_or((1, 1, (0, 0)), |last| (last.line, last.column, last.bytes));
            self.found.push(Finding {
                severity,
                file: self.file.to_owned(),
                line: place.0,
                column: place.1,
                key: String::new(),
                message: format!(
                    "there are at least {} more findings, which are not shown",
                    self.left_out
                ),
                hint: Some("mend these first".to_owned()),
                bytes: place.2,
            });
        }
        self.found
    }
}

/// A file that cannot be used, in words for its author: each error with the line that it is on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown}")]
pub struct ConfigError {
    /// What was found, warnings too.
    pub findings: Vec<Finding>,
    shown: String,
}

impl ConfigError {
    pub(crate) fn new(findings: Vec<Finding>, text: &str) -> Self {
        let errors: Vec<&Finding> = findings.iter().filter(|one| one.severity == Severity::Error).collect();
        let file = errors.first().map_or("the file", |first| &first.file);
        let count = match errors.len() {
            1 => "an error".to_owned(),
            many => format!("{many} errors"),
        };
        let (first, rest) = errors.split_at(errors.len().min(MOST_SHOWN));
        let excerpts = render::all(first.iter().copied(), text, Look::Plain);
        let mut shown = format!("`{file}` has {count}:\n\n{excerpts}");
        if !rest.is_empty() {
            let _ = write!(shown, "\n\nand {} more, which `dayfly validate` shows", rest.len());
        }
        Self { findings, shown }
    }
}
