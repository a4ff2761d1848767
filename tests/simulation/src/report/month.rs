//! The report of a month.

use std::io::Write;
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table};
use dayfly_records::{Cost, Purpose};
use dayfly_report::sums::{By, Sums, caps_left, rows};
use dayfly_types::money::MicroDollars;
use simulation::{JobEnds, Month, REPOSITORIES, Tally};

use super::WIDTH;

/// The number of repositories shown.
const DEAREST: usize = 10;

/// The purposes of instances that ran a job.
const RAN: [Purpose; 2] = [Purpose::Job, Purpose::Interrupted];

/// The number of caps shown.
const CAPS: usize = 6;

/// Prints a month and its costs.
pub fn month(month: &Month, jobs: usize, took: Duration, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "{}", summary(month, jobs, took))?;
    writeln!(out, "\n{}", dearest(&month.costs))?;
    writeln!(out, "\n{}", by_type(&month.costs))?;
    writeln!(out, "\n{}", caps(month))
}

fn summary(month: &Month, jobs: usize, took: Duration) -> Table {
    let tally = &month.outcome.tally;
    let sums = Sums::of(&month.costs);
    let mut table = Table::new();
    table.add_row([
        "organisation",
        &format!("{REPOSITORIES} repositories, {} runs, {jobs} jobs", month.runs),
    ]);
    table.add_row(["jobs", &ends(&month.ends)]);
    table.add_row(["interruptions", &interruptions(month, &sums)]);
    let waited = |percent| format!("p{percent} {}", seconds(month.waited(percent)));
    let waits = [50, 95, 99].map(waited).join(", ");
    table.add_row(["queued for", &waits]);
    let instances = format!("{}, at most {} at once", tally.instances, tally.at_once);
    table.add_row(["instances", &instances]);
    table.add_row(["EC2's bill", &bill(tally)]);
    let saved = format!(
        "{} against on-demand capacity; on GitHub's own GPU runner {} minutes would have been {}",
        sums.saved.in_cents(),
        month.minutes,
        month.on_github().in_cents()
    );
    table.add_row(["saved", &saved]);
    table.add_row(["calls for a job", &calls(tally)]);
    let alerts = tally.ports.get("alert").copied().unwrap_or_default();
    table.add_row(["alerts sent", &alerts.to_string()]);
    table.add_row(["took", &format!("{:.1} s", took.as_secs_f64())]);
    table.add_row(["hash", &format!("{:016x}", month.outcome.hash)]);
    let broken = usize::from(month.outcome.broken.is_some());
    table.add_row(["promises broken", &broken.to_string()]);
    table
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH);
    table
}

fn ends(ends: &JobEnds) -> String {
    let all = [
        (ends.succeeded, "succeeded"),
        (ends.failed, "failed by themselves"),
        (ends.cancelled, "cancelled by people"),
        (ends.interrupted, "interrupted for good"),
        (ends.refused, "refused by a cap"),
        (ends.unlaunchable, "failed for want of capacity"),
        (ends.open, "open"),
    ];
    let words = all.iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> = words.map(|(count, what)| format!("{count} {what}")).collect();
    words.join(", ")
}

fn interruptions(month: &Month, sums: &Sums) -> String {
    let with_a_job = month.costs.iter().filter(|cost| RAN.contains(&cost.purpose)).count();
    format!(
        "{} jobs lost their instance: {} of the {with_a_job} instances that ran one; {} runs run again; {} paid for lost work",
        sums.interrupted,
        percent(sums.interrupted as u64, with_a_job as u64),
        month.reruns,
        sums.wasted.in_cents()
    )
}

fn bill(tally: &Tally) -> String {
    let off = tally.settled.abs_diff(tally.billed) * 10_000 / tally.billed.max(1);
    format!(
        "{}; settled {}, off by {}.{:02} %, of a cent or more none by more than {}.{:02} %",
        MicroDollars(tally.billed).in_cents(),
        MicroDollars(tally.settled).in_cents(),
        off / 100,
        off % 100,
        tally.most_off / 100,
        tally.most_off % 100
    )
}

fn calls(tally: &Tally) -> String {
    let each = |count: u64| tenths(count * 10, tally.jobs);
    let functions: u64 = tally.functions.values().sum();
    let launches = tally.ports.get("create_fleet").copied().unwrap_or_default();
    let services: Vec<String> = ["EC2", "GitHub", "table", "bus"]
        .into_iter()
        .map(|name| {
            let count = tally.services.get(name).copied().unwrap_or_default();
            format!("{name} {}", each(count))
        })
        .collect();
    format!(
        "{} CreateFleet, {} calls of functions; of APIs: {}",
        each(launches),
        each(functions),
        services.join(", ")
    )
}

/// As `dayfly cost --by repository` sums them up.
fn dearest(costs: &[Cost]) -> Table {
    let mut table = cost_table("repository");
    let all = rows(costs, By::Repository);
    for row in all.iter().take(DEAREST) {
        table.add_row(line(row.name.as_deref().unwrap_or("(not known)").to_owned(), &row.sums));
    }
    let rest: Vec<Option<&str>> = all.iter().skip(DEAREST).map(|row| row.name.as_deref()).collect();
    let of_rest = costs
        .iter()
        .filter(|cost| rest.contains(&By::Repository.of(cost).as_deref()));
    table.add_row(line(format!("{} others", rest.len()), &Sums::of(of_rest)));
    table.add_row(line("all".to_owned(), &Sums::of(costs)));
    table
}

fn by_type(costs: &[Cost]) -> Table {
    let mut table = cost_table("type");
    for row in rows(costs, By::Type) {
        table.add_row(line(row.name.unwrap_or_default(), &row.sums));
    }
    table
}

fn cost_table(by: &str) -> Table {
    let mut table = Table::new();
    table.set_header([
        by, "runs", "jobs", "minutes", "compute", "disk", "address", "total", "saved", "lost", "wasted",
    ]);
    right(&mut table, 1..11);
    table
}

fn right(table: &mut Table, columns: std::ops::Range<usize>) {
    for index in columns {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
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

fn caps(month: &Month) -> Table {
    let mut table = Table::new();
    table.set_header(["cap of", "month", "cap", "spent", "reserved", "left", "thresholds"]);
    right(&mut table, 2..6);
    for left in caps_left(&month.ledgers).into_iter().take(CAPS) {
        let ledger = month
            .ledgers
            .iter()
            .find(|one| one.budget == left.budget && one.month == left.month);
        let passed = ledger.map(|ledger| ledger.passed.iter().map(ToString::to_string).collect());
        let passed: Vec<String> = passed.unwrap_or_default();
        table.add_row([
            left.budget.to_string(),
            left.month.to_string(),
            left.cap.in_cents(),
            left.spent.in_cents(),
            left.reserved.in_cents(),
            left.left.in_cents(),
            passed.join(", "),
        ]);
    }
    table
}

fn percent(part: u64, of: u64) -> String {
    format!("{} %", tenths(part * 1000, of))
}

/// Returns tenths per item, rounded to the nearest.
fn tenths(count: u64, of: u64) -> String {
    let of = of.max(1);
    let count = (count + of / 2) / of;
    format!("{}.{}", count / 10, count % 10)
}

fn seconds(span: Duration) -> String {
    format!("{:.0} s", span.as_secs_f64())
}
