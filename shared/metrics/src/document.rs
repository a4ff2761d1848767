//! The metrics as a page, for `docs/metrics.md`.

use std::fmt::Write as _;

use crate::Metric;

/// What CloudWatch takes for a metric that is told all month, in cents, and how many it takes nothing for.
///
/// <https://aws.amazon.com/cloudwatch/pricing/>
const CENTS_OF_A_METRIC: usize = 30;
const FREE_METRICS: usize = 10;

/// The whole of `docs/metrics.md`.
#[must_use]
pub fn document() -> String {
    let all = Metric::all();
    let most = all.len().saturating_sub(FREE_METRICS) * CENTS_OF_A_METRIC;
    let mut text = format!(
        "# Metrics\n\n<!-- Made by `make docs` from shared/metrics; a test compares the two. -->\n\n\
         The functions write them as log lines in CloudWatch's embedded metric format, into the namespace `dayfly`. Each \
         has the dimension `Stack`, the stack's name, and at most one other, whose values are those of this table and no \
         others. What there is too much of for a dimension, pools and jobs and repositories, is in the log lines, and in \
         the saved queries over them: the line of a metric names the record that it is of, in `Record`.\n\n\
         Nothing is told while nobody tests. CloudWatch takes ${}.{:02} a month for a metric, which each value of a \
         dimension is one of, by the hour in which it is told; an account has {FREE_METRICS} free. These are {}: \
         ${}.{:02} a month if each of them is told in every hour of it, a cent if all of them are in one.\n\n\
         They are told once a write is answered, so that an event that comes twice counts once. A function that dies in \
         between tells nothing, and CloudWatch may, rarely, read a line twice: for sums to the cent ask `dayfly cost`.\n\n\
         | metric | unit | dimension | its values | told |\n|---|---|---|---|---|\n",
        CENTS_OF_A_METRIC / 100,
        CENTS_OF_A_METRIC % 100,
        all.len(),
        most / 100,
        most % 100,
    );
    let mut rest = all.as_slice();
    while let [first, ..] = rest {
        let series = rest.iter().take_while(|metric| metric.name() == first.name()).count();
        let (same, others) = rest.split_at(series);
        rest = others;
        let values: Vec<String> = same
            .iter()
            .filter_map(|metric| metric.dimension())
            .map(|(_, value)| format!("`{value}`"))
            .collect();
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            first.name(),
            first.unit().as_str(),
            first.dimension().map_or(String::new(), |(name, _)| format!("`{name}`")),
            values.join(", "),
            first.told(),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(written, document(), "docs/metrics.md is out of date: run `make docs`");
    }
}
