//! What must hold of every input that a stranger can send. A fuzzer looks for one that breaks it
//! (`make fuzz`); the tests run the corpus.
#![allow(
    clippy::missing_panics_doc,
    clippy::expect_used,
    reason = "to panic is how a fuzz target tells what it found"
)]

mod webhook;

use dayfly_config::cirun::{access as rules, migrate};
use dayfly_config::labels::{self, inline};
use dayfly_config::{Config, Look, rendered};

pub use crate::webhook::webhook;

/// A target: what is done with an input.
pub type Target = fn(&[u8]);

/// The targets, by the names of their folders in the corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("access", access),
    ("cirun", cirun),
    ("config", config),
    ("labels", inline_label),
    ("webhook", webhook),
];

/// A file that a repository has as its configuration: it is read, or what is wrong is said in words
/// that a check run can hold.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Config::parse(text) {
        Ok(config) => {
            for runner in &config.runners {
                let found = config.resolve(&runner.labels);
                let asks_for_something = labels::matches(&runner.labels, &runner.labels);
                assert!(
                    !asks_for_something || found.iter().any(|one| one.name == runner.name),
                    "`{}` is not found by its own labels",
                    runner.name
                );
            }
        }
        Err(error) => said(&error.to_string()),
    }
}

fn said(words: &str) {
    assert!(!words.trim().is_empty(), "nothing is said");
    assert!(words.len() < 65_535, "a check run holds 65,535 characters");
}

/// A file of Cirun's: it is written as one of ours that means the same, or what is wrong is said.
pub fn cirun(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let migrated = migrate(".cirun.yml", text);
    let Some(meant) = migrated.reading.config else {
        return said(&rendered(&migrated.reading.findings, text, Look::Plain));
    };
    for runner in &meant.runners {
        assert!(
            meant.resource(&runner.name).is_some(),
            "`{}` is of no entry",
            runner.name
        );
    }
    if let Some(written) = migrated.text {
        let read = Config::parse(&written).expect("what we write can be read");
        assert_eq!(read.runners, meant.runners, "{written}");
        assert_eq!(read.actors, meant.actors, "{written}");
    }
}

/// A file of rules: each is about a policy of it, or what is wrong is said.
pub fn access(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match rules::of_file(rules::PATH, text) {
        Ok(access) => {
            for rule in access.rules.values().flatten() {
                let whom = [&rule.users, &rule.teams];
                let narrow = whom.iter().any(|one| one.is_some()) || rule.writers || rule.unkept.is_some();
                assert!(narrow, "`{}` is for everybody", rule.id);
                assert!(!rule.whom().is_empty());
            }
        }
        Err(error) => said(&error.to_string()),
    }
}

/// A label of a job: it is read as what it says when it is written again, or what is wrong is said.
pub fn inline_label(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match inline::read(text) {
        Ok(asked) => {
            if let Ok(label) = asked.label() {
                assert_eq!(inline::read(label.as_str()).as_ref(), Ok(&asked), "`{label}`");
            }
        }
        Err(error) => assert!(!error.to_string().trim().is_empty(), "nothing is said"),
    }
}
