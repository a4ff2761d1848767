//! The figures as a table and as JSON.

use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::burst::{Burst, MOST_PROCESSES};
use crate::goals::{self, Figures, PEER, PEER_LAUNCH_OF_10_MS, Span};
use crate::measure::{Measured, Plan};

const MIB: f64 = 1_048_576.0;
const MB: f64 = 1_000_000.0;

/// One function's figures, its goal and its peer.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The function, with its task if it has several.
    pub function: String,
    /// Spawn to the first request for an event, median.
    pub init_ms: f64,
    /// Event handed out to answer in a new process, median.
    pub first_invoke_ms: f64,
    /// Spawn to answer, median.
    pub cold_ms: f64,
    pub cold_fastest_ms: f64,
    /// Spawn to answer in multiples of the reference's, measured alternately.
    pub cold_in_hellos: f64,
    /// Event handed out to answer in a warm process, median.
    pub warm_median_ms: f64,
    /// The same, 99th percentile.
    pub warm_p99_ms: f64,
    /// Peak resident memory after one invocation.
    pub cold_rss_mib: f64,
    /// Peak resident memory after all invocations.
    pub peak_rss_mib: f64,
    /// Calls to AWS and GitHub of a first invocation, on average.
    pub cold_calls: f64,
    /// Calls to AWS and GitHub of a warm invocation, on average.
    pub warm_calls: f64,
    pub binary_mb: f64,
    pub zip_mb: f64,
    pub goal: Figures,
    pub peer: Option<Figures>,
}

/// The results of concurrent jobs.
#[derive(Clone, Debug, Serialize)]
pub struct Launches {
    pub jobs: usize,
    /// From the first event to the last answer of `launch`, when each job has an instance.
    pub launched_ms: f64,
    /// From the first claim to the last JIT config, with all instances claiming at once.
    pub registered_ms: f64,
    /// `CreateFleet` calls.
    pub create_fleet: u64,
    /// Other calls to EC2.
    pub other_ec2: u64,
    pub dynamodb_reads: u64,
    pub dynamodb_writes: u64,
    /// Reads and sign-ins.
    pub github_reads: u64,
    pub github_writes: u64,
    /// The peer's time from the first to the last launch.
    pub peer_ms: Option<f64>,
}

impl Launches {
    fn new(burst: &Burst) -> Self {
        let sum = |fits: &dyn Fn(&str) -> bool| burst.calls.iter().filter(|(name, _)| fits(name)).map(|(_, n)| n).sum();
        let reads = |name: &str| {
            ["GetItem", "Query", "BatchGetItem"]
                .iter()
                .any(|read| name.ends_with(read))
        };
        let asks = |name: &str| name.starts_with("github GET") || name.ends_with("access_tokens");
        Self {
            jobs: burst.jobs,
            launched_ms: milliseconds(Some(burst.launched)),
            registered_ms: milliseconds(Some(burst.registered)),
            create_fleet: sum(&|name| name == "ec2 CreateFleet"),
            other_ec2: sum(&|name| name.starts_with("ec2 ") && name != "ec2 CreateFleet"),
            dynamodb_reads: sum(&|name| name.starts_with("dynamodb ") && reads(name)),
            dynamodb_writes: sum(&|name| name.starts_with("dynamodb ") && !reads(name)),
            github_reads: sum(&|name| name.starts_with("github ") && asks(name)),
            github_writes: sum(&|name| name.starts_with("github ") && !asks(name)),
            peer_ms: (burst.jobs == 10).then_some(PEER_LAUNCH_OF_10_MS),
        }
    }

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![
            self.jobs.to_string(),
            format!("{:.0} ms", self.launched_ms),
            self.peer_ms.map(|peer| format!("{peer:.0} ms")).unwrap_or_default(),
            format!("{:.0} ms", self.registered_ms),
        ];
        let counts = [
            self.create_fleet,
            self.other_ec2,
            self.dynamodb_reads,
            self.dynamodb_writes,
            self.github_reads,
            self.github_writes,
        ];
        cells.extend(counts.map(|count| count.to_string()));
        cells
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Processes started for each row.
    pub cold_starts: usize,
    /// Warm invocations for each row.
    pub warm_invocations: usize,
    pub processors: usize,
    pub peer: &'static str,
    pub rows: Vec<Row>,
    pub launches: Vec<Launches>,
}

