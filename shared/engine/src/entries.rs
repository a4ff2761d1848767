//! Which runners a job's labels stand for: what an inline label says, or the entries of the
//! repository's configuration.

use std::collections::BTreeMap;

use dayfly_config::labels::Label;
use dayfly_config::labels::inline::{self, Asked, LabelError};
use dayfly_config::machines::{NoMatch, Table};
use dayfly_config::{Config, GivingUp, NoImage, Reporting, RunnerSpec};
use dayfly_types::ids::Region;

/// What a job's labels stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// The runners, in the order in which they are tried, with their machine types found.
    pub specs: Vec<RunnerSpec>,
    /// How the job is told should it be given up.
    pub giving_up: GivingUp,
    /// Where it is told what the job went through and has cost.
    pub reporting: Reporting,
    /// Why others that have the labels too are passed over.
    pub passed: Vec<String>,
}

/// Why none of the runners can be launched that a job's labels stand for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEntry {
    /// The label cannot be read.
    #[error(transparent)]
    Unreadable(#[from] LabelError),
    /// What the label asks for is elsewhere.
    #[error(
        "`{label}` asks for the region {asked}, and this stack launches in {region}: leave `region=` out, or deploy a stack there"
    )]
    Elsewhere {
        /// The label.
        label: Label,
        /// The region that it asks for.
        asked: String,
        /// The stack's.
        region: Region,
    },
    /// What the label asks for is nowhere.
    #[error("`{label}` cannot be served: {why}")]
    CannotServe {
        /// The label.
        label: Label,
        /// Why not.
        why: String,
    },
    /// All entries that have the labels are passed over.
    #[error("no runner of the configuration that has the job's labels can be launched: {0}")]
    AllPassed(String),
    /// The table of machine types cannot be read, which a test rules out.
    #[error("{0}")]
    NoTable(String),
}

/// The label among a job's that says by itself what it wants, if there is one.
///
/// # Errors
/// If it cannot be read, with the column.
pub fn inline(labels: &[Label]) -> Result<Option<(&Label, Asked)>, NoEntry> {
    Ok(inline::asked(labels)?)
}

/// The runner that an inline label stands for, in a stack in `region`. `config` is the repository's file,
/// if it has one that can be read: how a job is told that it is given up is its to say.
///
/// # Errors
/// If it cannot be launched.
pub fn of_label(label: &Label, asked: &Asked, config: Option<&Config>, region: &Region) -> Result<Entries, NoEntry> {
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

/// The entries of the configuration that have a job's labels. Some may be `barred` to whoever asks for the
/// job: their names, each with the reason.
///
/// # Errors
/// If there are some, and none of them can be launched.
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
    let passed = config.passed_over(labels).into_iter();
    entries.passed.extend(passed.map(|entry| entry.why.clone()));
    // The attempts of an entry are refused alike.
    entries.passed.dedup();
    if entries.specs.is_empty() && !entries.passed.is_empty() {
        return Err(NoEntry::AllPassed(entries.passed.join("; ")));
    }
    Ok(entries)
}

fn table() -> Result<&'static Table, NoEntry> {
    Table::embedded().map_err(|error| NoEntry::NoTable(error.to_string()))
}

/// Why an entry cannot be launched.
#[derive(Debug, thiserror::Error)]
enum CannotServe {
    #[error(transparent)]
    NoMachine(#[from] NoMatch),
    #[error(transparent)]
    NoImage(#[from] NoImage),
}

/// A runner with the machine types that are what it wants, if it names none, and an image for them.
fn with_types(mut spec: RunnerSpec, table: &Table) -> Result<RunnerSpec, CannotServe> {
    if let Some(wants) = &spec.wants {
        let machines = table.to_launch(wants, &|_| None)?;
        spec.instance_types = machines.into_iter().map(|machine| machine.name.clone()).collect();
    }
    spec.image = spec.image.on_types(&spec.instance_types, table)?;
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
    fn a_label_that_says_what_it_wants_needs_no_file() {
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
    fn a_label_for_another_region_is_no_runner_of_this_stack() {
        let asked = labels(&["dayfly/gpu=t4/region=us-east-1"]);
        let (label, asked) = inline(&asked).unwrap().unwrap();
        let error = of_label(label, &asked, None, &region()).unwrap_err().to_string();
        assert!(error.contains("us-east-1") && error.contains("eu-west-1"), "{error}");
    }

    #[test]
    fn entries_that_no_machine_can_serve_are_passed_over_with_the_reason() {
        let config = Config::parse(
            "runners:\n  - {name: huge, labels: [x], machine_image: dlami-base, gpu: t4, gpus: 64}\n  - {name: small, labels: [x], machine_image: dlami-base, gpu: t4}\n",
        )
        .unwrap();
        let entries = of_config(&config, &labels(&["x"]), &BTreeMap::new()).unwrap();
        assert_eq!(entries.specs.len(), 1);
        assert!(entries.passed[0].contains("`huge`"), "{:?}", entries.passed);
    }

    #[test]
    fn what_is_barred_to_whoever_asks_is_passed_over_with_the_reason() {
        let barred = BTreeMap::from([("gpu".to_owned(), "only `alice` may use it".to_owned())]);
        let error = of_config(&Config::built_in().unwrap(), &labels(&["dayfly-gpu"]), &barred).unwrap_err();
        assert_eq!(error, NoEntry::AllPassed("only `alice` may use it".to_owned()));
    }

    #[test]
    fn if_all_entries_are_passed_over_the_reasons_are_given() {
        let config =
            Config::parse("runners:\n  - {name: huge, labels: [x], machine_image: dlami-base, gpu: t4, gpus: 64}\n")
                .unwrap();
        let error = of_config(&config, &labels(&["x"]), &BTreeMap::new())
            .unwrap_err()
            .to_string();
        assert!(error.contains("`huge`"), "{error}");
    }

    #[test]
    fn labels_that_no_entry_has_stand_for_nothing() {
        assert_eq!(
            of_config(&Config::built_in().unwrap(), &labels(&["elsewhere"]), &BTreeMap::new()),
            Ok(Entries::default())
        );
    }
}
