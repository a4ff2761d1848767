//! What the log of a job that was given up shows: plain text.

use dayfly_types::capacity::LaunchFailure;

use super::launch_failures::{pool, when};
use crate::markdown;

/// Characters of EC2's answer in one line of the log.
const MAX_ANSWER: usize = 300;

/// The columns. The widest comes last, so that it needs no padding.
const HEADER: [&str; 6] = [
    "instance type",
    "zone",
    "purchase option",
    "times",
    "when (UTC)",
    "EC2's answer",
];

/// Separates the reason from the table.
const FAILURES: &str = "\n\nFailed launches:\n";

/// Renders the reason, and below it the table of failed launches.
#[must_use]
pub fn job_log(reason: &str, tried: &[LaunchFailure]) -> String {
    let reason = sentence(reason);
    if tried.is_empty() {
        return reason;
    }
    let mut rows = vec![HEADER.map(str::to_owned)];
    rows.extend(tried.iter().map(row));
    let mut widths = [0; HEADER.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = format!("{}{FAILURES}", reason.trim_end());
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push('\n');
        text.push_str(line.trim_end());
    }
    text.push('\n');
    text
}

/// Returns the reason in what [`job_log`] rendered.
#[must_use]
pub fn reason_of(log: &str) -> &str {
    log.split_once(FAILURES).map_or(log, |(reason, _)| reason)
}

/// Capitalizes a text, unless it has several lines, as a parser's message has.
pub(super) fn sentence(text: &str) -> String {
    if text.contains('\n') {
        return text.to_owned();
    }
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}

fn row(one: &LaunchFailure) -> [String; HEADER.len()] {
    let (instance_type, zone) = pool(one);
    [
        instance_type.to_owned(),
        zone.to_owned(),
        one.lifecycle.to_string(),
        one.times.to_string(),
        when(one),
        markdown::line(&format!("{}: {}", one.code, one.message), MAX_ANSWER),
    ]
}
