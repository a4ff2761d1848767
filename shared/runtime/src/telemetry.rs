//! Logs to standard output, one JSON object per line, from where Lambda passes them to CloudWatch Logs. Each
//! published metric is a line of its own in CloudWatch's format.
//!
//! `RUST_LOG` sets the filter, as in `info,dayfly_launch=debug`, or else `LOG_LEVEL`, or else `info`. Filters
//! on span fields are not supported: they would link a regex engine into each function.

mod emf;

use std::io;

use dayfly_metrics::TARGET;
use tracing::Subscriber;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;

use emf::Emf;

/// Starts logging for the rest of the process. A second call changes nothing.
pub fn init() {
    let requested = ["RUST_LOG", "LOG_LEVEL"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let (filter, refused) = filter(requested.as_deref());
    // Unset only in a process outside a stack.
    let stack = std::env::var("STACK_NAME").ok().filter(|name| !name.is_empty());
    let subscriber = subscriber(filter, stack.as_deref().unwrap_or("none"), io::stdout);
    let first = tracing::subscriber::set_global_default(subscriber).is_ok();
    if let Some(refused) = refused.filter(|_| first) {
        tracing::warn!(
            filter = refused,
            "cannot read the log filter, using `info`: write a level, or comma-separated `target=level` pairs"
        );
    }
}

/// Returns the requested filter, or the default with the text that could not be parsed.
fn filter(requested: Option<&str>) -> (Targets, Option<&str>) {
    let info = || Targets::new().with_default(LevelFilter::INFO);
    match requested.map(|text| (text, text.parse::<Targets>())) {
        None => (info(), None),
        Some((_, Ok(targets))) => (targets, None),
        Some((text, Err(_))) => (info(), Some(text)),
    }
}

/// Returns the subscriber of [`init`] with another writer, for tests.
pub fn writing_to<W>(stack: &str, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Clone + Send + Sync + 'static,
{
    subscriber(filter(None).0, stack, writer)
}

/// Filters ordinary lines; metrics are always written, because the filter is for people.
fn subscriber<W>(filter: Targets, stack: &str, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Clone + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(true)
        .with_timer(SystemTime)
        .with_writer(writer.clone());
    let only_metrics = Targets::new().with_target(TARGET, LevelFilter::INFO);
    registry()
        .with(lines.with_filter(filter.with_target(TARGET, LevelFilter::OFF)))
        .with(Emf::new(stack, writer).with_filter(only_metrics))
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
        let subscriber = subscriber(filter(asked).0, "gpu", move || writer.clone());
        tracing::subscriber::with_default(subscriber, log);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_is_a_flat_object_with_the_fields_of_its_spans() {
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
    fn a_line_has_a_timestamp_and_no_colours() {
        let lines = logged(None, || tracing::error!("no"));
        assert!(lines[0]["timestamp"].as_str().unwrap().ends_with('Z'));
        assert!(!lines[0].to_string().contains("\\u001b"));
    }

    #[test]
    fn the_filter_selects_lines() {
        let count = |asked| {
            logged(asked, || {
                tracing::debug!("detail");
                tracing::debug!(target: "other", "detail of another");
                tracing::info!("event");
            })
            .len()
        };
        assert_eq!(count(None), 1);
        assert_eq!(count(Some("debug")), 3);
        assert_eq!(count(Some("warn,dayfly_runtime=debug")), 2);
        assert_eq!(count(Some("off")), 0);
    }

    #[test]
    fn an_unreadable_filter_is_reported_and_info_is_used() {
        assert_eq!(filter(Some("dayfly=loud")).1, Some("dayfly=loud"));
        assert_eq!(logged(Some("dayfly=loud"), || tracing::info!("event")).len(), 1);
    }

    /// Checks the rules of the specification that concern our lines.
    ///
    /// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
    fn is_embedded_metric_format(line: &serde_json::Value) -> Result<(), String> {
        let rule = |holds: bool, rule: &str| if holds { Ok(()) } else { Err(format!("{rule}: {line}")) };
        let keys = |value: &serde_json::Value| {
            let mut keys: Vec<_> = value
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, _)| key.clone())
                .collect();
            keys.sort();
            keys
        };
        let text = |value: &serde_json::Value, most: usize| {
            value
                .as_str()
                .is_some_and(|text| !text.trim().is_empty() && text.len() <= most && text.is_ascii())
        };
        rule(line.to_string().len() <= 256 * 1024, "an event has 256 KiB at most")?;
        let metadata = &line["_aws"];
        rule(
            keys(metadata) == ["CloudWatchMetrics", "Timestamp"],
            "these two members and no others",
        )?;
        let at = metadata["Timestamp"].as_u64().unwrap_or_default();
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
        rule(
            u128::from(at).abs_diff(now) < 60_000,
            "the time is in milliseconds since 1970",
        )?;
        let directives = metadata["CloudWatchMetrics"].as_array().cloned().unwrap_or_default();
        rule(!directives.is_empty(), "there is something to extract")?;
        for directive in directives {
            rule(
                keys(&directive) == ["Dimensions", "Metrics", "Namespace"],
                "these three members and no others",
            )?;
            let namespace = &directive["Namespace"];
            rule(text(namespace, 255), "a namespace is a word")?;
            rule(
                !namespace.as_str().unwrap().starts_with("AWS/"),
                "that namespace is AWS's own",
            )?;
            let sets = directive["Dimensions"].as_array().cloned().unwrap_or_default();
            rule(!sets.is_empty(), "there is a set of dimensions")?;
            for set in sets {
                let names = set.as_array().cloned().unwrap_or_default();
                rule(!names.is_empty() && names.len() <= 30, "a set has up to 30 dimensions")?;
                for name in names {
                    rule(text(&name, 255), "a dimension's name is a text")?;
                    rule(
                        text(&line[name.as_str().unwrap()], 1024),
                        "a dimension's value is a text of the root",
                    )?;
                }
            }
            let metrics = directive["Metrics"].as_array().cloned().unwrap_or_default();
            rule((1..=100).contains(&metrics.len()), "there are up to 100 metrics")?;
            for metric in metrics {
                rule(keys(&metric) == ["Name", "Unit"], "a metric has a name and a unit")?;
                rule(text(&metric["Name"], 1024), "a metric's name is a text")?;
                rule(
                    line[metric["Name"].as_str().unwrap()].is_number(),
                    "a metric's value is a number of the root",
                )?;
                let units = [
                    "Seconds",
                    "Microseconds",
                    "Milliseconds",
                    "Bytes",
                    "Percent",
                    "Count",
                    "None",
                ];
                rule(
                    units.contains(&metric["Unit"].as_str().unwrap_or_default()),
                    "a unit is one of CloudWatch's",
                )?;
            }
        }
        Ok(())
    }

    fn publish_all() {
        use dayfly_types::capacity::InstanceLifecycle;
        use dayfly_types::money::MicroDollars;

        dayfly_metrics::cost_settled(MicroDollars(157_800), MicroDollars(368_200), MicroDollars(0));
        dayfly_metrics::cap_refused();
        dayfly_metrics::cap_used(MicroDollars(1_234_567), MicroDollars(10_000_000));
        dayfly_metrics::github_calls_left(1200);
        dayfly_metrics::launch_errors(InstanceLifecycle::Spot, &[]);
    }

    #[test]
    fn metrics_are_lines_in_embedded_metric_format() {
        let lines = logged(None, publish_all);
        assert_eq!(lines.len(), 5, "{lines:?}");
        for line in &lines {
            is_embedded_metric_format(line).unwrap();
            assert_eq!(line["Stack"], "gpu");
            assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], "dayfly");
        }
        assert_eq!(lines[0]["Spend"], 0.1578);
        assert_eq!(lines[1]["Saved"], 0.3682);
        assert_eq!(lines[2]["CapsRefused"], 1);
        assert_eq!(lines[3]["CapUsed"], 12.34);
        assert_eq!(lines[4]["GitHubCallsLeft"], 1200);
    }

    #[test]
    fn every_metric_makes_a_line_in_embedded_metric_format() {
        for metric in dayfly_metrics::Metric::all() {
            let lines = logged(None, || metric.publish(7));
            let [line] = lines.as_slice() else {
                panic!("one line: {lines:?}")
            };
            is_embedded_metric_format(line).unwrap();
            assert_eq!(line[metric.name()], 7, "{metric:?}");
            let directive = &line["_aws"]["CloudWatchMetrics"][0];
            match metric.dimension() {
                Some((name, value)) => {
                    assert_eq!(directive["Dimensions"], serde_json::json!([["Stack", name]]));
                    assert_eq!(line[name], value);
                }
                None => assert_eq!(directive["Dimensions"], serde_json::json!([["Stack"]])),
            }
        }
    }

    #[test]
    fn metrics_and_ordinary_lines_are_kept_apart() {
        let lines = logged(None, || {
            tracing::info!(
                metric = "Jobs",
                unit = "Count",
                amount = 1,
                parts = 1,
                "an ordinary line"
            );
            dayfly_metrics::cap_refused();
        });
        let [ordinary, metric] = lines.as_slice() else {
            panic!("two lines: {lines:?}")
        };
        assert!(ordinary.get("_aws").is_none(), "{ordinary}");
        assert!(
            metric.get("message").is_none() && metric.get("level").is_none(),
            "{metric}"
        );
    }

    #[test]
    fn metrics_are_written_whatever_the_filter() {
        for asked in ["off", "error", "dayfly=off", "dayfly::metric=off"] {
            assert_eq!(logged(Some(asked), dayfly_metrics::cap_refused).len(), 1, "{asked}");
        }
    }
}
