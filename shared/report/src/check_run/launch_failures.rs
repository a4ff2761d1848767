//! The failed launches of a job, as a Markdown table.

use std::fmt::Write as _;

use dayfly_types::capacity::LaunchFailure;

use crate::markdown;

const HEADING: &str = "### Failed launches\n\n\
    | Instance type | Zone | Purchase option | EC2's answer | Times | When (UTC) |\n\
    |---|---|---|---|---:|---|\n";

/// Renders a row for each pool and reason, as far as they fit into `limit` bytes.
pub(super) fn table(tried: &[LaunchFailure], limit: usize) -> Option<String> {
    let rows: Vec<String> = tried.iter().map(row).collect();
    (!rows.is_empty()).then(|| markdown::fitting(HEADING, &rows, "row", "", limit))
}

fn row(one: &LaunchFailure) -> String {
    let (instance_type, zone) = pool(one);
    let answer = format!("{}: {}", one.code, one.message);
    format!(
        "| {} | {} | {} | {} | {} | {} |\n",
        markdown::cell(instance_type),
        markdown::cell(zone),
        one.lifecycle,
        markdown::cell(&answer),
        one.times,
        when(one),
    )
}

/// Returns the instance type and the zone.
pub(super) fn pool(one: &LaunchFailure) -> (&str, &str) {
    one.pool
        .as_ref()
        .map_or(("any", "any"), |pool| (pool.instance_type.as_str(), pool.zone.as_str()))
}

/// Formats the time from the first failure to the last.
pub(super) fn when(one: &LaunchFailure) -> String {
    let mut when = format!("{} {}", one.first.utc_day(), one.first.utc_time());
    if one.last.utc_day() != one.first.utc_day() {
        let _ = write!(when, " – {} {}", one.last.utc_day(), one.last.utc_time());
    } else if one.last.seconds() != one.first.seconds() {
        let _ = write!(when, " – {}", one.last.utc_time());
    }
    when
}
