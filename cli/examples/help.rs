//! Prints `docs/cli.md`.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

fn main() {
    print!("{}", dayfly_cli::help::page());
}
