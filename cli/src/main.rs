//! `dayfly`: the commands for the operator of a stack.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use dayfly_cli::output::Output;
use dayfly_cli::{Cli, CommandStatus, run};

/// The same as clap's for bad arguments.
const FAILED: u8 = 2;

/// A shell's exit status for a command that `SIGPIPE` ended, as for a write into a closed pipe.
const CLOSED_PIPE: u8 = 128 + 13;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Errors that the adapters log, such as an unreadable record, are shown.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::ERROR)
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        .init();
    let cli = Cli::parse();
    let (mut out, mut notes) = (std::io::stdout(), std::io::stderr());
    match run(cli, &mut Output::new(&mut out, &mut notes)).await {
        Ok(CommandStatus::Done) => ExitCode::SUCCESS,
        Ok(CommandStatus::NeedsAttention) => ExitCode::FAILURE,
        Err(error) if error.is_closed_pipe() => ExitCode::from(CLOSED_PIPE),
        Err(error) => {
            // If that cannot be written either, only the exit status is left.
            let _ = writeln!(notes, "error: {error}");
            ExitCode::from(FAILED)
        }
    }
}
