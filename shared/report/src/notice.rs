//! What is said of a job on its commit: a notice as one of GitHub's check runs.

mod comment;
mod logs;
mod markdown;
mod plain;
pub mod story;
mod together;
mod words;

use std::fmt::Write as _;

use dayfly_records::{CheckConclusion, Notice, Say};
use dayfly_types::capacity::Tried;
use dayfly_types::ids::{JobId, JobKey, RunAttempt, RunId};

pub use comment::{COMMENT_MARKER, comment};
pub use logs::Logs;
pub use plain::{job_log, reason_of};

/// A check run as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRun {
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

/// The check run that says a notice. `web` is where GitHub's pages are, `https://github.com` say.
#[must_use]
pub fn render(notice: &Notice, web: &str) -> CheckRun {
    if let Say::Together { told } = &notice.say {
        return CheckRun {
            head_sha: notice.head_sha.clone(),
            name: format!("dayfly / run {}", notice.run),
            external_id: external_id(notice.run, notice.key, notice.serial),
            details_url: run_url(notice, web),
            conclusion: together::concluded(told),
            title: markdown::line(&together::title(told, notice, web), MAX_LINE),
            summary: markdown::cut(&together::summary(told, notice, web), MAX_TEXT),
            text: Some(together::text(told, notice, web, MAX_TEXT)),
        };
    }
    let said = words::of(notice, web);
    CheckRun {
        head_sha: notice.head_sha.clone(),
        name: markdown::line(&format!("dayfly / {}", notice.job_name), MAX_LINE),
        external_id: external_id(notice.run, notice.key, notice.serial),
        details_url: format!("{}/job/{}", run_url(notice, web), notice.key.job),
        conclusion: conclusion(&notice.say),
        title: markdown::line(&said.title, MAX_LINE),
        summary: markdown::cut(&said.summary(), MAX_TEXT),
        text: table(tried(&notice.say), MAX_TEXT),
    }
}

fn conclusion(say: &Say) -> Option<CheckConclusion> {
    match say {
        Say::Waiting { .. } | Say::Queued { .. } => None,
        Say::GivenUp { .. } => Some(CheckConclusion::Failure),
        Say::Launched { .. } | Say::Interrupted { .. } | Say::Again { .. } | Say::Over { .. } | Say::Story { .. } => {
            Some(CheckConclusion::Neutral)
        }
        Say::Together { told } => together::concluded(told),
    }
}

/// What was tried before this was said.
#[must_use]
pub fn tried(say: &Say) -> &[Tried] {
    match say {
        Say::Waiting { tried, .. } | Say::Launched { tried, .. } | Say::GivenUp { tried, .. } | Say::Over { tried } => {
            tried
        }
        Say::Queued { .. } | Say::Interrupted { .. } | Say::Again { .. } | Say::Story { .. } | Say::Together { .. } => {
            &[]
        }
    }
}

/// Where GitHub's pages are: beside its API, or above it on a server of one's own.
#[must_use]
pub fn pages_of(api_url: &str) -> String {
    match api_url.strip_prefix("https://api.") {
        // `github.com`, and a `ghe.com` of one's own.
        Some(host) => format!("https://{host}"),
        None => api_url.trim_end_matches("/api/v3").to_owned(),
    }
}

fn run_url(notice: &Notice, web: &str) -> String {
    format!("{web}/{}/actions/runs/{}", notice.repository, notice.run)
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
