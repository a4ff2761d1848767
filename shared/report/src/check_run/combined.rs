//! Many jobs of a run attempt in one check run: what is said, once, and of which jobs.

use std::fmt::Write as _;

use dayfly_records::CheckConclusion;
use dayfly_records::{CheckContent, CheckRun, CombinedPart};
use dayfly_types::ids::JobId;

use crate::check_run::{conclusion, markdown, run_url, table, tried, words};

/// More of a job's name says nothing to anybody.
const MAX_NAME: usize = 100;

/// How the check run is concluded: as the worst of what it says is.
pub(super) fn concluded(told: &[CombinedPart]) -> Option<CheckConclusion> {
    let ends = || told.iter().map(|told| conclusion(&told.content));
    if ends().any(|end| end == Some(CheckConclusion::Failure)) {
        Some(CheckConclusion::Failure)
    } else if ends().any(|end| end.is_none()) {
        None
    } else {
        Some(CheckConclusion::Neutral)
    }
}

/// What is said, the worst first.
fn in_order(told: &[CombinedPart]) -> Vec<&CombinedPart> {
    let mut ordered: Vec<&CombinedPart> = told.iter().collect();
    ordered.sort_by_key(|told| match told.content {
        CheckContent::GivenUp { .. } => 0,
        CheckContent::Interrupted { .. } => 1,
        CheckContent::Waiting { .. } | CheckContent::Queued { .. } => 2,
        CheckContent::Launched { .. }
        | CheckContent::Again { .. }
        | CheckContent::Over { .. }
        | CheckContent::Story { .. }
        | CheckContent::Combined { .. } => 3,
    });
    ordered
}

fn of_jobs(told: &CombinedPart) -> String {
    match told.jobs.len() {
        1 => "1 job".to_owned(),
        several => format!("{several} jobs"),
    }
}

fn words_of(told: &CombinedPart, check_run: &CheckRun, web: &str) -> words::Words {
    let alone = CheckRun {
        content: told.content.clone(),
        ..check_run.clone()
    };
    words::of(&alone, web)
}

pub(super) fn title(told: &[CombinedPart], check_run: &CheckRun, web: &str) -> String {
    let titles: Vec<String> = in_order(told)
        .into_iter()
        .map(|told| format!("{}: {}", of_jobs(told), words_of(told, check_run, web).title))
        .collect();
    titles.join("; ")
}

/// What happened, what happens next and what to do, for each that is said something else.
pub(super) fn summary(told: &[CombinedPart], check_run: &CheckRun, web: &str) -> String {
    let mut summary = String::new();
    for told in in_order(told) {
        let words = words_of(told, check_run, web);
        let title = markdown::escaped(&words.title);
        let _ = write!(summary, "### {}: {title}\n\n", of_jobs(told));
        if told.jobs.len() > 1 {
            summary.push_str("Of each of these jobs:\n\n");
        }
        let _ = writeln!(summary, "{}", words.summary());
    }
    summary
}

/// Which jobs, and what was tried for them, as far as that fits: the jobs come first.
pub(super) fn text(told: &[CombinedPart], check_run: &CheckRun, web: &str, limit: usize) -> String {
    let mut text = String::new();
    for told in in_order(told) {
        let title = markdown::escaped(&words_of(told, check_run, web).title);
        let _ = write!(text, "### {}: {title}\n\n", of_jobs(told));
        for (index, (job, name)) in told.jobs.iter().enumerate() {
            let line = line(*job, name, check_run, web);
            let remark = format!("\n{} more are left out here.\n", told.jobs.len() - index);
            if text.len() + line.len() + remark.len() > limit {
                text.push_str(&remark);
                return markdown::cut(&text, limit);
            }
            text.push_str(&line);
        }
        text.push('\n');
    }
    for told in in_order(told) {
        let left = limit.saturating_sub(text.len());
        if let Some(table) = table(tried(&told.content), left).filter(|table| table.len() < left) {
            text.push_str(&table);
            text.push('\n');
        }
    }
    text
}

fn line(job: JobId, name: &str, check_run: &CheckRun, web: &str) -> String {
    let name = markdown::name(name, MAX_NAME);
    format!("- [{name}]({}/job/{job})\n", run_url(check_run, web))
}
