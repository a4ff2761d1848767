//! Prints `docs/lifecycle.md`.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

fn main() {
    print!("{}", dayfly_records::steps::document());
}
