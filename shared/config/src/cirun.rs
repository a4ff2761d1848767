//! Reads `.cirun.yml`, and an organisation's `.cirun.global.yml`.
//!
//! An entry is a fallback chain of launch options: the *i*-th values of its lists belong together, and a single
//! value holds for each option. An option that cannot be launched is skipped by name, and the next one is tried.
//!
//! <https://docs.cirun.io/reference/yaml>

pub mod access;
mod entry;

use std::collections::HashSet;
use std::rc::Rc;

use crate::actors::Actors;
use crate::checks::{names, warn_ignored};
use crate::config::{Config, Context, SkippedEntry};
use crate::spec::RunnerSpec;
use crate::yaml::{Fields, Findings, Node, Value, report_wrong_kind};

/// The repository of an organisation with its `.cirun.global.yml`.
pub const REPOSITORY: &str = ".cirun";

/// The file of an organisation with runners for all of its repositories.
///
/// <https://docs.cirun.io/reference/organization-runner-configuration>
pub const GLOBAL_PATH: &str = ".cirun.global.yml";

const KEYS: [&str; 3] = ["runners", "run_only_when_triggered_by", "setup_info"];

/// Reads a file, or returns `None` if it cannot be used at all.
pub(crate) fn config(root: &Rc<Node>, context: Context<'_>, findings: &mut Findings<'_>) -> Option<Config> {
    let fields = Fields::read(root, &KEYS, findings)?;
    let mut config = Config::default();
    if fields.has("run_only_when_triggered_by") {
        // If it were ignored when unreadable, users would launch who must not.
        let teams = fields.take("run_only_when_triggered_by", true, findings)?;
        config.actors = Actors::of(None, Some(names(teams)));
    }
    warn_ignored(
        &fields,
        &[("setup_info", "set up the image, or let the workflow do it")],
        findings,
    );
    let Some(entries) = fields.node("runners") else {
        findings.within("runners", |findings| {
            findings.error(fields.span, "the key `runners` is missing", None);
        });
        return None;
    };
    let Value::List(entries) = &entries.value else {
        findings.within("runners", |findings| report_wrong_kind(entries, "a list", findings));
        return None;
    };
    let mut names = HashSet::new();
    for (index, node) in entries.iter().enumerate() {
        if findings.has_enough_errors() {
            findings.omit();
            return None;
        }
        findings.within(format!("runners[{index}]"), |findings| {
            if let Some(entry) = entry::read(node, index, findings) {
                add_options(&mut config, entry, node, &mut names, context, findings);
            }
        });
    }
    Some(config)
}

/// Adds the launch options of an entry, each under a name of its own.
fn add_options(
    config: &mut Config,
    entry: entry::Entry,
    node: &Node,
    names: &mut HashSet<String>,
    context: Context<'_>,
    findings: &mut Findings<'_>,
) {
    let name = unique(&entry.name, names);
    for (index, option) in entry.options.into_iter().enumerate() {
        let name = match index {
            0 => name.clone(),
            _ => unique(&format!("{name}/{}", index + 1), names),
        };
        config.resources.insert(name.clone(), entry.name.clone());
        match option {
            Ok(spec) => {
                if spec.region.is_none() {
                    entry::warn_of_region(node.span, context, findings);
                }
                config.add_runner(RunnerSpec { name, ..spec }, node.span, context, findings);
            }
            Err(reason) => config.skipped.push(SkippedEntry {
                reason: format!("the runner `{name}` cannot be launched: {reason}"),
                name,
                labels: entry.labels.clone(),
            }),
        }
    }
}

impl Config {
    /// Adds the runners of an organisation's `.cirun.global.yml` after the repository's own. Its restriction to
    /// a team takes precedence, as with Cirun.
    pub(crate) fn with_global(mut self, global: Self) -> Self {
        let mut taken: HashSet<String> = self.names().map(str::to_owned).collect();
        // Access rules hold for the organisation's runners only.
        self.resources.clear();
        for runner in global.runners {
            let name = unique(&runner.name, &mut taken);
            if let Some(resource) = global.resources.get(&runner.name) {
                self.resources.insert(name.clone(), resource.clone());
            }
            self.runners.push(RunnerSpec { name, ..runner });
        }
        self.skipped.extend(global.skipped);
        self.actors = global.actors.or(self.actors);
        self
    }
}

/// Makes a name unique. Cirun allows several entries with one name.
fn unique(name: &str, names: &mut HashSet<String>) -> String {
    let mut unique = name.to_owned();
    let mut number = 1;
    while !names.insert(unique.clone()) {
        number += 1;
        unique = format!("{name}#{number}");
    }
    unique
}

#[cfg(test)]
mod tests;
