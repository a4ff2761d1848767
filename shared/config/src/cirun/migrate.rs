//! The `.dayfly.yml` that means the same as a `.cirun.yml`.

use std::fmt::Write as _;

use crate::{Config, Context, Reading, read, write};

/// What came of a file.
#[derive(Clone, Debug)]
pub struct Migrated {
    /// The `.dayfly.yml`; nothing if the file cannot be used, or nothing of it can.
    pub text: Option<String>,
    /// What was found in the file.
    pub reading: Reading,
}

/// Writes the `.dayfly.yml` that means the same as a file. What cannot be launched stands in it as a
/// comment that says why.
#[must_use]
pub fn migrate(path: &str, text: &str) -> Migrated {
    let reading = read(path, text, Context::default());
    let usable = reading.config.as_ref().filter(|config| !config.runners.is_empty());
    let text = usable.map(|config| with_comments(path, config));
    Migrated { text, reading }
}

fn with_comments(path: &str, config: &Config) -> String {
    let mut text = format!("# Means the same as {}.\n", line(path));
    for passed in &config.passed {
        // Writing to a string does not fail.
        let _ = writeln!(text, "# Left out, because {}.", line(&passed.why));
    }
    text + &write::file(config)
}

/// On one line, so that it stays a comment.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
