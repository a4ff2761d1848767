//! `dayfly-bench`: start-up time, response time and size of the functions.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use clap::builder::PossibleValuesParser;
use dayfly_bench::burst;
use dayfly_bench::journey::{Journey, ROWS};
use dayfly_bench::measure::Plan;
use dayfly_bench::report::Report;
use dayfly_bench::stack::{self, Binaries};

/// Measures the functions' binaries as Lambda would run them, against AWS and GitHub on loopback.
#[derive(Debug, Parser)]
#[command(version, name = "dayfly-bench")]
struct Arguments {
    /// The folder with the functions' binaries: cargo's (`<name>`) or cargo-lambda's
    /// (`<name>/bootstrap`) [default: the folder of this binary]
    #[arg(long, value_name = "FOLDER")]
    bin_dir: Option<PathBuf>,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
    /// Measure this row only, and others so named; what it needs is done unmeasured
    #[arg(long = "only", value_name = "ROW", value_parser = PossibleValuesParser::new(rows()))]
    only: Vec<String>,
    /// Processes to start for each row
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = count)]
    cold: usize,
    /// Warm invocations for each row
    #[arg(long, value_name = "COUNT", default_value_t = 300, value_parser = count)]
    warm: usize,
}

fn rows() -> Vec<&'static str> {
    ROWS.into_iter().chain(burst::ROWS.map(|(row, _)| row)).collect()
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a whole number above 0".to_owned()),
        Ok(count) => Ok(count),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match bench(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nowhere to report if standard error is closed too.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn bench(arguments: Arguments) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("this binary has no path")?;
    let beside = own.parent().context("this binary lies in no folder")?.to_owned();
    let binaries = Binaries(arguments.bin_dir.unwrap_or_else(|| beside.clone()));
    let plan = Plan {
        cold: arguments.cold,
        warm: arguments.warm,
    };
    let mut journey = Journey {
        binaries: &binaries,
        reference: stack::hello(&beside)?,
        cloud: stack::start_cloud().await?,
        plan,
        only: arguments.only,
        progress: report_progress,
        measured: Vec::new(),
    };
    let mut went = journey.go().await;
    let mut bursts = Vec::new();
    for (row, jobs) in burst::ROWS {
        if went.is_ok() && (journey.only.is_empty() || journey.only.iter().any(|only| only == row)) {
            report_progress(&format!("measuring {jobs} jobs at once"));
            match burst::measure(&binaries, jobs).await {
                Ok(measured) => bursts.push(measured),
                Err(error) => went = Err(error),
            }
        }
    }
    // Figures from before a failure are printed too.
    if !journey.measured.is_empty() || !bursts.is_empty() {
        let report = Report::new(plan, &journey.measured, &bursts);
        let text = if arguments.json {
            serde_json::to_string_pretty(&report)?
        } else {
            report.table()
        };
        writeln!(std::io::stdout(), "{text}")?;
    }
    went
}

/// Reports slow steps on a terminal only.
fn report_progress(what: &str) {
    let mut screen = std::io::stderr();
    if screen.is_terminal() {
        // A broken terminal is no reason to stop measuring.
        let _ = writeln!(screen, "{what}");
    }
}
