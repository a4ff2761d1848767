//! The commands of `dayfly`, for the operator of a stack: one module for each.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]
// The SDK's futures are deeply nested.
#![recursion_limit = "256"]

mod arn;
mod aws;
mod clock;
mod completions;
mod config_file;
mod cost;
mod drill;
mod error;
pub mod help;
mod job;
mod job_selector;
mod logs;
mod migrate;
pub mod output;
mod plan;
mod policy;
mod redrive;
mod screen;
mod stack;
mod status;
mod stop;
mod table;
mod text;
mod types;
mod validate;
mod watch;

use std::io::IsTerminal as _;

use clap::{Parser, Subcommand};
use dayfly_config::RenderStyle;

pub use error::Error;
pub use output::CommandStatus;

use output::Output;

/// Operates a dayfly stack in your AWS account.
///
/// Credentials and region are found as by the AWS CLI: environment, profile, SSO.
#[derive(Debug, Parser)]
#[command(name = "dayfly", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Completions(completions::Arguments),
    Cost(cost::Arguments),
    Drill(drill::Arguments),
    Job(job::Arguments),
    Logs(logs::Arguments),
    Migrate(migrate::Arguments),
    Plan(plan::Arguments),
    Policy(policy::Arguments),
    Redrive(redrive::Arguments),
    Status(status::Arguments),
    Types(types::Arguments),
    Validate(validate::Arguments),
}

/// Runs a command.
///
/// # Errors
/// The command could not be carried out.
pub async fn run(cli: Cli, output: &mut Output<'_>) -> Result<CommandStatus, Error> {
    match cli.command {
        Command::Completions(arguments) => completions::run(&arguments, output),
        Command::Cost(arguments) => cost::run(&arguments, output).await,
        Command::Drill(arguments) => drill::run(&arguments, output).await,
        Command::Job(arguments) => job::run(&arguments, output).await,
        Command::Logs(arguments) => logs::run(&arguments, output).await,
        Command::Migrate(arguments) => migrate::run(&arguments, look(), output),
        Command::Plan(arguments) => plan::run(&arguments, output),
        Command::Policy(arguments) => policy::run(&arguments, output).await,
        Command::Redrive(arguments) => redrive::run(&arguments, output).await,
        Command::Status(arguments) => status::run(&arguments, output).await,
        Command::Types(arguments) => types::run(&arguments, output),
        Command::Validate(arguments) => validate::run(&arguments, look(), output),
    }
}

/// Returns coloured on a terminal without `NO_COLOR`.
fn look() -> RenderStyle {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && std::io::stdout().is_terminal() && std::io::stderr().is_terminal() {
        RenderStyle::Coloured
    } else {
        RenderStyle::Plain
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn arguments_are_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn stack_name_has_a_default() {
        let cli = Cli::try_parse_from(["dayfly", "redrive"]).unwrap();
        let Command::Redrive(arguments) = cli.command else {
            panic!("{cli:?}")
        };
        assert_eq!(arguments.target.stack, "dayfly");
        assert!(Cli::try_parse_from(["dayfly", "redrive", "--limit", "0"]).is_err());
    }
}
