//! The search for log lines about a job, a runner or an instance.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use dayfly_records::{Job, Runner};
use dayfly_types::ids::{InstanceId, RunnerName};
use dayfly_types::time::Timestamp;
use serde_json::Value;

use crate::job_selector::JobSelector;

/// How much earlier and later than the records lines are searched: the webhook comes before the record, and the cost
/// is settled after the end.
const MARGIN: Duration = Duration::from_mins(15);

/// How far back lines about an unknown id are searched.
const UNKNOWN_ID_RANGE: Duration = Duration::from_hours(24);

/// What logs can be searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogSubject {
    Job(JobSelector),
    Runner(RunnerName),
    Instance(InstanceId),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a job, runner or instance: give a job's URL or its id, such as `11` or `11/2`, a runner's name, such as `dayfly-11-1-1`, or an instance's id, such as `i-0123456789abcdef0`"
)]
pub(crate) struct InvalidSubject(String);

impl FromStr for LogSubject {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        let is_alphanumeric = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
        if text.strip_prefix("i-").is_some_and(is_alphanumeric) {
            return Ok(Self::Instance(InstanceId::new(text)));
        }
        if let Some(name) = RunnerName::meant_by(text) {
            return Ok(Self::Runner(name));
        }
        text.parse().map(Self::Job).map_err(|_| InvalidSubject(text.to_owned()))
    }
}

