//! Prints `docs/cli.md`.
#![expect(clippy::print_stdout, reason = "it exists to print")]

fn main() {
    print!("{}", dayfly_cli::help::page());
}
