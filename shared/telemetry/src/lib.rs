//! Log lines: one JSON object each on standard output, which Lambda hands to CloudWatch Logs.
//!
//! `RUST_LOG` names what is logged, as in `info,dayfly_launch=debug`; without it `LOG_LEVEL`; without
//! either, `info`. Filters on the fields of spans are not understood: they would bring a regex engine
//! into each function for a thing that nobody asks of a Lambda.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

use std::io;

use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;

/// Starts logging, for the rest of the process. A second call changes nothing.
pub fn init() {
    let asked = ["RUST_LOG", "LOG_LEVEL"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let (filter, refused) = filter(asked.as_deref());
    let first = tracing::subscriber::set_global_default(subscriber(filter, io::stdout)).is_ok();
    if let Some(refused) = refused.filter(|_| first) {
        tracing::warn!(
            filter = refused,
            "the log filter cannot be read, so `info` holds: write a level, or `target=level` with commas between"
        );
    }
}

/// The filter that was asked for; with it the text, if that is none.
fn filter(asked: Option<&str>) -> (Targets, Option<&str>) {
    let info = || Targets::new().with_default(LevelFilter::INFO);
    match asked.map(|text| (text, text.parse::<Targets>())) {
        None => (info(), None),
        Some((_, Ok(targets))) => (targets, None),
        Some((text, Err(_))) => (info(), Some(text)),
    }
}

fn subscriber<W>(filter: Targets, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(true)
        .with_timer(SystemTime)
        .with_writer(writer);
    registry().with(filter).with(lines)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(asked: Option<&str>, log: impl FnOnce()) -> Vec<serde_json::Value> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(filter(asked).0, move || writer.clone());
        tracing::subscriber::with_default(subscriber, log);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_is_one_flat_object_with_the_fields_of_all_spans_around_it() {
        let lines = logged(None, || {
            let _event = tracing::info_span!("event", delivery = "d-1").entered();
            let _launch = tracing::info_span!("launch", job = 11).entered();
            tracing::info!(instance = "i-1", "launched");
        });
        let [line] = lines.as_slice() else {
            panic!("one line: {lines:?}")
        };
        assert_eq!(line["message"], "launched");
        assert_eq!(line["instance"], "i-1");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["spans"][0]["delivery"], "d-1");
        assert_eq!(line["spans"][1]["job"], 11);
    }

    #[test]
    fn a_line_has_no_colours_and_says_when() {
        let lines = logged(None, || tracing::error!("no"));
        assert!(lines[0]["timestamp"].as_str().unwrap().ends_with('Z'));
        assert!(!lines[0].to_string().contains("\\u001b"));
    }

    #[test]
    fn what_is_logged_follows_the_filter() {
        let count = |asked| {
            logged(asked, || {
                tracing::debug!("detail");
                tracing::debug!(target: "other", "detail of another");
                tracing::info!("news");
            })
            .len()
        };
        assert_eq!(count(None), 1);
        assert_eq!(count(Some("debug")), 3);
        assert_eq!(count(Some("warn,dayfly_telemetry=debug")), 2);
        assert_eq!(count(Some("off")), 0);
    }

    #[test]
    fn a_filter_that_cannot_be_read_leaves_info_and_is_named() {
        assert_eq!(filter(Some("dayfly=loud")).1, Some("dayfly=loud"));
        assert_eq!(logged(Some("dayfly=loud"), || tracing::info!("news")).len(), 1);
    }
}
