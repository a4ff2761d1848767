//! What log lines are looked for, and which are meant.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use dayfly_records::{Job, Runner};
use dayfly_types::ids::{InstanceId, RunnerName};
use dayfly_types::time::Timestamp;
use serde_json::Value;

use crate::job::Which;

/// How much earlier and later than what the records say is looked for lines: GitHub's webhook comes before the
/// record, and the cost is settled after the end.
const AROUND: Duration = Duration::from_mins(15);

/// How far back is looked for what the table does not know.
const UNKNOWN: Duration = Duration::from_hours(24);

/// What a person names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Id {
    /// A job.
    Job(Which),
    /// A runner.
    Runner(RunnerName),
    /// An instance.
    Instance(InstanceId),
}

/// A text that names neither.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names nothing that is logged: give a job's URL or its id, as in `11` or `11/2`, a runner's name, as in `dayfly-11-1-1`, or an instance's id, as in `i-0123456789abcdef0`"
)]
pub(crate) struct NoId(String);

impl FromStr for Id {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        let plain = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
        if text.strip_prefix("i-").is_some_and(plain) {
            return Ok(Self::Instance(InstanceId::new(text)));
        }
        if let Some(name) = RunnerName::meant_by(text) {
            return Ok(Self::Runner(name));
        }
        text.parse().map(Self::Job).map_err(|_| NoId(text.to_owned()))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(which) => write!(f, "job {which}"),
            Self::Runner(name) => write!(f, "runner {name}"),
            Self::Instance(instance) => write!(f, "instance {instance}"),
        }
    }
}

/// What to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    /// Any of these.
    terms: Vec<String>,
    /// The instances among them.
    instances: Vec<InstanceId>,
    /// From when.
    pub(crate) from: Timestamp,
    /// Until when.
    pub(crate) to: Timestamp,
}

/// More of them make the filter longer than CloudWatch Logs takes.
///
/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html>
const MOST_BYTES: usize = 1024;

impl About {
    /// A job with the runners that were launched for it, and the one that ran it.
    pub(super) fn job(job: &Job, runners: &[Runner], now: Timestamp) -> Self {
        let mut about = Self {
            terms: vec![job.key.job.to_string(), job.key.to_string()],
            instances: Vec::new(),
            from: job.created_at.unwrap_or(job.queued_at).min(job.queued_at),
            to: job.ended_at.unwrap_or(now),
        };
        // What another job took is told with that one.
        let own = |runner: &&Runner| runner.job.is_none_or(|ran| ran == job.key);
        for runner in runners.iter().filter(own) {
            about.add(runner, now);
        }
        about.around(now)
    }

    /// A runner, with its instance.
    pub(super) fn runner(runner: &Runner, now: Timestamp) -> Self {
        let mut about = Self {
            terms: Vec::new(),
            instances: Vec::new(),
            from: runner.requested_at,
            to: runner.requested_at,
        };
        about.add(runner, now);
        about.around(now)
    }

    /// What the table does not know.
    pub(super) fn unknown(id: &str, now: Timestamp) -> Self {
        let back = i64::try_from(UNKNOWN.as_millis()).unwrap_or(i64::MAX);
        Self {
            terms: vec![id.to_owned()],
            instances: Vec::new(),
            from: Timestamp::from_millis(now.millis().saturating_sub(back)),
            to: now,
        }
    }

    /// The same of an instance.
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

    fn around(mut self, now: Timestamp) -> Self {
        let before = i64::try_from(AROUND.as_millis()).unwrap_or(0);
        self.from = Timestamp::from_millis(self.from.millis().saturating_sub(before));
        self.to = self.to.after(AROUND).min(now);
        self
    }

    pub(super) fn instances(&self) -> &[InstanceId] {
        &self.instances
    }

    /// The filter that CloudWatch Logs gets: lines with any of the terms. It may find more than is meant.
    ///
    /// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>
    pub(super) fn filter(&self) -> String {
        let mut filter = String::new();
        for term in self.terms.iter().map(|term| format!("?\"{term}\" ")) {
            if filter.len() + term.len() <= MOST_BYTES {
                filter.push_str(&term);
            }
        }
        filter.trim_end().to_owned()
    }

    /// Whether a line is about it: whether one of its values has one of the terms in it, and not as a part of a
    /// longer number or name.
    pub(super) fn is_in(&self, line: &str) -> bool {
        match serde_json::from_str::<Value>(line) {
            Ok(value) => self.is_in_value(&value),
            Err(_) => self.is_in_text(line),
        }
    }

    fn is_in_value(&self, value: &Value) -> bool {
        match value {
            Value::Object(fields) => {
                let mut fields = fields.iter().filter(|(key, _)| *key != "timestamp");
                fields.any(|(_, value)| self.is_in_value(value))
            }
            Value::Array(values) => values.iter().any(|value| self.is_in_value(value)),
            Value::String(text) => self.is_in_text(text),
            Value::Number(number) => self.is_in_text(&number.to_string()),
            Value::Null | Value::Bool(_) => false,
        }
    }

    fn is_in_text(&self, text: &str) -> bool {
        let inside = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        self.terms.iter().any(|term| {
            text.match_indices(term.as_str()).any(|(at, found)| {
                let before = text[..at].chars().next_back();
                let after = text[at + found.len()..].chars().next();
                !inside(before) && !inside(after)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(terms: &[&str]) -> About {
        About {
            terms: terms.iter().map(|term| (*term).to_owned()).collect(),
            ..About::unknown("", Timestamp::from_seconds(1_000_000))
        }
    }

    #[test]
    fn jobs_runners_and_instances_are_told_apart() {
        for (text, expected) in [
            ("11/2", "job 11/2"),
            ("https://github.com/octo/gpu/actions/runs/22/job/11", "job 11"),
            ("dayfly-11-1-1", "runner dayfly-11-1-1"),
            ("dayfly-11-1-1-i0abc-m2", "runner dayfly-11-1-1"),
            ("i-0abc", "instance i-0abc"),
        ] {
            assert_eq!(text.parse::<Id>().unwrap().to_string(), expected, "{text}");
        }
        for bad in ["", "i-", "i-0\" ?\"a", "gpu", "dayfly-11"] {
            let error = bad.parse::<Id>().unwrap_err().to_string();
            assert!(error.contains("i-0123456789abcdef0"), "{bad}: {error}");
        }
    }

    #[test]
    fn only_lines_that_name_one_of_the_terms_whole_are_meant() {
        let about = about(&["11", "dayfly-11-1-1", "i-0abc"]);
        for (line, meant) in [
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
            assert_eq!(about.is_in(line), meant, "{line}");
        }
    }

    #[test]
    fn the_filter_finds_any_of_the_terms_and_is_no_longer_than_is_taken() {
        assert_eq!(about(&["11", "i-0abc"]).filter(), "?\"11\" ?\"i-0abc\"");
        let many: Vec<String> = (0..200).map(|number| format!("dayfly-11-1-{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let filter = about(&many).filter();
        assert!(filter.len() <= 1024 && filter.ends_with('"'), "{filter}");
    }

    #[test]
    fn what_the_table_does_not_know_is_looked_for_in_the_last_day() {
        let now = Timestamp::from_seconds(1_000_000);
        let about = About::unknown_instance(&InstanceId::new("i-0abc"), now);
        assert_eq!(
            (about.from, about.to),
            (Timestamp::from_seconds(1_000_000 - 86_400), now)
        );
        assert_eq!(about.instances().len(), 1);
    }
}