impl fmt::Display for LogSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(selector) => write!(f, "job {selector}"),
            Self::Runner(name) => write!(f, "runner {name}"),
            Self::Instance(instance) => write!(f, "instance {instance}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogSearch {
    /// Lines with any of these match.
    terms: Vec<String>,
    /// The instances among the terms.
    instances: Vec<InstanceId>,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

/// The longest filter that CloudWatch Logs accepts.
///
/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html>
const MAX_FILTER_BYTES: usize = 1024;

impl LogSearch {
    /// A search for a job, the runners that were launched for it, and the one that ran it.
    pub(super) fn job(job: &Job, runners: &[Runner], now: Timestamp) -> Self {
        let mut search = Self {
            terms: vec![job.key.job.to_string(), job.key.to_string()],
            instances: Vec::new(),
            from: job.created_at.unwrap_or(job.queued_at).min(job.queued_at),
            to: job.ended_at.unwrap_or(now),
        };
        // A runner that another job took belongs to that job's logs.
        let is_own = |runner: &&Runner| runner.job.is_none_or(|ran| ran == job.key);
        for runner in runners.iter().filter(is_own) {
            search.add(runner, now);
        }
        search.with_margin(now)
    }

    /// A search for a runner and its instance.
    pub(super) fn runner(runner: &Runner, now: Timestamp) -> Self {
        let mut search = Self {
            terms: Vec::new(),
            instances: Vec::new(),
            from: runner.requested_at,
            to: runner.requested_at,
        };
        search.add(runner, now);
        search.with_margin(now)
    }

    /// A search for an id without records.
    pub(super) fn unknown(id: &str, now: Timestamp) -> Self {
        let back = i64::try_from(UNKNOWN_ID_RANGE.as_millis()).unwrap_or(i64::MAX);
        Self {
            terms: vec![id.to_owned()],
            instances: Vec::new(),
            from: Timestamp::from_millis(now.millis().saturating_sub(back)),
            to: now,
        }
    }

    pub(super) fn unknown_instance(instance: &InstanceId, now: Timestamp) -> Self {
        Self {
            instances: vec![instance.clone()],
            ..Self::unknown(instance.as_str(), now)
        }
    }

    fn add(&mut self, runner: &Runner, now: Timestamp) {
        self.terms.push(runner.name.to_string());
        if let Some(instance) = runner.instance() {
            self.terms.push(instance.to_string());
            self.instances.push(instance.clone());
        }
        self.from = self.from.min(runner.requested_at);
        self.to = self.to.max(runner.ended_at.unwrap_or(now));
    }

    fn with_margin(mut self, now: Timestamp) -> Self {
        let before = i64::try_from(MARGIN.as_millis()).unwrap_or(0);
        self.from = Timestamp::from_millis(self.from.millis().saturating_sub(before));
        self.to = self.to.after(MARGIN).min(now);
        self
    }

    pub(super) fn instances(&self) -> &[InstanceId] {
        &self.instances
    }

    /// Returns the filter for CloudWatch Logs: lines with any of the terms. It may match too many lines.
    ///
    /// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>
    pub(super) fn filter(&self) -> String {
        let mut filter = String::new();
        for term in self.terms.iter().map(|term| format!("?\"{term}\" ")) {
            if filter.len() + term.len() <= MAX_FILTER_BYTES {
                filter.push_str(&term);
            }
        }
        filter.trim_end().to_owned()
    }

    /// Whether one of the line's values contains a term, and not as a part of a longer number or name.
    pub(super) fn matches(&self, line: &str) -> bool {
        match serde_json::from_str::<Value>(line) {
            Ok(value) => self.matches_value(&value),
            Err(_) => self.matches_text(line),
        }
    }

    fn matches_value(&self, value: &Value) -> bool {
        match value {
            Value::Object(fields) => {
                let mut fields = fields.iter().filter(|(key, _)| *key != "timestamp");
                fields.any(|(_, value)| self.matches_value(value))
            }
            Value::Array(values) => values.iter().any(|value| self.matches_value(value)),
            Value::String(text) => self.matches_text(text),
            Value::Number(number) => self.matches_text(&number.to_string()),
            Value::Null | Value::Bool(_) => false,
        }
    }

    fn matches_text(&self, text: &str) -> bool {
        let is_name_char = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        self.terms.iter().any(|term| {
            text.match_indices(term.as_str()).any(|(at, found)| {
                let before = text[..at].chars().next_back();
                let after = text[at + found.len()..].chars().next();
                !is_name_char(before) && !is_name_char(after)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(terms: &[&str]) -> LogSearch {
        LogSearch {
            terms: terms.iter().map(|term| (*term).to_owned()).collect(),
            ..LogSearch::unknown("", Timestamp::from_seconds(1_000_000))
        }
    }

    #[test]
    fn jobs_runners_and_instances_are_distinguished() {
        for (text, expected) in [
            ("11/2", "job 11/2"),
            ("https://github.com/octo/gpu/actions/runs/22/job/11", "job 11"),
            ("dayfly-11-1-1", "runner dayfly-11-1-1"),
            ("dayfly-11-1-1-i0abc-m2", "runner dayfly-11-1-1"),
            ("i-0abc", "instance i-0abc"),
        ] {
            assert_eq!(text.parse::<LogSubject>().unwrap().to_string(), expected, "{text}");
        }
        for bad in ["", "i-", "i-0\" ?\"a", "gpu", "dayfly-11"] {
            let error = bad.parse::<LogSubject>().unwrap_err().to_string();
            assert!(error.contains("i-0123456789abcdef0"), "{bad}: {error}");
        }
    }

    #[test]
    fn only_lines_with_a_whole_term_match() {
        let search = search(&["11", "dayfly-11-1-1", "i-0abc"]);
        for (line, expected) in [
            (r#"{"message":"launched","job":11}"#, true),
            (r#"{"message":"launched","job":"11/2"}"#, true),
            (r#"{"message":"a","spans":[{"name":"event","job":11}]}"#, true),
            (r#"{"message":"a","runner":"dayfly-11-1-1-i0abc"}"#, true),
            (r#"{"message":"ended i-0abc."}"#, true),
            (r#"{"message":"launched","job":111}"#, false),
            (r#"{"message":"a","runner":"dayfly-9-1-10"}"#, false),
            (r#"{"message":"a","instance":"i-0abcd"}"#, false),
            (r#"{"message":"a","timestamp":"2026-11-11T11:11:11Z"}"#, false),
            ("START i-0abc", true),
            ("START i-0abd", false),
        ] {
            assert_eq!(search.matches(line), expected, "{line}");
        }
    }

    #[test]
    fn filter_has_the_terms_up_to_the_length_limit() {
        assert_eq!(search(&["11", "i-0abc"]).filter(), "?\"11\" ?\"i-0abc\"");
        let many: Vec<String> = (0..200).map(|number| format!("dayfly-11-1-{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let filter = search(&many).filter();
        assert!(filter.len() <= 1024 && filter.ends_with('"'), "{filter}");
    }

    #[test]
    fn unknown_id_is_searched_in_the_last_day() {
        let now = Timestamp::from_seconds(1_000_000);
        let search = LogSearch::unknown_instance(&InstanceId::new("i-0abc"), now);
        assert_eq!(
            (search.from, search.to),
            (Timestamp::from_seconds(1_000_000 - 86_400), now)
        );
        assert_eq!(search.instances().len(), 1);
    }
}
