//! A log line.

use std::fmt::Write as _;

use dayfly_types::time::Timestamp;
use serde_json::{Map, Value, json};

use crate::text::strip_control_chars;

/// Fields that are shown elsewhere in a line, or not at all.
const OMITTED_FIELDS: [&str; 6] = ["timestamp", "level", "message", "target", "span", "spans"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogLine {
    pub(super) at: Timestamp,
    /// The function's title.
    pub(super) function: &'static str,
    /// The text in CloudWatch Logs.
    pub(super) text: String,
}

impl LogLine {
    /// Renders the line as JSON or as text.
    pub(super) fn render(&self, json: bool) -> String {
        let read = serde_json::from_str::<Map<String, Value>>(&self.text);
        if json {
            let line = read.map_or_else(|_| Value::from(self.text.trim_end()), Value::from);
            return json!({ "at": self.at, "function": self.function, "line": line }).to_string();
        }
        let at = super::line_time(self.at);
        match read {
            Ok(fields) => format!("{at}  {:<12} {}", self.function, render_fields(&fields)),
            Err(_) => format!(
                "{at}  {:<12} {}",
                self.function,
                strip_control_chars(self.text.trim_end())
            ),
        }
    }
}

/// Renders `INFO  launched  instance=i-1`.
fn render_fields(fields: &Map<String, Value>) -> String {
    let text = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut line = format!(
        "{:<5} {}",
        strip_control_chars(text("level")),
        strip_control_chars(text("message"))
    );
    for (key, value) in fields.iter().filter(|(key, _)| !OMITTED_FIELDS.contains(&key.as_str())) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        // Writing to a string does not fail.
        let _ = write!(line, "  {}={}", strip_control_chars(key), strip_control_chars(&value));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> LogLine {
        LogLine {
            at: Timestamp::from_millis(1_785_578_400_042),
            function: "launch",
            text: text.to_owned(),
        }
    }

    #[test]
    fn line_is_rendered_with_its_own_fields() {
        let logged = r#"{"timestamp":"2026-08-01T10:00:00Z","level":"INFO","message":"launched","instance":"i-1","times":2,"target":"dayfly_launch","spans":[{"job":11}]}"#;
        assert_eq!(
            line(logged).render(false),
            "2026-08-01 10:00:00.042  launch       INFO  launched  instance=i-1  times=2"
        );
        let rendered: Value = serde_json::from_str(&line(logged).render(true)).unwrap();
        assert_eq!(rendered["function"], "launch");
        assert_eq!(rendered["line"]["spans"][0]["job"], 11, "nothing of it is left out");
    }

    #[test]
    fn other_text_is_rendered_without_control_characters() {
        let rendered = line("START\u{1b}[2J x\n").render(false);
        assert_eq!(rendered, "2026-08-01 10:00:00.042  launch       START [2J x");
        let rendered: Value = serde_json::from_str(&line("REPORT x\n").render(true)).unwrap();
        assert_eq!(rendered["line"], "REPORT x");
    }
}
