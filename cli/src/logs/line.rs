//! A log line, as it was logged or for a person.

use std::fmt::Write as _;

use dayfly_types::time::Timestamp;
use serde_json::{Map, Value, json};

use crate::words::plain;

/// What stands elsewhere in a line, or says nothing of what happened.
const ELSEWHERE: [&str; 6] = ["timestamp", "level", "message", "target", "span", "spans"];

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) at: Timestamp,
    /// What the design calls the function.
    pub(super) function: &'static str,
    /// As CloudWatch Logs has it.
    pub(super) text: String,
}

impl Line {
    /// As JSON, or for a person.
    pub(super) fn told(&self, json: bool) -> String {
        let read = serde_json::from_str::<Map<String, Value>>(&self.text);
        if json {
            let said = read.map_or_else(|_| Value::from(self.text.trim_end()), Value::from);
            return json!({ "at": self.at, "function": self.function, "said": said }).to_string();
        }
        let at = super::clock(self.at);
        match read {
            Ok(fields) => format!("{at}  {:<12} {}", self.function, words(&fields)),
            Err(_) => format!("{at}  {:<12} {}", self.function, plain(self.text.trim_end())),
        }
    }
}

/// `INFO  launched  instance=i-1`.
fn words(fields: &Map<String, Value>) -> String {
    let text = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut said = format!("{:<5} {}", plain(text("level")), plain(text("message")));
    for (key, value) in fields.iter().filter(|(key, _)| !ELSEWHERE.contains(&key.as_str())) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        // Writing to a string does not fail.
        let _ = write!(said, "  {}={}", plain(key), plain(&value));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line {
            at: Timestamp::from_millis(1_785_578_400_042),
            function: "launch",
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_line_is_told_with_its_fields_and_without_what_stands_around_them() {
        let logged = r#"{"timestamp":"2026-08-01T10:00:00Z","level":"INFO","message":"launched","instance":"i-1","times":2,"target":"dayfly_launch","spans":[{"job":11}]}"#;
        assert_eq!(
            line(logged).told(false),
            "2026-08-01 10:00:00.042  launch       INFO  launched  instance=i-1  times=2"
        );
        let told: Value = serde_json::from_str(&line(logged).told(true)).unwrap();
        assert_eq!(told["function"], "launch");
        assert_eq!(told["said"]["spans"][0]["job"], 11, "nothing of it is left out");
    }

    #[test]
    fn what_is_no_json_is_told_as_it_is_but_moves_no_cursor() {
        let told = line("START\u{1b}[2J x\n").told(false);
        assert_eq!(told, "2026-08-01 10:00:00.042  launch       START [2J x");
        let told: Value = serde_json::from_str(&line("REPORT x\n").told(true)).unwrap();
        assert_eq!(told["said"], "REPORT x");
    }
}
