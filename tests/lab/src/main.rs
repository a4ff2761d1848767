//! `dayfly-lab`: shows dayfly at work on this machine, or leaves it running for experiments.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use dayfly_lab::scenario::Demo;
use dayfly_lab::{demo, up};

/// The whole of dayfly on one machine.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Walk a job from the webhook to the end of its instance.
    Demo {
        /// What to show.
        #[arg(value_enum, default_value = "main")]
        scenario: Demo,
        /// A folder to keep what the functions logged in, and the board as it was at the end
        #[arg(long, value_name = "FOLDER")]
        keep: Option<PathBuf>,
    },
    /// Leave the lab running until Ctrl-C, and say how to use it.
    Up,
}

#[tokio::main]
async fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let mut out = std::io::stdout();
    let done = match command {
        Command::Demo { scenario, keep } => demo::show(scenario, keep.as_deref(), &mut out).await,
        Command::Up => up::run(&mut out).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If even that cannot be written, the exit status has to suffice.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
