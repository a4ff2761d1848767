//! What is said of a job that was given up, as its own log shows it: plain text.

use dayfly_types::capacity::Tried;

use super::{markdown, when};

/// More of what EC2 says makes no line of a log that anybody reads.
const MAX_WORDS: usize = 300;

/// What each column of the table is called. The widest stands last, so that nothing stands behind it.
const HEADER: [&str; 6] = [
    "instance type",
    "zone",
    "bought as",
    "times",
    "when (UTC)",
    "what EC2 said",
];

/// What stands between the reason and the table.
const TRIED: &str = "\n\nWhat was tried:\n";

/// The reason, and under it the table of what was tried.
#[must_use]
pub fn job_log(reason: &str, tried: &[Tried]) -> String {
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
    let mut text = format!("{}{TRIED}", reason.trim_end());
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push('\n');
        text.push_str(line.trim_end());
    }
    text.push('\n');
    text
}

/// The reason of what [`job_log`] says.
#[must_use]
pub fn reason_of(log: &str) -> &str {
    log.split_once(TRIED).map_or(log, |(reason, _)| reason)
}

/// A text as a sentence of its own: it begins with a capital letter. One of several lines, as a
/// parser's, is left as it is.
pub(super) fn sentence(text: &str) -> String {
    if text.contains('\n') {
        return text.to_owned();
    }
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}

fn row(one: &Tried) -> [String; HEADER.len()] {
    let (kind, zone) = one
        .pool
        .as_ref()
        .map_or(("any", "any"), |pool| (pool.instance_type.as_str(), pool.zone.as_str()));
    [
        kind.to_owned(),
        zone.to_owned(),
        one.lifecycle.to_string(),
        one.times.to_string(),
        when(one),
        markdown::line(&format!("{}: {}", one.code, one.message), MAX_WORDS),
    ]
}
