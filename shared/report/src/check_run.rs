//! Check runs: what the commit of a job shows about it.

mod combined;
mod job_log;
mod launch_failures;
mod log_links;
pub mod story;
mod text;

use dayfly_records::{CheckConclusion, CheckContent, CheckRun, CheckRunBody, CheckRunKey, CheckSubject};
use dayfly_types::ids::{JobId, JobKey, RunAttempt, RunId};

use crate::{markdown, urls};

pub use job_log::{job_log, reason_of};
pub use log_links::LogLinks;

/// GitHub's limit of a text, in characters. Counting bytes is safe whatever it counts.
///
/// <https://docs.github.com/en/rest/checks/runs#create-a-check-run>
pub(crate) const MAX_TEXT: usize = 65_535;

/// Characters of a name or a title. GitHub shows no more.
const MAX_LINE: usize = 200;

/// Returns the external id of a check run: `<job>/<attempt>`, with `/2`, `/3` … appended for its successors. The
/// check run of all jobs of an attempt has `run-<run>` for the job, that of their story `story-<run>`.
#[must_use]
pub fn external_id(run: RunId, key: CheckRunKey, serial: u32) -> String {
    let first = match key.of {
        CheckSubject::Story => format!("story-{run}/{}", key.attempt),
        CheckSubject::Jobs => format!("run-{run}/{}", key.attempt),
        CheckSubject::Job(_) => key.to_string(),
    };
    if serial <= 1 {
        first
    } else {
        format!("{first}/{serial}")
    }
}

/// Returns the job that the check run with this external id is about.
#[must_use]
pub fn job_of_external_id(external_id: &str) -> Option<JobKey> {
    let mut parts = external_id.split('/');
    let job = JobId(parts.next()?.parse().ok()?);
    let attempt = RunAttempt(parts.next()?.parse().ok()?);
    Some(JobKey { job, attempt })
}

/// Renders a check run. `web` is GitHub's address, such as `https://github.com`.
#[must_use]
pub fn render(check_run: &CheckRun, web: &str) -> CheckRunBody {
    let run_url = run_url(check_run, web);
    let (name, details_url, title, summary, text) = if let CheckContent::Combined { parts } = &check_run.content {
        (
            format!("dayfly / run {}", check_run.run),
            run_url,
            combined::title(parts, check_run, web),
            combined::summary(parts, check_run, web),
            Some(combined::text(parts, check_run, web, MAX_TEXT)),
        )
    } else {
        let text = text::of(check_run, web);
        let summary = text.summary();
        let details_url = match check_run.key.of {
            CheckSubject::Job(job) => urls::job(web, &check_run.repository, check_run.run, job),
            CheckSubject::Jobs | CheckSubject::Story => run_url,
        };
        (
            format!("dayfly / {}", check_run.job_name),
            details_url,
            text.title,
            summary,
            launch_failures::table(check_run.content.tried(), MAX_TEXT),
        )
    };
    CheckRunBody {
        head_sha: check_run.head_sha.clone(),
        name: markdown::line(&name, MAX_LINE),
        external_id: external_id(check_run.run, check_run.key, check_run.serial),
        details_url,
        conclusion: conclusion(&check_run.content),
        title: markdown::line(&title, MAX_LINE),
        summary: markdown::cut(&summary, MAX_TEXT),
        text,
    }
}

fn conclusion(content: &CheckContent) -> Option<CheckConclusion> {
    match content {
        CheckContent::Waiting { .. } | CheckContent::Queued { .. } => None,
        CheckContent::GivenUp { .. } => Some(CheckConclusion::Failure),
        CheckContent::Launched { .. }
        | CheckContent::Interrupted { .. }
        | CheckContent::Rerun { .. }
        | CheckContent::Ended { .. }
        | CheckContent::Story { .. } => Some(CheckConclusion::Neutral),
        CheckContent::Combined { parts } => combined::conclusion(parts),
    }
}

fn run_url(check_run: &CheckRun, web: &str) -> String {
    urls::run(web, &check_run.repository, check_run.run)
}

#[cfg(test)]
mod tests;
