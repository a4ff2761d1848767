//! JSON lines on stderr. Nothing is redacted here: callers pass no credential and no JIT config.

use std::io::Write as _;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

static INSTANCE: OnceLock<String> = OnceLock::new();
static RUNNER: OnceLock<String> = OnceLock::new();

/// Adds the instance's id to every later line. Only the first call counts.
pub fn set_instance(id: &str) {
    INSTANCE.get_or_init(|| id.to_owned());
}

/// Adds the runner's name to every later line. Only the first call counts.
pub fn set_runner(name: &str) {
    RUNNER.get_or_init(|| name.to_owned());
}

pub fn info(event: &str, message: &str, fields: &[(&str, &str)]) {
    line("info", event, message, fields);
}

/// Logs a failure that is retried or that the agent can do without.
pub fn warn(event: &str, message: &str, fields: &[(&str, &str)]) {
    line("warn", event, message, fields);
}

/// Logs a failure that ends the instance.
pub fn error(event: &str, message: &str, fields: &[(&str, &str)]) {
    line("error", event, message, fields);
}

fn line(level: &str, event: &str, message: &str, fields: &[(&str, &str)]) {
    let at = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    let mut record = Map::new();
    record.insert("at".into(), u64::try_from(at).unwrap_or(u64::MAX).into());
    let known = [
        ("level", Some(level)),
        ("event", Some(event)),
        ("message", Some(message)),
    ];
    let context = [
        ("instance", INSTANCE.get().map(String::as_str)),
        ("runner", RUNNER.get().map(String::as_str)),
    ];
    let rest = fields.iter().map(|(name, value)| (*name, Some(*value)));
    for (name, value) in known.into_iter().chain(context).chain(rest) {
        if let Some(value) = value {
            record.insert(name.to_owned(), value.into());
        }
    }
    // A failure to log cannot be reported.
    let _ = writeln!(std::io::stderr(), "{}", Value::Object(record));
}
