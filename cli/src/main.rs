//! `dayfly`: the commands for whoever runs a stack.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use dayfly_cli::output::Output;
use dayfly_cli::{Cli, Ending, run};

/// What clap ends with too, when it does not understand its arguments.
const COULD_NOT: u8 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let (mut out, mut notes) = (std::io::stdout(), std::io::stderr());
    match run(cli, &mut Output::new(&mut out, &mut notes)).await {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::SomethingStayed) => ExitCode::FAILURE,
        Err(error) => {
            // Where even that cannot be written, the exit status has to do.
            let _ = writeln!(notes, "error: {error}");
            ExitCode::from(COULD_NOT)
        }
    }
}
