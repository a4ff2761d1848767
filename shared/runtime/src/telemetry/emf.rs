//! Metrics as lines in CloudWatch's embedded metric format, which CloudWatch Logs extracts from the log.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::fmt;
use std::io::Write as _;

use dayfly_types::time::Timestamp;
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer};

use crate::clock;

const NAMESPACE: &str = "dayfly";

/// The dimension of every metric: an account may have several stacks.
const STACK: &str = "Stack";

/// The field that names a line's record, for searches. It is no dimension.
const RECORD: &str = "Record";

/// Writes each published metric as a line.
pub(crate) struct Emf<W> {
    stack: String,
    writer: W,
}

impl<W> Emf<W> {
    pub(crate) fn new(stack: &str, writer: W) -> Self {
        Self {
            stack: stack.to_owned(),
            writer,
        }
    }
}

impl<S, W> Layer<S> for Emf<W>
where
    S: Subscriber,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut metric = MetricEvent::default();
        event.record(&mut metric);
        let mut line = metric.line(&self.stack, clock::now()).to_string();
        line.push('\n');
        // One write, so that no other line comes in between. There is nowhere to report an error.
        let _ = self.writer.make_writer().write_all(line.as_bytes());
    }
}

/// The fields of a metric event.
#[derive(Debug, Default)]
struct MetricEvent {
    metric: String,
    unit: String,
    dimension: Option<String>,
    value: Option<String>,
    amount: u64,
    parts: u64,
    record: Option<String>,
}

impl MetricEvent {
    fn line(self, stack: &str, now: Timestamp) -> Value {
        let amount = amount(self.amount, self.parts);
        let mut names = vec![STACK.to_owned()];
        let mut line = Map::new();
        line.insert(STACK.to_owned(), stack.into());
        if let (Some(name), Some(value)) = (self.dimension, self.value) {
            line.insert(name.clone(), value.into());
            names.push(name);
        }
        line.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": now.millis(),
                "CloudWatchMetrics": [{
                    "Namespace": NAMESPACE,
                    "Dimensions": [names],
                    "Metrics": [{ "Name": self.metric, "Unit": self.unit }],
                }],
            }),
        );
        if let Some(record) = self.record {
            line.insert(RECORD.to_owned(), record.into());
        }
        line.insert(self.metric, amount);
        Value::Object(line)
    }
}

/// Converts a number of `1 / parts` to units.
fn amount(amount: u64, parts: u64) -> Value {
    if parts <= 1 {
        return amount.into();
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "CloudWatch stores floats, which are exact to the millionth up to nine billion dollars"
    )]
    (amount as f64 / parts as f64).into()
}

impl Visit for MetricEvent {
    fn record_str(&mut self, field: &Field, text: &str) {
        let text = text.to_owned();
        match field.name() {
            "metric" => self.metric = text,
            "unit" => self.unit = text,
            "dimension" => self.dimension = Some(text),
            "value" => self.value = Some(text),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, number: u64) {
        match field.name() {
            "amount" => self.amount = number,
            "parts" => self.parts = number,
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "record" {
            self.record = Some(format!("{value:?}"));
        }
    }
}
