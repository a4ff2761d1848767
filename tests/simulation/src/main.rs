//! `simulation`: runs seeds, and tells what they came to.

mod report;

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use simulation::{Guard, Plan, first_broken, month, run, run_many, shrink};

/// Runs histories full of faults on a virtual clock, and checks dayfly's promises at every step.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// One seed only, with its timeline.
    #[arg(long)]
    seed: Option<u64>,
    /// Of that seed, only the items with these numbers.
    #[arg(long, value_delimiter = ',', requires = "seed")]
    only: Option<Vec<usize>>,
    /// Of that seed, what the functions log too.
    #[arg(long, requires = "seed")]
    logs: bool,
    /// Take a guard away; may be given more than once.
    #[arg(long)]
    without: Vec<Guard>,
    /// A month of a busy organisation, with its cost report.
    #[arg(long, conflicts_with_all = ["seed", "without", "guards"])]
    month: bool,
    /// How many jobs are queued in that month.
    #[arg(long, default_value_t = 50_000, requires = "month")]
    jobs: usize,
    /// Of that month, what names this: a job's number, or a run's.
    #[arg(long, requires = "month")]
    about: Option<String>,
    /// Take each guard away in turn, and tell which promise breaks.
    #[arg(long)]
    guards: bool,
}

/// So many seeds must meet every step of the lifecycles.
const ENOUGH: u64 = 5000;

const DAY: u64 = 24 * 3600;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = std::io::stdout();
    let done = match arguments.seed {
        Some(seed) => one(seed, &arguments, &mut out),
        None if arguments.month => one_month(&arguments, &mut out),
        None if arguments.guards => guards(&arguments, &mut out),
        None => many(&arguments, &mut out),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        // Nobody reads on: a closed pipe is no failure of a promise, and no success either.
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

/// One history, told. Answers whether its promises were kept.
fn one(seed: u64, arguments: &Arguments, out: &mut impl Write) -> std::io::Result<bool> {
    if arguments.logs {
        tracing_subscriber::fmt()
            .without_time()
            .with_ansi(false)
            .with_writer(std::io::stderr)
            .init();
    }
    let mut plan = Plan::draw(seed);
    if let Some(only) = &arguments.only {
        plan = plan.only(only);
    }
    report::plan(&plan, out)?;
    let outcome = run(plan, &arguments.without, true);
    for line in &outcome.told {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "hash {:016x}", outcome.hash)?;
    if let Some(broken) = &outcome.broken {
        report::broken(seed, broken, out)?;
    }
    Ok(outcome.broken.is_none())
}

/// A month, reported. Answers whether its promises were kept.
fn one_month(arguments: &Arguments, out: &mut impl Write) -> std::io::Result<bool> {
    let start = Instant::now();
    let plan = Plan::month(arguments.from, arguments.jobs);
    let days = plan.calm_from.as_secs() / DAY;
    let progress = report::Progress::new(days, "days");
    let month = month(plan, arguments.about.clone(), &|elapsed| {
        progress.show(elapsed.as_secs() / DAY);
    });
    progress.end();
    for line in &month.outcome.told {
        writeln!(out, "{line}")?;
    }
    report::month(&month, arguments.jobs, start.elapsed(), out)?;
    if let Some(broken) = &month.outcome.broken {
        report::broken(arguments.from, broken, out)?;
    }
    Ok(month.outcome.broken.is_none())
}

/// Many histories, counted.
fn many(arguments: &Arguments, out: &mut impl Write) -> std::io::Result<bool> {
    let start = Instant::now();
    let progress = report::Progress::new(arguments.seeds, "seeds");
    let many = run_many(arguments.from, arguments.seeds, &arguments.without, false, |done| {
        if done.is_multiple_of(20) {
            progress.show(done);
        }
    });
    progress.end();
    report::summary(&many, arguments.from, arguments.seeds, start.elapsed(), out)?;
    for (seed, broken) in many.broken.iter().take(20) {
        report::broken(*seed, broken, out)?;
    }
    if let Some((seed, broken)) = many.broken.first() {
        let plan = shrink(&Plan::draw(*seed), &arguments.without, broken.promise);
        report::shortest(&plan, &arguments.without, out)?;
    }
    let never = many.tally.never_taken();
    // Few seeds do not meet everything.
    let enough = arguments.seeds < ENOUGH || !arguments.without.is_empty();
    if !never.is_empty() && !enough {
        writeln!(out, "never taken: {}", never.join(", "))?;
    }
    Ok(many.broken.is_empty() && (never.is_empty() || enough))
}

/// What breaks without each guard. Answers whether something does.
fn guards(arguments: &Arguments, out: &mut impl Write) -> std::io::Result<bool> {
    let mut rows = Vec::new();
    for guard in Guard::ALL {
        rows.push((*guard, first_broken(*guard, arguments.from, arguments.seeds)));
    }
    report::guards(&rows, arguments.seeds, out)?;
    Ok(rows.iter().all(|(guard, broken)| broken.is_some() == guard.has_teeth()))
}
