//! A job as a person names it: by id or URL.

use std::fmt;
use std::str::FromStr;

use dayfly_records::Job;
use dayfly_types::ids::{JobId, JobKey, RunAttempt};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JobSelector {
    pub(crate) job: JobId,
    /// The run attempt; the last known one if `None`.
    pub(crate) attempt: Option<RunAttempt>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a job: give its URL, such as https://github.com/octo/gpu/actions/runs/22/job/11, or its id, such as `11`, or `11/2` for its second run attempt"
)]
pub(crate) struct NotAJob(String);

impl FromStr for JobSelector {
    type Err = NotAJob;

    fn from_str(text: &str) -> Result<Self, NotAJob> {
        let read = match text.split_once("://") {
            Some(("https" | "http", rest)) => parse_url(rest),
            Some(_) => None,
            None => parse_id(text),
        };
        read.ok_or_else(|| NotAJob(text.to_owned()))
    }
}

/// Reads `11` or `11/2`.
fn parse_id(text: &str) -> Option<JobSelector> {
    let (job, attempt) = match text.split_once('/') {
        Some((job, attempt)) => (job, Some(RunAttempt(number(attempt)?))),
        None => (text, None),
    };
    Some(JobSelector {
        job: JobId(number(job)?),
        attempt,
    })
}

/// Reads `github.com/octo/gpu/actions/runs/22/job/11`, with or without `attempts/2` before the job, and with
/// GitHub's suffixes for a step or a pull request.
fn parse_url(rest: &str) -> Option<JobSelector> {
    let path = rest.split(['?', '#']).next()?;
    let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let [_host, _owner, _repository, "actions", "runs", _run, of_run @ ..] = parts.as_slice() else {
        return None;
    };
    let (attempt, of_run) = match of_run {
        ["attempts", attempt, rest @ ..] => (Some(RunAttempt(number(attempt)?)), rest),
        rest => (None, rest),
    };
    let ["job", job, ..] = of_run else {
        return None;
    };
    Some(JobSelector {
        job: JobId(number(job)?),
        attempt,
    })
}

fn number<N: FromStr>(text: &str) -> Option<N> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

impl JobSelector {
    /// Selects from the jobs with this id, which are in the order of their attempts.
    pub(crate) fn select(self, jobs: Vec<Job>) -> Option<Job> {
        let mut matching = jobs
            .into_iter()
            .filter(|job| self.attempt.is_none_or(|attempt| job.key.attempt == attempt));
        matching.next_back()
    }
}

impl From<JobKey> for JobSelector {
    fn from(key: JobKey) -> Self {
        Self {
            job: key.job,
            attempt: Some(key.attempt),
        }
    }
}

impl fmt::Display for JobSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.attempt {
            Some(attempt) => write!(f, "{}/{attempt}", self.job),
            None => self.job.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_is_named_by_its_id_or_by_any_of_githubs_urls() {
        for (text, job, attempt) in [
            ("11", 11, None),
            ("11/2", 11, Some(2)),
            ("https://github.com/octo/gpu/actions/runs/22/job/11", 11, None),
            (
                "https://github.com/octo/gpu/actions/runs/22/job/11?pr=5#step:3:1",
                11,
                None,
            ),
            (
                "https://github.com/octo/gpu/actions/runs/22/attempts/2/job/11/",
                11,
                Some(2),
            ),
            ("https://git.example.com/octo/gpu/actions/runs/22/job/11", 11, None),
        ] {
            let expected = JobSelector {
                job: JobId(job),
                attempt: attempt.map(RunAttempt),
            };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for bad in [
            "",
            "x",
            "+11",
            "11/",
            "/1",
            "11/2/3",
            "dayfly-11-1-1",
            "99999999999999999999999",
            "https://github.com/octo/gpu/actions/runs/22",
            "https://github.com/octo/gpu/pull/11",
            "ftp://github.com/octo/gpu/actions/runs/22/job/11",
        ] {
            let error = bad.parse::<JobSelector>().unwrap_err().to_string();
            assert!(error.contains("give its URL"), "{bad}: {error}");
        }
    }
}
