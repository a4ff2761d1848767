//! Renders `docs/metrics.md`.

use std::fmt::Write as _;

use crate::Metric;

/// CloudWatch's price of a metric published all month, in cents, and the number of free metrics.
///
/// <https://aws.amazon.com/cloudwatch/pricing/>
const CENTS_PER_METRIC: usize = 30;
const FREE_METRICS: usize = 10;

#[must_use]
pub fn document() -> String {
    let all = Metric::all();
    let most = all.len().saturating_sub(FREE_METRICS) * CENTS_PER_METRIC;
    let mut text = format!(
        "# Metrics\n\n<!-- Made by `make docs` from shared/metrics; a test compares the two. -->\n\n\
         The functions write them as log lines in CloudWatch's embedded metric format, in the namespace `dayfly`. Each \
         has the dimension `Stack`, the stack's name, and at most one other, which has only the values in this table. \
         Pools, jobs and repositories are too many for a dimension; they are in the log lines, which the saved queries \
         search. A metric's line names its record in `Record`.\n\n\
         While no jobs run, no metric is published. CloudWatch bills ${}.{:02} a month per metric, prorated by the \
         hours in which it is published; each value of a dimension counts as a metric, and an account has \
         {FREE_METRICS} free. These are {}: ${}.{:02} a month if all of them are published in every hour, a cent if \
         all are published in one.\n\n\
         Metrics are published once a write has succeeded, so an event that is delivered twice counts once. A function \
         that dies in between publishes nothing, and CloudWatch may, rarely, read a line twice: for exact sums use \
         `dayfly cost`.\n\n\
         | metric | unit | dimension | its values | published |\n|---|---|---|---|---|\n",
        CENTS_PER_METRIC / 100,
        CENTS_PER_METRIC % 100,
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
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            first.name(),
            first.unit().as_str(),
            first.dimension().map_or(String::new(), |(name, _)| format!("`{name}`")),
            values.join(", "),
            first.published(),
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
