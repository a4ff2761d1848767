//! `dayfly completions`: shell completions of the commands.

use std::io::Cursor;

use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use crate::output::Output;
use crate::{Cli, CommandStatus, Error};

/// Print shell completions of dayfly's commands.
///
/// For bash: `dayfly completions bash > ~/.local/share/bash-completion/completions/dayfly`.
///
/// Exit status: 0.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments, output: &mut Output<'_>) -> Result<CommandStatus, Error> {
    let mut script = Cursor::new(Vec::new());
    generate(arguments.shell, &mut Cli::command(), "dayfly", &mut script);
    output.result(String::from_utf8_lossy(script.get_ref()).trim_end())?;
    Ok(CommandStatus::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_of_every_shell_have_every_command() {
        for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            let (mut out, mut notes) = (Vec::new(), Vec::new());
            run(&Arguments { shell }, &mut Output::new(&mut out, &mut notes)).unwrap();
            let script = String::from_utf8(out).unwrap();
            for command in Cli::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
        }
    }
}
