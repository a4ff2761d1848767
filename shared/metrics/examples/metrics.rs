//! Prints `docs/metrics.md`.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

fn main() {
    print!("{}", dayfly_metrics::document());
}
