//! The one comment of a pull request: what its runs have cost.

use std::fmt::Write as _;

use dayfly_config::CONFIG_PATH;
use dayfly_records::{Costs, PullReport, RunSum};
use dayfly_types::money::MicroDollars;

use crate::check_run::MAX_TEXT;
use crate::format::{counted, so_far};
use crate::story::GITHUB_GPU_MINUTE;
use crate::sums::CapLeft;
use crate::{markdown, urls};

/// The invisible beginning by which dayfly finds its comment again.
pub const MARKER: &str = "<!-- dayfly:pull -->";

/// Characters of a workflow's name.
const MAX_NAME: usize = 60;

/// Renders the comment. `caps` are those that the runs count towards, and `web` is GitHub's address.
#[must_use]
pub fn render(report: &PullReport, caps: &[CapLeft], web: &str) -> String {
    let total = report.total();
    let mut text = format!("{MARKER}\n{}", headline(report, &total));
    text.push_str(&comparisons(&total));
    text.push_str(&table(report, web));
    text.push_str(&caps_left(caps));
    let _ = write!(
        text,
        "\n<sub>dayfly keeps this one comment up to date. Once deleted, it does not come back; `comment: false` in \
         `{CONFIG_PATH}` turns it off everywhere.</sub>\n"
    );
    markdown::cut(&text, MAX_TEXT)
}

fn headline(report: &PullReport, total: &Costs) -> String {
    format!(
        "### The runs of this pull request cost {}{}\n\n{}, {} in {}.\n",
        total.cost.in_cents(),
        so_far(report.is_final()),
        counted(report.attempts(), "run attempt"),
        counted(total.jobs, "job"),
        counted(total.minutes, "minute"),
    )
}

/// Renders savings, what GitHub's own runner would have cost, losses, and GitHub's charge.
fn comparisons(total: &Costs) -> String {
    let lines = [
        (total.saved, "Saved against on-demand capacity", String::new()),
        (
            total.on_github,
            "On GitHub's own GPU runner",
            format!(", at {GITHUB_GPU_MINUTE} a minute"),
        ),
        (
            Some(total.wasted).filter(|wasted| *wasted > MicroDollars::default()),
            "Lost to interruptions",
            ", included in the cost".to_owned(),
        ),
        (
            total.github_charge,
            "GitHub's charge for minutes on self-hosted runners",
            ", not included in the cost".to_owned(),
        ),
    ];
    let lines = lines.into_iter().filter_map(|(amount, name, remark)| {
        let amount = amount?.in_cents();
        Some(format!("- {name}: **{amount}**{remark}\n"))
    });
    let lines: String = lines.collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

fn table(report: &PullReport, web: &str) -> String {
    let mut text = "\n| Run | Workflow | Jobs | Minutes | Cost | Saved |\n|---|---|---:|---:|---:|---:|\n".to_owned();
    for run in report.runs.iter().rev() {
        let name = markdown::name(run.workflow.as_deref().unwrap_or_default(), MAX_NAME);
        text.push_str(&row(&run_link(run, report, web), &name, &run.costs(), run.is_final));
    }
    let (attempts, costs) = report.together();
    if attempts > 0 {
        let earlier = counted(attempts, "earlier run attempt");
        let is_final = report.kept.iter().all(|run| run.is_final);
        text.push_str(&row(&earlier, "", &costs, is_final));
    }
    text
}

fn row(run: &str, name: &str, costs: &Costs, is_final: bool) -> String {
    let saved = costs.saved.map_or_else(String::new, MicroDollars::in_cents);
    format!(
        "| {run} | {name} | {} | {} | {}{} | {saved} |\n",
        costs.jobs,
        costs.minutes,
        costs.cost.in_cents(),
        so_far(is_final)
    )
}

fn run_link(run: &RunSum, report: &PullReport, web: &str) -> String {
    let RunSum { run, attempt, .. } = run;
    if attempt.0 <= 1 {
        return format!("[{run}]({})", urls::run(web, &report.repository, *run));
    }
    let url = urls::attempt(web, &report.repository, *run, *attempt);
    format!("[{run}, attempt {attempt}]({url})")
}

fn caps_left(caps: &[CapLeft]) -> String {
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

#[cfg(test)]
mod tests;
