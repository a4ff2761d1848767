//! `.cirun.yml`, and an organisation's `.cirun.global.yml`, as they are.
//!
//! An entry is a fallback chain of attempts: the *i*-th values of its lists belong together, and a single value is
//! that of each attempt. What cannot be launched is passed over by name, and the next is tried.
//!
//! <https://docs.cirun.io/reference/yaml>

pub mod access;
mod entry;
mod migrate;

use std::collections::HashSet;
use std::rc::Rc;

use super::finding::Findings;
use super::node::{Fields, wrong_kind};
use super::read::names;
use super::yaml::{Node, Value};
use super::{Actors, Config, Context, Passed, RunnerSpec};

pub use migrate::{Migrated, migrate};

/// The repository of an organisation that has its `.cirun.global.yml`.
pub const REPOSITORY: &str = ".cirun";

/// The file of an organisation whose runners all of its repositories have.
///
/// <https://docs.cirun.io/reference/organization-runner-configuration>
pub const GLOBAL_PATH: &str = ".cirun.global.yml";

/// What may stand in a file.
const KEYS: [&str; 3] = ["runners", "run_only_when_triggered_by", "setup_info"];

/// Reads a file. Nothing if it cannot be used at all.
pub(super) fn config(root: &Rc<Node>, context: Context<'_>, findings: &mut Findings<'_>) -> Option<Config> {
    let fields = Fields::of(root, &KEYS, findings)?;
    let mut config = Config::default();
    if fields.has("run_only_when_triggered_by") {
        // Left aside where it is not understood, it would let those launch who must not.
        let teams = fields.take("run_only_when_triggered_by", true, findings)?;
        config.actors = Actors::of(None, Some(names(teams)));
    }
    ignored(
        &fields,
        &[("setup_info", "have the image set up, or the workflow do it")],
        findings,
    );
    let Some(entries) = fields.node("runners") else {
        findings.within("runners", |findings| {
            findings.error(fields.span, "the key `runners` is missing", None);
        });
        return None;
    };
    let Value::List(entries) = &entries.value else {
        findings.within("runners", |findings| wrong_kind(entries, "a list", findings));
        return None;
    };
    let mut names = HashSet::new();
    for (index, node) in entries.iter().enumerate() {
        if findings.are_enough() {
            findings.leave_out();
            return None;
        }
        findings.within(format!("runners[{index}]"), |findings| {
            if let Some(entry) = entry::read(node, index, findings) {
                take(&mut config, entry, node, &mut names, context, findings);
            }
        });
    }
    Some(config)
}

/// Takes the attempts of an entry, each under a name of its own.
fn take(
    config: &mut Config,
    entry: entry::Entry,
    node: &Node,
    names: &mut HashSet<String>,
    context: Context<'_>,
    findings: &mut Findings<'_>,
) {
    let name = unique(&entry.name, names);
    for (index, attempt) in entry.attempts.into_iter().enumerate() {
        let name = match index {
            0 => name.clone(),
            _ => unique(&format!("{name}/{}", index + 1), names),
        };
        config.resources.insert(name.clone(), entry.name.clone());
        match attempt {
            Ok(spec) => {
                if spec.region.is_none() {
                    entry::look_at_region(node.span, context, findings);
                }
                config.take(Some(RunnerSpec { name, ..spec }), node.span, context, findings);
            }
            Err(why) => config.passed.push(Passed {
                why: format!("the runner `{name}` cannot be launched: {why}"),
                name,
                labels: entry.labels.clone(),
            }),
        }
    }
}

impl Config {
    /// With the runners of an organisation's `.cirun.global.yml` behind its own. What that says of whose
    /// jobs are taken goes first, as with Cirun.
    pub(super) fn with_global(mut self, global: Self) -> Self {
        let mut taken: HashSet<String> = self.names().map(str::to_owned).collect();
        // Its rules are for its own runners, and for no others.
        self.resources.clear();
        for runner in global.runners {
            let name = unique(&runner.name, &mut taken);
            if let Some(resource) = global.resources.get(&runner.name) {
                self.resources.insert(name.clone(), resource.clone());
            }
            self.runners.push(RunnerSpec { name, ..runner });
        }
        self.passed.extend(global.passed);
        self.actors = global.actors.or(self.actors);
        self
    }

    /// What the entry of a `.cirun.yml` is called that a runner comes from: several can come from one.
    #[must_use]
    pub fn resource(&self, runner: &str) -> Option<&str> {
        self.resources.get(runner).map(String::as_str)
    }
}

/// A name that no other has. Cirun does not mind two of a name.
fn unique(name: &str, names: &mut HashSet<String>) -> String {
    let mut unique = name.to_owned();
    let mut number = 1;
    while !names.insert(unique.clone()) {
        number += 1;
        unique = format!("{name}#{number}");
    }
    unique
}

/// Warns of keys that mean nothing here.
fn ignored(fields: &Fields<'_>, keys: &[(&str, &str)], findings: &mut Findings<'_>) {
    for (key, instead) in keys {
        if let Some(place) = fields.place(key) {
            findings.within(*key, |findings| {
                findings.warning(place, format!("`{key}` is ignored"), Some((*instead).to_owned()));
            });
        }
    }
}

#[cfg(test)]
mod tests;
