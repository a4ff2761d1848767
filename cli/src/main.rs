//! `dayfly`: the commands for whoever runs a stack.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use dayfly_cli::output::Output;
use dayfly_cli::{Cli, Ending, run};

/// What clap ends with too, when it does not understand its arguments.
const COULD_NOT: u8 = 2;

/// What a shell says of a command that `SIGPIPE` has ended, as it ends those that write into a pipe which nobody
/// reads any more.
const NOBODY_READS: u8 = 128 + 13;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // What the adapters call an error, a record that cannot be read say, is one here too.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::ERROR)
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        .init();
    let cli = Cli::parse();
    let (mut out, mut notes) = (std::io::stdout(), std::io::stderr());
    match run(cli, &mut Output::new(&mut out, &mut notes)).await {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::SomethingStayed) => ExitCode::FAILURE,
        Err(error) if error.is_want_of_a_reader() => ExitCode::from(NOBODY_READS),
        Err(error) => {
            // Where even that cannot be written, the exit status has to do.
            let _ = writeln!(notes, "error: {error}");
            ExitCode::from(COULD_NOT)
        }
    }
}
