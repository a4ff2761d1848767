//! `dayfly types`: EC2's machine types, and those that a job would get.

use clap::Args;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table as Lines};
use dayfly_config::machines::{Arch, MachineType, NoMatch, RequirementError, Requirements, Table};
use dayfly_types::ids::InstanceType;
use dayfly_types::money::MicroDollars;
use serde::Serialize;

use crate::error::Error;
use crate::output::{CommandStatus, Output};

/// Show EC2's machine types, or those that fit a job.
///
/// Without a filter, all types are shown. With a filter, those that a job with the same keys in its label or in
/// `.dayfly.yml` may get are shown, the cheapest first: `*` marks those that it is launched on, which cost at most
/// twice as much as the cheapest. Prices are on-demand prices of the table's region and date.
///
/// AWS is not contacted.
///
/// Exit status: 0, or 1 if no type fits, or 2 if a filter cannot be read.
#[derive(Clone, Debug, Default, Args)]
pub struct Arguments {
    /// GPU models: `t4`, `a10g+l4`
    #[arg(long)]
    gpu: Option<String>,
    /// Number of GPUs, by default 1 if another GPU filter is given: `4`, `>=2`, `2-4`
    #[arg(long, visible_alias = "count")]
    gpus: Option<String>,
    /// Memory of each GPU: `24GiB`, `24-48GiB`
    #[arg(long)]
    vram: Option<String>,
    /// Compute capability: `8.0`, `8.0-9.0`
    #[arg(long)]
    cc: Option<String>,
    /// vCPUs: `8`, `8-16`
    #[arg(long)]
    cpu: Option<String>,
    /// Memory: `32GiB`, `<=64GiB`
    #[arg(long)]
    mem: Option<String>,
    /// Total size of the machine's own disks: `500GB`
    #[arg(long)]
    nvme: Option<String>,
    /// Processor architecture: `x86_64`, `arm64`
    #[arg(long)]
    arch: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn wants(&self) -> Result<Requirements, RequirementError> {
        let given = [
            ("gpu", &self.gpu),
            ("gpus", &self.gpus),
            ("vram", &self.vram),
            ("cc", &self.cc),
            ("cpu", &self.cpu),
            ("mem", &self.mem),
            ("nvme", &self.nvme),
            ("arch", &self.arch),
        ];
        let mut wants = Requirements::default();
        for (key, value) in given {
            if let Some(value) = value {
                wants.set(key, value)?;
            }
        }
        Ok(wants)
    }
}

