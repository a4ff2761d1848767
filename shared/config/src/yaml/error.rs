//! The error of a file that cannot be used.

use std::fmt::Write as _;

use super::findings::{Finding, Severity};
use super::render::{RenderStyle, render_findings};

/// How many errors are shown to a job that cannot have its runner: its record and its log hold them.
const MAX_SHOWN: usize = 10;

/// A file that cannot be used, as a text for its author: each error with its line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown}")]
pub struct ConfigError {
    /// All findings, warnings too.
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
        let (first, rest) = errors.split_at(errors.len().min(MAX_SHOWN));
        let excerpts = render_findings(first.iter().copied(), text, RenderStyle::Plain);
        let mut shown = format!("`{file}` has {count}:\n\n{excerpts}");
        if !rest.is_empty() {
            let _ = write!(shown, "\n\nand {} more, which `dayfly validate` shows", rest.len());
        }
        Self { findings, shown }
    }
}
