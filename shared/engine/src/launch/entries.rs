//! The runners that a job's labels stand for: an inline label, or entries of the repository's configuration.

use std::collections::BTreeMap;

use dayfly_config::inline::{self, InlineSpec, LabelError};
use dayfly_config::labels::Label;
use dayfly_config::machines::{NoMatch, Table};
use dayfly_config::{Config, GivingUp, NoImage, Reporting, RunnerSpec};
use dayfly_types::ids::Region;

/// The runners that a job's labels stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// The entries in the order of their tries, with their machine types.
    pub specs: Vec<RunnerSpec>,
    pub giving_up: GivingUp,
    pub reporting: Reporting,
    /// Why other entries with these labels are passed over.
    pub passed: Vec<String>,
}

/// Why none of the runners that a job's labels stand for can launch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEntry {
    #[error(transparent)]
    Unreadable(#[from] LabelError),
    #[error(
        "`{label}` asks for the region {asked}, and this stack launches in {region}: leave `region=` out, or deploy a stack there"
    )]
    Elsewhere {
        label: Label,
        asked: String,
        region: Region,
    },
    #[error("`{label}` cannot be served: {why}")]
    CannotServe { label: Label, why: String },
    #[error("no runner of the configuration that has the job's labels can be launched: {0}")]
    AllPassed(String),
    /// The table of machine types cannot be read, which a test rules out.
    #[error("{0}")]
    NoTable(String),
}

/// Returns the inline label among a job's labels, if there is one.
///
/// # Errors
/// It cannot be read.
pub fn inline(labels: &[Label]) -> Result<Option<(&Label, InlineSpec)>, NoEntry> {
    Ok(inline::find(labels)?)
}

/// Returns the runner that an inline label stands for in a stack in `region`. `config` is the repository's
/// file, if it can be read: it says how the job is given up and reported.
///
/// # Errors
/// The runner cannot launch here.
pub fn of_label(
    label: &Label,
    asked: &InlineSpec,
    config: Option<&Config>,
    region: &Region,
) -> Result<Entries, NoEntry> {
    if let Some(elsewhere) = asked.region.as_ref().filter(|asked| **asked != *region.as_str()) {
        return Err(NoEntry::Elsewhere {
            label: label.clone(),
            asked: elsewhere.clone(),
            region: region.clone(),
        });
    }
    let spec = asked
        .spec(label, table()?, &|_| None)
        .map_err(|error| NoEntry::CannotServe {
            label: label.clone(),
            why: error.to_string(),
        })?;
    Ok(Entries {
        specs: vec![spec],
        giving_up: config.map(|config| config.giving_up).unwrap_or_default(),
        reporting: config.map(|config| config.reporting).unwrap_or_default(),
        passed: Vec::new(),
    })
}

/// Returns the entries of the configuration that have a job's labels. `barred` names entries that the
/// requester may not use, each with the reason.
///
/// # Errors
/// There are such entries, and none of them can launch.
pub fn of_config(config: &Config, labels: &[Label], barred: &BTreeMap<String, String>) -> Result<Entries, NoEntry> {
    let table = table()?;
    let mut entries = Entries {
        giving_up: config.giving_up,
        reporting: config.reporting,
        ..Entries::default()
    };
    for entry in config.resolve(labels) {
        if let Some(why) = barred.get(&entry.name) {
            entries.passed.push(why.clone());
            continue;
        }
        match with_types(entry.clone(), table) {
            Ok(spec) => entries.specs.push(spec),
            Err(error) => entries.passed.push(format!("the runner `{}`: {error}", entry.name)),
        }
    }
    let passed = config.skipped_for(labels).into_iter();
    entries.passed.extend(passed.map(|entry| entry.reason.clone()));
    // The launch options of an entry are refused alike.
    entries.passed.dedup();
    if entries.specs.is_empty() && !entries.passed.is_empty() {
        return Err(NoEntry::AllPassed(entries.passed.join("; ")));
    }
    Ok(entries)
}

fn table() -> Result<&'static Table, NoEntry> {
    Table::embedded().map_err(|error| NoEntry::NoTable(error.to_string()))
}

#[derive(Debug, thiserror::Error)]
enum CannotServe {
    #[error(transparent)]
    NoMachine(#[from] NoMatch),
    #[error(transparent)]
    NoImage(#[from] NoImage),
}

/// Returns the entry with the machine types that meet its requirements, if it names none, and an image.
fn with_types(mut spec: RunnerSpec, table: &Table) -> Result<RunnerSpec, CannotServe> {
    if let Some(wants) = &spec.requirements {
        let machines = table.launch_candidates(wants, &|_| None)?;
        spec.instance_types = machines.into_iter().map(|machine| machine.name.clone()).collect();
    }
    spec.image = spec.image.for_types(&spec.instance_types, table)?;
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(names: &[&str]) -> Vec<Label> {
        names.iter().copied().map(Label::new).collect()
    }

    fn region() -> Region {
        Region::new("eu-west-1")
    }

    #[test]
    fn inline_label_needs_no_file() {
        let asked = labels(&["dayfly/gpu=t4/spot=only"]);
        let (label, asked) = inline(&asked).unwrap().unwrap();
        let entries = of_label(label, &asked, None, &region()).unwrap();
        let types: Vec<&str> = entries.specs[0]
            .instance_types
            .iter()
            .map(dayfly_types::ids::InstanceType::as_str)
            .collect();
        assert!(types.contains(&"g4dn.xlarge"), "{types:?}");
        assert_eq!(entries.giving_up, GivingUp::default());
    }

    #[test]
    fn label_for_another_region_is_refused() {
        let asked = labels(&["dayfly/gpu=t4/region=us-east-1"]);
        let (label, asked) = inline(&asked).unwrap().unwrap();
        let error = of_label(label, &asked, None, &region()).unwrap_err().to_string();
        assert!(error.contains("us-east-1") && error.contains("eu-west-1"), "{error}");
    }

    #[test]
    fn entries_without_a_fitting_machine_are_passed_over_with_the_reason() {
        let config = Config::parse(
            "runners:\n  - {name: huge, labels: [x], machine_image: dlami-base, gpu: t4, gpus: 64}\n  - {name: small, labels: [x], machine_image: dlami-base, gpu: t4}\n",
        )
        .unwrap();
        let entries = of_config(&config, &labels(&["x"]), &BTreeMap::new()).unwrap();
        assert_eq!(entries.specs.len(), 1);
        assert!(entries.passed[0].contains("`huge`"), "{:?}", entries.passed);
    }

    #[test]
    fn barred_entry_is_passed_over_with_the_reason() {
        let barred = BTreeMap::from([("gpu".to_owned(), "only `alice` may use it".to_owned())]);
        let error = of_config(&Config::built_in().unwrap(), &labels(&["dayfly-gpu"]), &barred).unwrap_err();
        assert_eq!(error, NoEntry::AllPassed("only `alice` may use it".to_owned()));
    }

    #[test]
    fn reasons_are_given_if_all_entries_are_passed_over() {
        let config =
            Config::parse("runners:\n  - {name: huge, labels: [x], machine_image: dlami-base, gpu: t4, gpus: 64}\n")
                .unwrap();
        let error = of_config(&config, &labels(&["x"]), &BTreeMap::new())
            .unwrap_err()
            .to_string();
        assert!(error.contains("`huge`"), "{error}");
    }

    #[test]
    fn labels_that_no_entry_has_give_no_entries() {
        assert_eq!(
            of_config(&Config::built_in().unwrap(), &labels(&["elsewhere"]), &BTreeMap::new()),
            Ok(Entries::default())
        );
    }
}
