//! `simulation`: runs seeds and reports the results.

mod report;

use std::fs::OpenOptions;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use simulation::{Broken, Guard, Plan, Stop, first_broken, month, run, run_many, shrink};

/// A history is some hundred thousand small records that come and go.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs histories full of faults on a virtual clock, and checks dayfly's promises at every step.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct Arguments {
    /// The number of seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Run one seed only, with its timeline.
    #[arg(long)]
    seed: Option<u64>,
    /// Of that seed, keep only the items with these numbers.
    #[arg(long, value_delimiter = ',', requires = "seed")]
    only: Option<Vec<usize>>,
    /// Also print the functions' logs of that seed.
    #[arg(long, requires = "seed")]
    logs: bool,
    /// Disable a guard; may be given more than once.
    #[arg(long)]
    without: Vec<Guard>,
    /// Run a month of a busy organisation, with its cost report.
    #[arg(long, conflicts_with_all = ["seed", "without", "guards"])]
    month: bool,
    /// The number of jobs queued in that month.
    #[arg(long, default_value_t = 50_000, requires = "month")]
    jobs: usize,
    /// Of that month, print the lines that contain this: a job's id, or a run's.
    #[arg(long, requires = "month")]
    about: Option<String>,
    /// Run seeds that were never run, drawn from the clock, and add those that break a promise to the seeds
    /// that the tests run.
    #[arg(long, conflicts_with_all = ["seed", "from", "without", "guards", "month"])]
    soak: bool,
    /// End the soak after so many minutes, if it is not over by then.
    #[arg(long, requires = "soak")]
    minutes: Option<u64>,
    /// Disable each guard in turn, and print which promise breaks.
    #[arg(long)]
    guards: bool,
}

/// This many seeds must cover every step of the lifecycles.
const ENOUGH: u64 = 5000;

const DAY: u64 = 24 * 3600;

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if arguments.soak {
        arguments.from = fresh_seed();
    }
    let mut out = std::io::stdout();
    let done = match arguments.seed {
        Some(seed) => one(seed, &arguments, &mut out),
        None if arguments.month => one_month(&arguments, &mut out),
        None if arguments.guards => guards(&arguments, &mut out),
        None => many(&arguments, &mut out),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        // A closed pipe is neither a broken promise nor a success.
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

/// Runs and prints one history. Returns whether its promises were kept.
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
    for line in &outcome.lines {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "hash {:016x}", outcome.hash)?;
    if let Some(broken) = &outcome.broken {
        report::broken(seed, broken, out)?;
    }
    Ok(outcome.broken.is_none())
}

/// Runs a month and prints its report. Returns whether its promises were kept.
fn one_month(arguments: &Arguments, out: &mut impl Write) -> std::io::Result<bool> {
    let start = Instant::now();
    let plan = Plan::month(arguments.from, arguments.jobs);
    let days = plan.calm_from.as_secs() / DAY;
    let progress = report::Progress::new(days, "days");
    let month = month(plan, arguments.about.clone(), &|elapsed| {
        progress.show(elapsed.as_secs() / DAY);
    });
    progress.end();
    for line in &month.outcome.lines {
        writeln!(out, "{line}")?;
    }
    report::month(&month, arguments.jobs, start.elapsed(), out)?;
    if let Some(broken) = &month.outcome.broken {
        report::broken(arguments.from, broken, out)?;
    }
    Ok(month.outcome.broken.is_none())
}

/// Runs many histories and prints their counts.
fn many(arguments: &Arguments, out: &mut impl Write) -> std::io::Result<bool> {
    let start = Instant::now();
    let progress = report::Progress::new(arguments.seeds, "seeds");
    let minutes = arguments.minutes.map(|minutes| Duration::from_secs(60 * minutes));
    let stop = minutes.map_or(Stop::Never, |limit| Stop::At(start + limit));
    let many = run_many(arguments.from, arguments.seeds, &arguments.without, stop, |done| {
        if done.is_multiple_of(20) {
            progress.show(done);
        }
    });
    progress.end();
    report::summary(&many, arguments.from, start.elapsed(), out)?;
    report::recoveries(&many.tally, out)?;
    report::coverage(&many.tally, out)?;
    for (seed, broken) in many.broken.iter().take(20) {
        report::broken(*seed, broken, out)?;
    }
    if let Some((seed, broken)) = many.broken.first() {
        let plan = shrink(&Plan::draw(*seed), &arguments.without, broken.promise);
        report::shortest(&plan, &arguments.without, out)?;
    }
    if arguments.soak {
        keep(&many.broken)?;
    }
    let never = many.tally.never_taken();
    // A few seeds do not cover everything.
    let enough = many.tally.histories < ENOUGH || !arguments.without.is_empty();
    if !never.is_empty() && !enough {
        writeln!(out, "never taken: {}", never.join(", "))?;
    }
    Ok(many.broken.is_empty() && (never.is_empty() || enough))
}

/// Returns a seed that was never run: there is one for each microsecond.
fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Adds seeds to those that the tests run, each with what it found.
fn keep(broken: &[(u64, Broken)]) -> std::io::Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds.txt");
    let mut kept = OpenOptions::new().append(true).open(path)?;
    for (seed, broken) in broken {
        writeln!(kept, "{seed} {} ({:.160})", broken.promise, broken.why)?;
    }
    Ok(())
}

/// Prints what breaks without each guard. Returns whether something does for each.
fn guards(arguments: &Arguments, out: &mut impl Write) -> std::io::Result<bool> {
    let mut rows = Vec::new();
    for guard in Guard::ALL {
        rows.push((*guard, first_broken(*guard, arguments.from, arguments.seeds)));
    }
    report::guards(&rows, arguments.seeds, out)?;
    Ok(rows.iter().all(|(guard, broken)| broken.is_some() == guard.has_teeth()))
}
