//! JSON lines on stderr. Callers pass no credential and no JIT config: nothing here could tell.

use std::io::Write as _;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

static INSTANCE: OnceLock<String> = OnceLock::new();
static RUNNER: OnceLock<String> = OnceLock::new();

/// Puts the instance's id on every later line. The first call counts.
pub fn set_instance(id: &str) {
    INSTANCE.get_or_init(|| id.to_owned());
}

/// Puts the runner's name on every later line. The first call counts.
pub fn set_runner(name: &str) {
    RUNNER.get_or_init(|| name.to_owned());
}

/// Something happened as it should.
pub fn info(event: &str, message: &str, fields: &[(&str, &str)]) {
    line("info", event, message, fields);
}

/// Something failed that will be tried again or that the agent gets by without.
pub fn warn(event: &str, message: &str, fields: &[(&str, &str)]) {
    line("warn", event, message, fields);
}

/// Something failed that ends the instance.
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
    // A log that cannot be written leaves nobody to tell.
    let _ = writeln!(std::io::stderr(), "{}", Value::Object(record));
}
