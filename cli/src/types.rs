//! `dayfly types`: the machines that EC2 has, and which of them a job would get.

use clap::Args;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table as Lines};
use dayfly_config::machines::{Arch, MachineType, NoMatch, Table, Wants, WantsError};
use dayfly_types::ids::InstanceType;
use dayfly_types::money::MicroDollars;
use serde::Serialize;

use crate::Ending;
use crate::error::Error;
use crate::output::Output;

/// Show the machine types that EC2 has, or those that have what a job wants.
///
/// Without a filter all are shown. With one, those that a job with the same keys in its label or in
/// `.dayfly.yml` may get, the cheapest first: `*` marks those that it is launched on, which cost no
/// more than twice the cheapest. Prices are those on demand of the table's region and date.
///
/// Nothing is asked of AWS.
///
/// Exit status: 0, or 1 if no type has what is wanted, or 2 if that cannot be read.
#[derive(Clone, Debug, Default, Args)]
pub struct Arguments {
    /// One of these models of GPU: `t4`, `a10g+l4`
    #[arg(long)]
    gpu: Option<String>,
    /// So many GPUs, one if anything else is said of the GPU: `4`, `>=2`, `2-4`
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
    /// The machine's own disks in all: `500GB`
    #[arg(long)]
    nvme: Option<String>,
    /// The processors' architecture: `x86_64`, `arm64`
    #[arg(long)]
    arch: Option<String>,
    /// JSON instead of a table
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn wants(&self) -> Result<Wants, WantsError> {
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
        let mut wants = Wants::default();
        for (key, value) in given {
            if let Some(value) = value {
                wants.set(key, value)?;
            }
        }
        Ok(wants)
    }
}

/// A machine type as it is shown.
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
    /// Micro-dollars an hour on demand, if that is known.
    price: Option<MicroDollars>,
    /// Whether a job that wants this is launched on it; nothing where nothing is wanted.
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

/// What is shown of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Report {
    /// The region that the prices are of.
    region: String,
    /// When EC2 had these types.
    types_at: String,
    /// When they had these prices.
    prices_at: String,
    types: Vec<Row>,
    /// Why there are none.
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
    fn new(table: &Table, wants: &Wants) -> Self {
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

fn matching(table: &Table, wants: &Wants) -> Result<Vec<Row>, NoMatch> {
    let no_price_of_today = |_: &InstanceType| None;
    let launched = table.to_launch(wants, &no_price_of_today)?;
    let rows = table.matching(wants, &no_price_of_today)?.into_iter().map(|machine| {
        let launched = launched.iter().any(|one| one.name == machine.name);
        Row::new(machine, Some(launched))
    });
    Ok(rows.collect())
}

/// Carries the command out.
///
/// # Errors
/// If what is wanted cannot be read.
pub(crate) fn run(arguments: &Arguments, output: &mut Output<'_>) -> Result<Ending, Error> {
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
    Ok(if report.none.is_some() {
        Ending::SomethingStayed
    } else {
        Ending::Done
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(arguments: &Arguments) -> (Result<Ending, Error>, String, String) {
        let (mut results, mut notes) = (Vec::new(), Vec::new());
        let ending = run(arguments, &mut Output::new(&mut results, &mut notes));
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (ending, text(results), text(notes))
    }

    #[test]
    fn all_types_are_shown_with_the_dates_of_the_table() {
        let (ending, results, notes) = shown(&Arguments::default());
        assert_eq!(ending.unwrap(), Ending::Done);
        assert!(
            results.contains("g5.12xlarge") && results.contains("4 x a10g"),
            "{results}"
        );
        assert!(notes.starts_with("types of 20"), "{notes}");
        assert!(!results.contains('*'), "{results}");
    }

    #[test]
    fn those_that_a_job_would_be_launched_on_are_marked() {
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
    fn programs_get_numbers() {
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
    fn where_there_is_none_the_nearest_is_told() {
        let arguments = Arguments {
            gpu: Some("l4".to_owned()),
            gpus: Some("3".to_owned()),
            ..Arguments::default()
        };
        let (ending, results, notes) = shown(&arguments);
        assert_eq!((ending.unwrap(), results.as_str()), (Ending::SomethingStayed, ""));
        assert!(notes.contains("`gpus` is 1, 4 or 8"), "{notes}");
        let (ending, results, _) = shown(&Arguments {
            json: true,
            ..arguments
        });
        assert_eq!(ending.unwrap(), Ending::SomethingStayed);
        assert!(results.contains("`gpus` is 1, 4 or 8"), "{results}");
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let (ending, _, _) = shown(&Arguments {
            gpu: Some("a10q".to_owned()),
            ..Arguments::default()
        });
        assert!(ending.unwrap_err().to_string().contains("did you mean `a10g`?"));
    }
}
