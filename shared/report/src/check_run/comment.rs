//! The one comment of a pull request: what its runs have cost.

use std::fmt::Write as _;

use dayfly_config::CONFIG_PATH;
use dayfly_records::{Costs, PullReport, RunSum};
use dayfly_types::money::MicroDollars;

use crate::check_run::{MAX_TEXT, markdown};
use crate::story::GITHUB_GPU_MINUTE;
use crate::sums::CapLeft;

/// What our comment begins with, by which it is found again. Nobody sees it.
pub const COMMENT_MARKER: &str = "<!-- dayfly:pull -->";

/// More of a workflow's name makes a table that nobody reads.
const MAX_NAME: usize = 60;

/// The comment that says what the runs of a pull request have cost, and what is left of the caps that they
/// are counted under. `web` is where GitHub's pages are.
#[must_use]
pub fn comment(report: &PullReport, caps: &[CapLeft], web: &str) -> String {
    let mut text = format!("{COMMENT_MARKER}\n{}", headline(report));
    text.push_str(&elsewhere(&report.total()));
    text.push_str(&table(report, web));
    text.push_str(&left(caps));
    let _ = write!(
        text,
        "\n<sub>By dayfly, which keeps this one comment up to date. It stays away once it is deleted, and \
         everywhere with `comment: false` in `{CONFIG_PATH}`.</sub>\n"
    );
    markdown::cut(&text, MAX_TEXT)
}

fn headline(report: &PullReport) -> String {
    let Costs {
        jobs, minutes, cost, ..
    } = report.total();
    let so_far = if report.is_final() { "" } else { " so far" };
    format!(
        "### The runs of this pull request cost {}{so_far}\n\n{}, {} in {}.\n",
        cost.in_cents(),
        count(report.attempts(), "run attempt"),
        count(jobs, "job"),
        count(minutes, "minute"),
    )
}

/// What was saved, what it would have cost elsewhere, what is lost, and what GitHub asks for.
fn elsewhere(total: &Costs) -> String {
    let minute = GITHUB_GPU_MINUTE;
    let nothing = MicroDollars::default();
    let lines = [
        (total.saved, "Saved against on-demand capacity", String::new()),
        (
            total.on_github,
            "On GitHub's own runner with a GPU",
            format!(", at {minute} a minute"),
        ),
        (
            Some(total.wasted).filter(|wasted| *wasted > nothing),
            "Lost to interruptions",
            ", which is part of the cost".to_owned(),
        ),
        (
            total.github_charge,
            "GitHub's charge for minutes on runners that are not its own",
            ", which is not part of the cost".to_owned(),
        ),
    ];
    let told = lines.into_iter().filter_map(|(amount, what, remark)| {
        let amount = amount?.in_cents();
        Some(format!("- {what}: **{amount}**{remark}\n"))
    });
    let told: String = told.collect();
    if told.is_empty() { told } else { format!("\n{told}") }
}

fn table(report: &PullReport, web: &str) -> String {
    let mut text = "\n| Run | Workflow | Jobs | Minutes | Cost | Saved |\n|---|---|---:|---:|---:|---:|\n".to_owned();
    for run in report.runs.iter().rev() {
        let name = run.workflow.as_deref().unwrap_or_default();
        let name = markdown::name(name, MAX_NAME);
        text.push_str(&row(&link(run, report, web), &name, &run.costs(), run.is_final));
    }
    let (attempts, costs) = report.together();
    if attempts > 0 {
        let before = format!("{} before", count(attempts, "run attempt"));
        let is_final = report.kept.iter().all(|run| run.is_final);
        text.push_str(&row(&before, "", &costs, is_final));
    }
    text
}

fn row(run: &str, name: &str, costs: &Costs, is_final: bool) -> String {
    let so_far = if is_final { "" } else { " so far" };
    let saved = costs.saved.map_or_else(String::new, MicroDollars::in_cents);
    let cost = costs.cost.in_cents();
    format!(
        "| {run} | {name} | {} | {} | {cost}{so_far} | {saved} |\n",
        costs.jobs, costs.minutes
    )
}

fn link(run: &RunSum, report: &PullReport, web: &str) -> String {
    let url = format!("{web}/{}/actions/runs/{}", report.repository, run.run);
    if run.attempt.0 <= 1 {
        return format!("[{}]({url})", run.run);
    }
    format!("[{}, attempt {}]({url}/attempts/{})", run.run, run.attempt, run.attempt)
}

/// What is left of the caps.
fn left(caps: &[CapLeft]) -> String {
    let mut text = String::new();
    for cap in caps {
        if text.is_empty() {
            let _ = write!(text, "\nLeft of the caps in {} (UTC):\n\n", cap.month);
        }
        let _ = writeln!(
            text,
            "- {}: **{}** of {}, with {} spent and {} reserved",
            markdown::escaped(&cap.budget.to_string()),
            cap.left.in_cents(),
            cap.cap.in_cents(),
            cap.spent.in_cents(),
            cap.reserved.in_cents(),
        );
    }
    text
}

fn count(number: u64, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}

#[cfg(test)]
#[path = "comment_tests.rs"]
mod tests;
