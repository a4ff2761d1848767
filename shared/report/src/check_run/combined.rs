//! One check run for many jobs of a run attempt: each content once, with the jobs that it is about.

use std::fmt::Write as _;

use dayfly_records::{CheckConclusion, CheckContent, CheckRun, CombinedPart};
use dayfly_types::ids::JobId;

use crate::check_run::{launch_failures, text};
use crate::format::counted;
use crate::{markdown, urls};

/// Characters of a job's name.
const MAX_NAME: usize = 100;

/// Returns the worst conclusion of the parts.
pub(super) fn conclusion(parts: &[CombinedPart]) -> Option<CheckConclusion> {
    let mut all = parts.iter().map(|part| super::conclusion(&part.content));
    if all.clone().any(|one| one == Some(CheckConclusion::Failure)) {
        Some(CheckConclusion::Failure)
    } else if all.any(|one| one.is_none()) {
        None
    } else {
        Some(CheckConclusion::Neutral)
    }
}

/// Orders the parts, the worst first.
fn in_order(parts: &[CombinedPart]) -> Vec<&CombinedPart> {
    let mut ordered: Vec<&CombinedPart> = parts.iter().collect();
    ordered.sort_by_key(|part| match part.content {
        CheckContent::GivenUp { .. } => 0,
        CheckContent::Interrupted { .. } => 1,
        CheckContent::Waiting { .. } | CheckContent::Queued { .. } => 2,
        CheckContent::Launched { .. }
        | CheckContent::Rerun { .. }
        | CheckContent::Ended { .. }
        | CheckContent::Story { .. }
        | CheckContent::Combined { .. } => 3,
    });
    ordered
}

fn jobs(part: &CombinedPart) -> String {
    counted(part.jobs.len(), "job")
}

fn text_of(part: &CombinedPart, check_run: &CheckRun, web: &str) -> text::CheckText {
    let alone = CheckRun {
        content: part.content.clone(),
        ..check_run.clone()
    };
    text::of(&alone, web)
}

pub(super) fn title(parts: &[CombinedPart], check_run: &CheckRun, web: &str) -> String {
    let titles: Vec<String> = in_order(parts)
        .into_iter()
        .map(|part| format!("{}: {}", jobs(part), text_of(part, check_run, web).title))
        .collect();
    titles.join("; ")
}

fn heading(part: &CombinedPart, title: &str) -> String {
    format!("### {}: {}\n\n", jobs(part), markdown::escaped(title))
}

/// Renders what happened, what happens next and what to do, once for each part.
pub(super) fn summary(parts: &[CombinedPart], check_run: &CheckRun, web: &str) -> String {
    let mut summary = String::new();
    for part in in_order(parts) {
        let text = text_of(part, check_run, web);
        summary.push_str(&heading(part, &text.title));
        if part.jobs.len() > 1 {
            summary.push_str("For each of these jobs:\n\n");
        }
        let _ = writeln!(summary, "{}", text.summary());
    }
    summary
}

/// Renders the jobs, then their failed launches, as far as they fit.
pub(super) fn text(parts: &[CombinedPart], check_run: &CheckRun, web: &str, limit: usize) -> String {
    let mut text = String::new();
    for part in in_order(parts) {
        text.push_str(&heading(part, &text_of(part, check_run, web).title));
        for (index, (job, name)) in part.jobs.iter().enumerate() {
            let line = line(*job, name, check_run, web);
            let left_out = markdown::left_out(part.jobs.len() - index, "job");
            if text.len() + line.len() + left_out.len() > limit {
                text.push_str(&left_out);
                return markdown::cut(&text, limit);
            }
            text.push_str(&line);
        }
        text.push('\n');
    }
    for part in in_order(parts) {
        let room = limit.saturating_sub(text.len());
        let table = launch_failures::table(part.content.tried(), room);
        if let Some(table) = table.filter(|table| table.len() < room) {
            text.push_str(&table);
            text.push('\n');
        }
    }
    text
}

fn line(job: JobId, name: &str, check_run: &CheckRun, web: &str) -> String {
    let name = markdown::name(name, MAX_NAME);
    let url = urls::job(web, &check_run.repository, check_run.run, job);
    format!("- [{name}]({url})\n")
}
