//! The report as tables.

use dayfly_records::prices;
use dayfly_report::sums::{By, CapLeft, Sums};
use dayfly_types::money::MicroDollars;

use super::Report;
use crate::screen;
use crate::text::strip_control_chars;

pub(super) fn render(report: &Report, width: Option<u16>) -> String {
    let mut parts = Vec::new();
    if report.rows.is_empty() {
        parts.push(format!("no instance launched in {} is settled yet", report.month));
    } else {
        parts.push(sums(report, width));
        parts.extend(remarks(report));
    }
    if report.caps.is_empty() {
        parts.push(format!(
            "no cap was in force in {}: see `caps` in the stack policy",
            report.month
        ));
    } else {
        parts.push(caps(&report.caps, width));
    }
    parts.join("\n\n")
}

fn sums(report: &Report, width: Option<u16>) -> String {
    let by = match report.by {
        By::Repository => "repository",
        By::Workflow => "workflow",
        By::Type => "type",
        By::Actor => "actor",
        By::Day => "day",
    };
    let header = [
        by,
        "runs",
        "jobs",
        "minutes",
        "compute",
        "disk",
        "address",
        "total",
        "saved",
        "interrupted",
        "wasted",
    ];
    let rows = report.rows.iter().map(|row| {
        let name = row
            .name
            .as_deref()
            .map_or_else(|| "(unknown)".to_owned(), strip_control_chars);
        line(name, &row.sums)
    });
    let all = std::iter::once(line(format!("all of {}", report.month), &report.total));
    screen::table(&header, rows.chain(all), &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], width)
}

fn line(name: String, sums: &Sums) -> Vec<String> {
    vec![
        name,
        sums.runs.to_string(),
        sums.jobs.to_string(),
        sums.minutes.to_string(),
        sums.amounts.compute.in_cents(),
        sums.amounts.disk.in_cents(),
        sums.amounts.address.in_cents(),
        sums.total.in_cents(),
        sums.saved.in_cents(),
        sums.interrupted.to_string(),
        sums.wasted.in_cents(),
    ]
}

fn remarks(report: &Report) -> Option<String> {
    let mut lines = Vec::new();
    if let Some(charge) = report.github_charge {
        lines.push(format!(
            "In addition, GitHub charges at most {} for {} minutes of jobs on self-hosted runners.",
            charge.in_cents(),
            report.total.job_minutes
        ));
    }
    match report.total.by_shipped_prices {
        0 => {}
        count => lines.push(format!(
            "AWS did not answer with the price of {count} of {} instances: the program's own table of {} was used, which may be too high.",
            report.total.instances,
            prices::shipped_on()
        )),
    }
    match report.total.by_earlier_prices {
        0 => {}
        count => lines.push(format!(
            "AWS did not answer with the current price of {count} of {} instances: the last known one was used.",
            report.total.instances
        )),
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn caps(caps: &[CapLeft], width: Option<u16>) -> String {
    let rows = caps.iter().map(|cap| {
        vec![
            strip_control_chars(&cap.budget.to_string()),
            cap.cap.in_cents(),
            cap.spent.in_cents(),
            cap.reserved.in_cents(),
            cap.left.in_cents(),
            used(cap),
        ]
    });
    screen::table(
        &["cap of", "cap", "spent", "reserved", "left", "used"],
        rows,
        &[1, 2, 3, 4, 5],
        width,
    )
}

/// The part of the cap that is spent or reserved, in percent, rounded down.
fn used(cap: &CapLeft) -> String {
    let MicroDollars(used) = cap.spent + cap.reserved;
    format!("{} %", u128::from(used) * 100 / u128::from(cap.cap.0.max(1)))
}
