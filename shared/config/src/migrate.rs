//! Writes a `.cirun.yml` as the `.dayfly.yml` with the same meaning.

use std::fmt::Write as _;

use crate::config::{Config, Context, Reading};
use crate::read::read;
use crate::write;

/// The result of migrating a file.
#[derive(Clone, Debug)]
pub struct Migrated {
    /// The `.dayfly.yml`; `None` if the file has no usable runner.
    pub text: Option<String>,
    /// What the original file means.
    pub reading: Reading,
}

/// Writes the `.dayfly.yml` with the same meaning as a file. An entry that cannot be launched becomes a comment
/// with the reason.
#[must_use]
pub fn migrate(path: &str, text: &str) -> Migrated {
    let reading = read(path, text, Context::default());
    let usable = reading.config.as_ref().filter(|config| !config.runners.is_empty());
    let text = usable.map(|config| with_comments(path, config));
    Migrated { text, reading }
}

fn with_comments(path: &str, config: &Config) -> String {
    let mut text = format!("# Means the same as {}.\n", line(path));
    for entry in &config.skipped {
        // Writing to a string does not fail.
        let _ = writeln!(text, "# Left out, because {}.", line(&entry.reason));
    }
    text + &write::file(config)
}

/// Puts a text on one line, so that it stays a comment.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