impl Report {
    /// Computes the report.
    #[must_use]
    pub fn new(plan: Plan, measured: &[(&'static str, Measured)], bursts: &[Burst]) -> Self {
        Self {
            cold_starts: plan.cold,
            warm_invocations: plan.warm,
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            peer: PEER,
            rows: measured.iter().map(|(name, it)| Row::new(name, it)).collect(),
            launches: bursts.iter().map(Launches::new).collect(),
        }
    }

    /// Returns the tables, with goals and peers beside the figures.
    #[must_use]
    pub fn table(&self) -> String {
        let mut parts = Vec::new();
        if !self.rows.is_empty() {
            parts.push(self.functions());
        }
        if !self.launches.is_empty() {
            parts.push(self.bursts());
        }
        parts.join("\n\n")
    }

    fn bursts(&self) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING).set_header([
            "jobs at once",
            "launched",
            "peer",
            "registered",
            "CreateFleet",
            "other EC2",
            "DynamoDB reads",
            "writes",
            "GitHub reads",
            "writes",
        ]);
        for column in table.column_iter_mut() {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for launches in &self.launches {
            table.add_row(launches.cells());
        }
        format!(
            "{}\n\n\
             launched: first event to the last answer of `launch`, in at most {MOST_PROCESSES} new processes on {} processors, with an\n\
             instance for each job. registered: first claim to last JIT config if all instances ask at once: 20 go through at\n\
             once and 150 a minute after them, which is what GitHub allows. calls: of `launch` and `checkin` together.\n\
             peer: {} with GitHub taking one write a second, launched and registered in one.",
            table.trim_fmt(),
            self.processors,
            self.peer,
        )
    }

    fn functions(&self) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING).set_header([
            "function",
            "init",
            "first invoke",
            "spawn → answer",
            "× hello",
            "warm median",
            "warm p99",
            "peak RSS",
            "zip",
            "calls",
        ]);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for row in &self.rows {
            table.add_row(row.cells());
            if row.goal != Figures::default() {
                table.add_row(figures("  goal", &row.goal));
            }
            if let Some(peer) = &row.peer {
                table.add_row(figures("  peer", peer));
            }
        }
        format!("{}\n\n{}", table.trim_fmt(), self.legend())
    }

    fn legend(&self) -> String {
        format!(
            "Medians of {} starts and {} warm invocations on {} processors; AWS and GitHub on loopback, without TLS.\n\
             init: spawn to first request for an event. calls: to AWS and GitHub in a first and in a warm invocation.\n\
             peer: {}.{}",
            self.cold_starts,
            self.warm_invocations,
            self.processors,
            self.peer,
            self.verdict(),
        )
    }

    fn verdict(&self) -> String {
        if self.rows.iter().all(|row| row.goal == Figures::default()) {
            return String::new();
        }
        let missed: Vec<String> = self.rows.iter().flat_map(Row::missed).collect();
        if missed.is_empty() {
            return "\nEvery goal was met.".to_owned();
        }
        format!("\nOver its goal: {}.", missed.join(", "))
    }
}

impl Row {
    fn new(name: &str, measured: &Measured) -> Self {
        let cold = milliseconds(measured.cold.median());
        Self {
            function: name.to_owned(),
            init_ms: milliseconds(measured.init.median()),
            first_invoke_ms: milliseconds(measured.first.median()),
            cold_ms: cold,
            cold_fastest_ms: milliseconds(measured.cold.percentile(0)),
            cold_in_hellos: match name {
                "hello" => 1.0,
                _ => cold / milliseconds(measured.reference.median()),
            },
            warm_median_ms: milliseconds(measured.warm.median()),
            warm_p99_ms: milliseconds(measured.warm.percentile(99)),
            cold_rss_mib: of(measured.cold_rss, MIB),
            peak_rss_mib: of(measured.peak_rss, MIB),
            cold_calls: measured.cold_calls,
            warm_calls: measured.warm_calls,
            binary_mb: of(measured.size.binary, MB),
            zip_mb: of(measured.size.zip, MB),
            goal: goals::goal(name),
            peer: goals::peer(name),
        }
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.function.clone(),
            format!("{:.1} ms", self.init_ms),
            format!("{:.1} ms", self.first_invoke_ms),
            format!("{:.1} ms", self.cold_ms),
            format!("{:.1}", self.cold_in_hellos),
            format!("{:.2} ms", self.warm_median_ms),
            format!("{:.2} ms", self.warm_p99_ms),
            format!("{:.1} MiB", self.peak_rss_mib),
            format!("{:.2} MB", self.zip_mb),
            format!("{:.0} / {:.1}", self.cold_calls, self.warm_calls),
        ]
    }

    /// Returns the names of the figures over their goal.
    fn missed(&self) -> Vec<String> {
        let pairs = [
            ("spawn → answer", self.cold_ms, self.goal.cold_ms),
            ("warm median", self.warm_median_ms, self.goal.warm_median_ms),
            ("warm p99", self.warm_p99_ms, self.goal.warm_p99_ms),
            ("peak RSS", self.peak_rss_mib, self.goal.peak_rss_mib),
            ("zip", self.zip_mb, self.goal.zip_mb),
        ];
        pairs
            .into_iter()
            .filter(|(_, value, goal)| goal.is_some_and(|goal| *value > goal.to))
            .map(|(name, _, _)| format!("{} ({name})", self.function))
            .collect()
    }
}

