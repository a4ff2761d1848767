//! The printed output.

mod month;

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::io::{IsTerminal, Write};
use std::time::Duration;

use comfy_table::{ContentArrangement, Table};
use dayfly_types::money::MicroDollars;
use simulation::{Broken, Guard, Many, Plan, Tally, clock, run, sweep_reads};

pub use month::month;

/// How many lines of a timeline are shown before its end.
const LAST_LINES: usize = 80;

/// The width of tables.
const WIDTH: u16 = 120;

/// A line with a counter, shown on a terminal.
pub struct Progress {
    total: u64,
    what: &'static str,
    shown: bool,
}

impl Progress {
    pub fn new(total: u64, what: &'static str) -> Self {
        Self {
            total,
            what,
            shown: std::io::stderr().is_terminal(),
        }
    }

    pub fn show(&self, done: u64) {
        if self.shown {
            // A closed terminal needs no output.
            let _ = write!(std::io::stderr(), "\r{done} of {} {}", self.total, self.what);
        }
    }

    pub fn end(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// Prints the items of a history.
pub fn plan(plan: &Plan, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(
        out,
        "seed {}: maximum lifetime {}, faults until {}",
        plan.seed,
        clock(plan.lifetime),
        clock(plan.calm_from)
    )?;
    if plan.limits.any() {
        writeln!(out, "      {:?}", plan.limits)?;
    }
    for (number, item) in &plan.items {
        writeln!(out, "{number:>4}  {item}")?;
    }
    writeln!(out)
}

/// Prints a broken promise.
pub fn broken(seed: u64, broken: &Broken, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(
        out,
        "BROKEN by seed {seed} at {}: {} — {}",
        clock(broken.at),
        broken.promise,
        broken.why
    )
}

/// Prints the shortest history that breaks a promise, with its timeline and its command.
pub fn shortest(shortest: &Plan, without: &[Guard], out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "\nThe shortest history that was found:")?;
    plan(shortest, out)?;
    let outcome = run(shortest.clone(), without, true);
    for line in &outcome.lines[outcome.lines.len().saturating_sub(LAST_LINES)..] {
        writeln!(out, "{line}")?;
    }
    let only: Vec<String> = shortest.items.iter().map(|(number, _)| number.to_string()).collect();
    let without: Vec<String> = without.iter().map(|guard| format!(" --without {guard}")).collect();
    let without = without.concat();
    writeln!(
        out,
        "\nAgain: cargo run --profile soak -p simulation -- --seed {} --only {}{without}",
        shortest.seed,
        only.join(",")
    )
}

/// Prints the counts of many histories.
pub fn summary(many: &Many, from: u64, took: Duration, out: &mut impl Write) -> std::io::Result<()> {
    let Many { tally, broken, hash } = many;
    let days = tally.seconds / 86_400;
    let steps = tally.steps.len();
    let seeds = tally.histories;
    let mut table = Table::new();
    table.add_row(["seeds", &format!("{seeds}, {from} to {}", from + seeds - 1)]);
    table.add_row([
        "simulated",
        &format!("{days} days, {} jobs, {} instances", tally.jobs, tally.instances),
    ]);
    table.add_row(["outages hit", &counts(&tally.outages)]);
    table.add_row(["troubles", &counts(&tally.troubles)]);
    let deaths = format!(
        "{} functions killed, {} dead letters, {} lost races, {} throttles",
        tally.killed, tally.dead_letters, tally.conflicts, tally.throttles
    );
    table.add_row(["and", &deaths]);
    let money = format!(
        "{} settled, {} billed by EC2 to the second; all was heard of {} instances, and of a cent or more none of them is off by more than {}.{:02} %",
        MicroDollars(tally.settled).in_cents(),
        MicroDollars(tally.billed).in_cents(),
        tally.exact,
        tally.most_off / 100,
        tally.most_off % 100
    );
    table.add_row(["money", &money]);
    table.add_row(["functions called", &counts(&tally.functions)]);
    table.add_row(["calls made", &words(&tally.ports)]);
    table.add_row(["steps taken", &format!("{steps} of {}", Tally::all_steps())]);
    let reads = format!(
        "{} with 10 live, {} with 10,000 live, 10 of them due each time",
        sweep_reads(10, 10),
        sweep_reads(10_000, 10)
    );
    table.add_row(["reads of a sweep", &reads]);
    table.add_row(["took", &format!("{:.1} s", took.as_secs_f64())]);
    table.add_row(["hash of all", &format!("{hash:016x}")]);
    table.add_row(["promises broken", &broken.len().to_string()]);
    table
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH);
    writeln!(out, "{table}")
}

/// Prints how long after the last fault each promise took to hold.
pub fn recoveries(tally: &Tally, out: &mut impl Write) -> std::io::Result<()> {
    let mut table = Table::new();
    table.set_header([
        "after the last fault, not held yet",
        "histories",
        "p50",
        "p99",
        "longest, with their seeds",
    ]);
    for one in tally.recoveries.summary() {
        let longest: Vec<String> = one
            .longest
            .iter()
            .map(|(seed, lasted)| format!("{} ({seed})", clock(*lasted)))
            .collect();
        table.add_row([
            one.promise.to_owned(),
            one.histories.to_string(),
            clock(one.median),
            clock(one.p99),
            longest.join(", "),
        ]);
    }
    table
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH);
    writeln!(out, "{table}")
}

/// Prints the pairs of fault and state that no history reached.
pub fn coverage(tally: &Tally, out: &mut impl Write) -> std::io::Result<()> {
    let (all, never) = tally.coverage.never();
    writeln!(out, "faults × states: {} of {all} reached", all - never.len())?;
    if !never.is_empty() {
        writeln!(out, "never reached: {}", never.join(", "))?;
    }
    Ok(())
}

fn counts<K: Debug>(of: &BTreeMap<K, u64>) -> String {
    words(&of.iter().map(|(key, count)| (format!("{key:?}"), *count)).collect())
}

fn words<K: Display>(of: &BTreeMap<K, u64>) -> String {
    let words: Vec<String> = of.iter().map(|(key, count)| format!("{key} {count}")).collect();
    words.join(", ")
}

/// Prints what breaks without each guard.
pub fn guards(rows: &[(Guard, Option<(u64, Broken)>)], seeds: u64, out: &mut impl Write) -> std::io::Result<()> {
    let mut table = Table::new();
    table.set_header(["without", "this promise breaks", "at seed"]);
    for (guard, broken) in rows {
        let (promise, seed) = match broken {
            Some((seed, broken)) => (broken.promise.to_owned(), seed.to_string()),
            None => (format!("none in {seeds} seeds"), "–".to_owned()),
        };
        let without = match guard.second() {
            Some(second) => format!("{guard}, {second}"),
            None => guard.to_string(),
        };
        table.add_row([without, promise, seed]);
    }
    writeln!(out, "{table}")
}
