//! What is said of a job on its commit: a check run as one of GitHub's check runs.

mod combined;
mod comment;
mod logs;
mod markdown;
mod plain;
pub mod story;
mod words;

use std::fmt::Write as _;

use dayfly_records::{CheckConclusion, CheckContent, CheckRun};
use dayfly_types::capacity::Tried;
use dayfly_types::ids::{JobId, JobKey, RunAttempt, RunId};

pub use comment::{COMMENT_MARKER, comment};
pub use logs::Logs;
pub use plain::{job_log, reason_of};

/// A check run as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRunBody {
    /// The commit that it is on.
    pub head_sha: String,
    /// Its name, which GitHub shows in front of the title.
    pub name: String,
    /// By which it is found again: see [`external_id`].
    pub external_id: String,
    /// Where its *Details* lead: the job.
    pub details_url: String,
    /// How it is concluded; in progress, if it is not.
    pub conclusion: Option<CheckConclusion>,
    /// What is said, in a line.
    pub title: String,
    /// What is said, in Markdown: what happened, what happens next, what to do.
    pub summary: String,
    /// What was tried, in Markdown, if anything was.
    pub text: Option<String>,
}

/// The most of a text that GitHub takes. It counts characters; to count bytes is safe whatever it counts.
///
/// <https://docs.github.com/en/rest/checks/runs#create-a-check-run>
const MAX_TEXT: usize = 65_535;

/// More of a name or a title is not shown anyway.
const MAX_LINE: usize = 200;

/// What the check run of a job is called: `<job>/<attempt>` for the first, and `/2`, `/3` … behind it
/// for those that took its place. That of all jobs of an attempt has `run-<run>` in place of the job, and that
/// of their story `story-<run>`.
#[must_use]
pub fn external_id(run: RunId, key: JobKey, serial: u32) -> String {
    let first = if key.is_story() {
        format!("story-{run}/{}", key.attempt)
    } else if key.is_of_all() {
        format!("run-{run}/{}", key.attempt)
    } else {
        key.to_string()
    };
    if serial <= 1 {
        first
    } else {
        format!("{first}/{serial}")
    }
}

/// The job that a check run of ours is about.
#[must_use]
pub fn job_of(external_id: &str) -> Option<JobKey> {
    let mut parts = external_id.split('/');
    let job = JobId(parts.next()?.parse().ok()?);
    let attempt = RunAttempt(parts.next()?.parse().ok()?);
    Some(JobKey { job, attempt })
}

/// The check run that says a check run. `web` is where GitHub's pages are, `https://github.com` say.
#[must_use]
pub fn render(check_run: &CheckRun, web: &str) -> CheckRunBody {
    if let CheckContent::Combined { parts } = &check_run.content {
        return CheckRunBody {
            head_sha: check_run.head_sha.clone(),
            name: format!("dayfly / run {}", check_run.run),
            external_id: external_id(check_run.run, check_run.key, check_run.serial),
            details_url: run_url(check_run, web),
            conclusion: combined::concluded(parts),
            title: markdown::line(&combined::title(parts, check_run, web), MAX_LINE),
            summary: markdown::cut(&combined::summary(parts, check_run, web), MAX_TEXT),
            text: Some(combined::text(parts, check_run, web, MAX_TEXT)),
        };
    }
    let said = words::of(check_run, web);
    CheckRunBody {
        head_sha: check_run.head_sha.clone(),
        name: markdown::line(&format!("dayfly / {}", check_run.job_name), MAX_LINE),
        external_id: external_id(check_run.run, check_run.key, check_run.serial),
        details_url: format!("{}/job/{}", run_url(check_run, web), check_run.key.job),
        conclusion: conclusion(&check_run.content),
        title: markdown::line(&said.title, MAX_LINE),
        summary: markdown::cut(&said.summary(), MAX_TEXT),
        text: table(tried(&check_run.content), MAX_TEXT),
    }
}

fn conclusion(content: &CheckContent) -> Option<CheckConclusion> {
    match content {
        CheckContent::Waiting { .. } | CheckContent::Queued { .. } => None,
        CheckContent::GivenUp { .. } => Some(CheckConclusion::Failure),
        CheckContent::Launched { .. }
        | CheckContent::Interrupted { .. }
        | CheckContent::Again { .. }
        | CheckContent::Over { .. }
        | CheckContent::Story { .. } => Some(CheckConclusion::Neutral),
        CheckContent::Combined { parts } => combined::concluded(parts),
    }
}

/// What was tried before this was said.
#[must_use]
pub fn tried(content: &CheckContent) -> &[Tried] {
    match content {
        CheckContent::Waiting { tried, .. }
        | CheckContent::Launched { tried, .. }
        | CheckContent::GivenUp { tried, .. }
        | CheckContent::Over { tried } => tried,
        CheckContent::Queued { .. }
        | CheckContent::Interrupted { .. }
        | CheckContent::Again { .. }
        | CheckContent::Story { .. }
        | CheckContent::Combined { .. } => &[],
    }
}

fn run_url(check_run: &CheckRun, web: &str) -> String {
    format!("{web}/{}/actions/runs/{}", check_run.repository, check_run.run)
}

/// What was tried, a row for each pool and reason; of more than fits, the last are left out.
#[must_use]
pub fn table(tried: &[Tried], limit: usize) -> Option<String> {
    if tried.is_empty() {
        return None;
    }
    let mut text = "### What was tried\n\n\
        | Instance type | Zone | Bought as | What EC2 said | Times | When (UTC) |\n\
        |---|---|---|---|---:|---|\n"
        .to_owned();
    for (index, one) in tried.iter().enumerate() {
        let (row, left) = (row(one), tried.len() - index);
        let remark = format!("\n{left} more are left out here.\n");
        if text.len() + row.len() + remark.len() > limit {
            text.push_str(&remark);
            break;
        }
        text.push_str(&row);
    }
    Some(text)
}

fn row(one: &Tried) -> String {
    let any = || "any".to_owned();
    let (kind, zone) = one.pool.as_ref().map_or_else(
        || (any(), any()),
        |pool| {
            (
                markdown::cell(pool.instance_type.as_str()),
                markdown::cell(pool.zone.as_str()),
            )
        },
    );
    let said = format!("{}: {}", one.code, one.message);
    format!(
        "| {kind} | {zone} | {} | {} | {} | {} |\n",
        one.lifecycle,
        markdown::cell(&said),
        one.times,
        when(one),
    )
}

/// From when to when something was tried.
fn when(one: &Tried) -> String {
    let mut when = format!("{} {}", one.first.utc_day(), one.first.utc_time());
    if one.last.utc_day() != one.first.utc_day() {
        let _ = write!(when, " – {} {}", one.last.utc_day(), one.last.utc_time());
    } else if one.last.seconds() != one.first.seconds() {
        let _ = write!(when, " – {}", one.last.utc_time());
    }
    when
}

#[cfg(test)]
mod tests;