/// A machine type in the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Row {
    #[serde(rename = "type")]
    name: InstanceType,
    vcpus: u32,
    memory_mib: u32,
    arch: Arch,
    #[serde(skip_serializing_if = "Option::is_none")]
    gpu: Option<Gpu>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nvme_mib: Option<u32>,
    /// On-demand price in micro-dollars per hour, if known.
    price: Option<MicroDollars>,
    /// Whether a job with these filters is launched on it; `None` without filters.
    #[serde(skip_serializing_if = "Option::is_none")]
    launched: Option<bool>,
    #[serde(skip)]
    shown: [String; 5],
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Gpu {
    model: String,
    count: u32,
    vram_mib: u32,
    compute_capability: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Report {
    /// The region of the prices.
    region: String,
    /// The date of the types.
    types_at: String,
    /// The date of the prices.
    prices_at: String,
    types: Vec<Row>,
    /// Why no type fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    none: Option<String>,
}

impl Row {
    fn new(machine: &MachineType, launched: Option<bool>) -> Self {
        let gpu = machine.gpu.as_ref();
        let or_dash = |shown: Option<String>| shown.unwrap_or_else(|| "-".to_owned());
        Self {
            name: machine.name.clone(),
            vcpus: machine.vcpus,
            memory_mib: machine.memory.0,
            arch: machine.arch,
            gpu: gpu.map(|gpu| Gpu {
                model: gpu.model.to_string(),
                count: gpu.count,
                vram_mib: gpu.vram.0,
                compute_capability: gpu.compute_capability.to_string(),
            }),
            nvme_mib: Some(machine.nvme.0).filter(|mib| *mib > 0),
            price: machine.price,
            launched,
            shown: [
                or_dash(gpu.map(|gpu| format!("{} x {}", gpu.count, gpu.model))),
                or_dash(gpu.map(|gpu| gpu.vram.as_sold())),
                or_dash(gpu.map(|gpu| gpu.compute_capability.to_string())),
                or_dash((machine.nvme.0 > 0).then(|| machine.nvme.as_sold())),
                machine.memory.to_string(),
            ],
        }
    }
}

impl Report {
    fn new(table: &Table, wants: &Requirements) -> Self {
        let found = if wants.is_empty() {
            Ok(table.types().iter().map(|machine| Row::new(machine, None)).collect())
        } else {
            matching(table, wants)
        };
        let (types, none) = match found {
            Ok(types) => (types, None),
            Err(none) => (Vec::new(), Some(none.to_string())),
        };
        Self {
            region: table.region.clone(),
            types_at: table.types_at.clone(),
            prices_at: table.prices_at.clone(),
            types,
            none,
        }
    }

    fn table(&self) -> Lines {
        let mut lines = Lines::new();
        lines.load_style(NOTHING);
        lines.set_header([
            "", "type", "GPUs", "VRAM", "CC", "vCPUs", "memory", "disks", "arch", "$/h",
        ]);
        for row in &self.types {
            let [gpus, vram, cc, disks, memory] = row.shown.clone();
            lines.add_row([
                if row.launched == Some(true) { "*" } else { "" }.to_owned(),
                row.name.to_string(),
                gpus,
                vram,
                cc,
                row.vcpus.to_string(),
                memory,
                disks,
                row.arch.to_string(),
                row.price.map_or_else(|| "?".to_owned(), |price| price.to_string()),
            ]);
        }
        for number in [3, 4, 5, 6, 7, 9] {
            if let Some(column) = lines.column_mut(number) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        lines
    }
}

fn matching(table: &Table, wants: &Requirements) -> Result<Vec<Row>, NoMatch> {
    let no_current_price = |_: &InstanceType| None;
    let launched = table.launch_candidates(wants, &no_current_price)?;
    let rows = table.matching(wants, &no_current_price)?.into_iter().map(|machine| {
        let launched = launched.iter().any(|one| one.name == machine.name);
        Row::new(machine, Some(launched))
    });
    Ok(rows.collect())
}

/// # Errors
/// A filter cannot be read.
pub(crate) fn run(arguments: &Arguments, output: &mut Output<'_>) -> Result<CommandStatus, Error> {
    let report = Report::new(Table::embedded()?, &arguments.wants()?);
    if arguments.json {
        output.json(&report)?;
    } else if let Some(none) = &report.none {
        output.note(none)?;
    } else {
        output.result(report.table())?;
        output.note(format_args!(
            "types of {}, prices of {} in {}",
            report.types_at, report.prices_at, report.region
        ))?;
    }
    Ok(CommandStatus::done_if(report.none.is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(arguments: &Arguments) -> (Result<CommandStatus, Error>, String, String) {
        let (mut results, mut notes) = (Vec::new(), Vec::new());
        let status = run(arguments, &mut Output::new(&mut results, &mut notes));
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status, text(results), text(notes))
    }

    #[test]
    fn all_types_are_shown_with_the_dates_of_the_table() {
        let (status, results, notes) = shown(&Arguments::default());
        assert_eq!(status.unwrap(), CommandStatus::Done);
        assert!(
            results.contains("g5.12xlarge") && results.contains("4 x a10g"),
            "{results}"
        );
        assert!(notes.starts_with("types of 20"), "{notes}");
        assert!(!results.contains('*'), "{results}");
    }

    #[test]
    fn types_that_a_job_is_launched_on_are_marked() {
        let (_, results, _) = shown(&Arguments {
            gpu: Some("t4".to_owned()),
            ..Arguments::default()
        });
        let marked: Vec<_> = results
            .lines()
            .filter(|line| line.trim_start().starts_with('*'))
            .collect();
        assert_eq!(marked.len(), 2, "{results}");
        assert!(
            marked[0].contains("g4dn.xlarge") && marked[0].contains("$0.526"),
            "{results}"
        );
        assert!(results.contains("g4dn.16xlarge"), "{results}");
    }

    #[test]
    fn json_has_numbers() {
        let (_, results, _) = shown(&Arguments {
            gpu: Some("l4".to_owned()),
            gpus: Some("8".to_owned()),
            json: true,
            ..Arguments::default()
        });
        let json: serde_json::Value = serde_json::from_str(&results).unwrap();
        assert_eq!(json["types"][0]["type"], "g6.48xlarge");
        assert_eq!(json["types"][0]["gpu"]["vram_mib"], 22888);
        assert_eq!(json["types"][0]["price"], 13_350_400);
        assert_eq!(json["types"][0]["launched"], true);
    }

    #[test]
    fn nearest_values_are_named_if_no_type_fits() {
        let arguments = Arguments {
            gpu: Some("l4".to_owned()),
            gpus: Some("3".to_owned()),
            ..Arguments::default()
        };
        let (status, results, notes) = shown(&arguments);
        assert_eq!((status.unwrap(), results.as_str()), (CommandStatus::NeedsAttention, ""));
        assert!(notes.contains("`gpus` is 1, 4 or 8"), "{notes}");
        let (status, results, _) = shown(&Arguments {
            json: true,
            ..arguments
        });
        assert_eq!(status.unwrap(), CommandStatus::NeedsAttention);
        assert!(results.contains("`gpus` is 1, 4 or 8"), "{results}");
    }

    #[test]
    fn unknown_filter_value_is_an_error() {
        let (status, _, _) = shown(&Arguments {
            gpu: Some("a10q".to_owned()),
            ..Arguments::default()
        });
        assert!(status.unwrap_err().to_string().contains("did you mean `a10g`?"));
    }
}
