//! The commands of `dayfly`, for whoever runs a stack: one module for each.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]
// The futures of the SDK lie so deep within each other.
#![recursion_limit = "256"]

mod arn;
mod aws;
mod completions;
pub mod cost;
pub mod drill;
mod error;
pub mod help;
pub mod job;
pub mod logs;
pub mod migrate;
pub mod output;
pub mod plan;
pub mod policy;
pub mod redrive;
mod screen;
mod stack;
pub mod status;
mod stop;
mod table;
pub mod types;
pub mod validate;
mod watch;
mod words;

use std::io::IsTerminal as _;

use clap::{Args, Parser, Subcommand};
use dayfly_config::Look;

pub use error::Error;

use output::Output;

/// Looks after a dayfly stack in your AWS account.
///
/// Credentials and region are found as the AWS CLI finds them: environment, profile, SSO.
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

/// Which stack a command is about.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// The stack's name in CloudFormation
    #[arg(long, default_value = "dayfly")]
    stack: String,
    /// The stack's region, if it is not the one of your profile or environment
    #[arg(long)]
    region: Option<String>,
}

/// How a command ended that could be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All is done.
    Done,
    /// Something is left that a person has to look at; it is named in the output.
    SomethingStayed,
}

/// Carries out a command.
///
/// # Errors
/// If it could not be carried out, in words for whoever gave it.
pub async fn run(cli: Cli, output: &mut Output<'_>) -> Result<Ending, Error> {
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

/// Colours for a person at a terminal who has not said `NO_COLOR`.
fn look() -> Look {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && std::io::stdout().is_terminal() && std::io::stderr().is_terminal() {
        Look::Coloured
    } else {
        Look::Plain
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_stacks_name_is_all_that_is_needed_and_not_even_that() {
        let cli = Cli::try_parse_from(["dayfly", "redrive"]).unwrap();
        let Command::Redrive(arguments) = cli.command else {
            panic!("{cli:?}")
        };
        assert_eq!(arguments.place.stack, "dayfly");
        assert!(Cli::try_parse_from(["dayfly", "redrive", "--limit", "0"]).is_err());
    }
}