fn figures(name: &str, figures: &Figures) -> Vec<String> {
    vec![
        name.to_owned(),
        String::new(),
        String::new(),
        span(figures.cold_ms, "ms"),
        String::new(),
        span(figures.warm_median_ms, "ms"),
        span(figures.warm_p99_ms, "ms"),
        span(figures.peak_rss_mib, "MiB"),
        span(figures.zip_mb, "MB"),
    ]
}

fn span(span: Option<Span>, unit: &str) -> String {
    match span {
        None => String::new(),
        Some(Span { from, to }) if from <= 0.0 => format!("≤ {to} {unit}"),
        Some(Span { from, to }) if from < to => format!("{from}–{to} {unit}"),
        Some(Span { to, .. }) => format!("{to} {unit}"),
    }
}

fn milliseconds(duration: Option<Duration>) -> f64 {
    duration.map_or(f64::NAN, |duration| duration.as_secs_f64() * 1_000.0)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "sizes of memory and files are far below what a float tells apart"
)]
fn of(bytes: u64, unit: f64) -> f64 {
    bytes as f64 / unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::size::Size;
    use crate::stats::Sample;

    fn measured(cold: u64) -> Measured {
        let sample = |milliseconds| Sample::from_iter([Duration::from_millis(milliseconds)]);
        Measured {
            init: sample(4),
            first: sample(cold - 4),
            cold: sample(cold),
            reference: sample(5),
            warm: sample(1),
            cold_rss: 9 << 20,
            peak_rss: 10 << 20,
            cold_calls: 3.0,
            warm_calls: 2.0,
            size: Size {
                binary: 6_000_000,
                zip: 2_900_000,
            },
        }
    }

    fn report(cold: u64) -> Report {
        let plan = Plan { cold: 1, warm: 1 };
        Report::new(plan, &[("webhook", measured(cold)), ("sweeper", measured(30))], &[])
    }

    #[test]
    fn the_table_sets_the_goal_and_the_peer_beside_the_figures() {
        let table = report(15).table();
        let line = |start: &str| table.lines().find(|line| line.trim_start().starts_with(start)).unwrap();
        for part in ["4.0 ms", "15.0 ms", "3.0", "1.00 ms", "10.0 MiB", "2.90 MB"] {
            assert!(line("webhook").contains(part), "{part} in\n{table}");
        }
        assert!(line("goal").contains("≤ 20 ms"), "{table}");
        assert!(line("peer").contains("182–223 ms"), "{table}");
        assert!(table.contains(PEER), "{table}");
        assert!(table.ends_with("Every goal was met."), "{table}");
    }

    #[test]
    fn a_figure_over_its_goal_is_named_and_nothing_fails() {
        let table = report(25).table();
        assert!(table.ends_with("Over its goal: webhook (spawn → answer)."), "{table}");
    }

    #[test]
    fn jobs_that_came_at_once_are_told_with_their_calls_by_kind_and_the_peer() {
        let calls = [
            ("ec2 CreateFleet", 3),
            ("ec2 DescribeImages", 1),
            ("dynamodb GetItem", 20),
            ("dynamodb Query", 2),
            ("dynamodb TransactWriteItems", 11),
            ("github POST access_tokens", 4),
            ("github GET .dayfly.yml", 1),
            ("github POST generate-jitconfig", 10),
            ("events PutEvents", 9),
        ];
        let burst = |jobs| Burst {
            jobs,
            launched: Duration::from_millis(321),
            registered: Duration::from_millis(45),
            calls: calls.map(|(name, count)| (name.to_owned(), count)).into(),
        };
        let plan = Plan { cold: 1, warm: 1 };
        let report = Report::new(plan, &[], &[burst(1), burst(10)]);
        let table = report.table();
        let line_of = |start: &str| {
            let line = table.lines().find(|line| line.trim_start().starts_with(start)).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line_of("1 "), "1 321 ms 45 ms 3 1 22 11 5 10");
        assert_eq!(line_of("10 "), "10 321 ms 9995 ms 45 ms 3 1 22 11 5 10");
    }

    #[test]
    fn json_carries_every_figure_as_a_number() {
        let json = serde_json::to_value(report(15)).unwrap();
        let row = &json["rows"][0];
        for field in [
            "init_ms",
            "cold_ms",
            "warm_p99_ms",
            "peak_rss_mib",
            "zip_mb",
            "cold_in_hellos",
        ] {
            assert!(row[field].is_number(), "{field} in {row}");
        }
        assert_eq!(row["peer"]["cold_ms"]["to"], 223.0);
        assert!(json["rows"][1]["peer"].is_null());
    }
}
