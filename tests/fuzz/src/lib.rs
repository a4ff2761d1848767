//! What must hold for every input that a stranger can send. `make fuzz` searches for one that breaks it; the tests
//! run the corpus.
#![allow(
    clippy::missing_panics_doc,
    clippy::expect_used,
    reason = "a fuzz target reports what it finds by a panic"
)]

mod webhook;

use dayfly_config::cirun::access as rules;
use dayfly_config::migrate::migrate;
use dayfly_config::{Config, RenderStyle, inline, labels, render_findings};

pub use crate::webhook::webhook;

/// A fuzz target.
pub type Target = fn(&[u8]);

/// The targets, by the names of their folders in the corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("access", access),
    ("cirun", cirun),
    ("config", config),
    ("labels", inline_label),
    ("webhook", webhook),
];

/// Reads a repository's configuration, or reports errors that fit into a check run.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Config::parse(text) {
        Ok(config) => {
            for runner in &config.runners {
                let found = config.resolve(&runner.labels);
                let has_labels = labels::matches(&runner.labels, &runner.labels);
                assert!(
                    !has_labels || found.iter().any(|one| one.name == runner.name),
                    "`{}` is not found by its own labels",
                    runner.name
                );
            }
        }
        Err(error) => check_message(&error.to_string()),
    }
}

fn check_message(text: &str) {
    assert!(!text.trim().is_empty(), "the message is empty");
    assert!(text.len() < 65_535, "a check run holds 65,535 characters");
}

/// Writes a file of Cirun as one of ours that means the same, or reports errors.
pub fn cirun(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let migrated = migrate(".cirun.yml", text);
    let Some(meant) = migrated.reading.config else {
        return check_message(&render_findings(&migrated.reading.findings, text, RenderStyle::Plain));
    };
    for runner in &meant.runners {
        assert!(
            meant.resource(&runner.name).is_some(),
            "`{}` comes from no entry",
            runner.name
        );
    }
    if let Some(written) = migrated.text {
        let read = Config::parse(&written).expect("what we write can be read");
        assert_eq!(read.runners, meant.runners, "{written}");
        assert_eq!(read.actors, meant.actors, "{written}");
    }
}

/// Reads access rules, none of which allows everybody, or reports errors.
pub fn access(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match rules::of_file(rules::PATH, text) {
        Ok(access) => {
            for rule in access.rules.values().flatten() {
                let lists = [&rule.users, &rule.teams];
                let is_restricted = lists.iter().any(|one| one.is_some()) || rule.writers || rule.unsupported.is_some();
                assert!(is_restricted, "`{}` allows everybody", rule.id);
                assert!(!rule.describe().is_empty());
            }
        }
        Err(error) => check_message(&error.to_string()),
    }
}

/// Reads a job's label, which reads the same when it is written again, or reports an error.
pub fn inline_label(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match inline::read(text) {
        Ok(spec) => {
            if let Ok(label) = spec.label() {
                assert_eq!(inline::read(label.as_str()).as_ref(), Ok(&spec), "`{label}`");
            }
        }
        Err(error) => assert!(!error.to_string().trim().is_empty(), "the message is empty"),
    }
}
