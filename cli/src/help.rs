//! `docs/cli.md`: what each command says of itself.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};

use crate::Cli;

/// The page.
#[must_use]
pub fn page() -> String {
    let mut cli = Cli::command().term_width(100);
    cli.build();
    let mut page = "\
# The command `dayfly`

Made by `make docs` of what each command says of itself with `--help`.

Every command ends with 0 if all is done, with 1 if something is left that a person has to look at, which
it names, and with 2 if it could not be carried out; with 141, and quietly, if nobody reads its results any
more, as behind `| head`. Results go to standard output, notes and errors to
standard error; `--json` gives results that programs can read. Colours are for terminals, and go with
`NO_COLOR`.
"
    .to_owned();
    tell(&mut cli, "dayfly", &mut page);
    page
}

fn tell(command: &mut Command, name: &str, page: &mut String) {
    let shown: Vec<String> = command
        .get_subcommands()
        .filter(|one| !one.is_hide_set() && one.get_name() != "help")
        .map(|one| one.get_name().to_owned())
        .collect();
    if name != "dayfly" {
        let help = command.render_long_help().to_string();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        let _ = write!(page, "\n## `{name}`\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
    }
    for subcommand in shown {
        if let Some(command) = command.find_subcommand_mut(&subcommand) {
            tell(command, &format!("{name} {subcommand}"), page);
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_says_what_the_commands_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
        let written = std::fs::read_to_string(path).unwrap();
        assert_eq!(written, super::page(), "docs/cli.md is out of date: run `make docs`");
    }

    #[test]
    fn every_command_says_how_it_ends_and_has_json() {
        let page = super::page();
        for section in page
            .split("\n## ")
            .skip(1)
            .filter(|section| !section.contains("\nCommands:"))
        {
            assert!(section.contains("Exit status: 0"), "{section}");
            assert!(
                section.contains("--json") || section.starts_with("`dayfly completions"),
                "{section}"
            );
        }
    }
}
