//! Metrics as lines in CloudWatch's embedded metric format: CloudWatch Logs reads them out of the log.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::fmt;
use std::io::Write as _;
use std::time::SystemTime;

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer};

/// The namespace of all of them.
const NAMESPACE: &str = "dayfly";

/// The dimension that all of them have: an account may have several stacks.
const STACK: &str = "Stack";

/// What a line is of, for who searches them. CloudWatch makes no metric of it.
const RECORD: &str = "Record";

/// Writes each metric that is told as a line.
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
        let mut told = Told::default();
        event.record(&mut told);
        let mut line = told.line(&self.stack, SystemTime::now()).to_string();
        line.push('\n');
        // In one piece, lest another line come between; and a log that cannot be written has nobody to tell.
        let _ = self.writer.make_writer().write_all(line.as_bytes());
    }
}

/// The fields of an event that is a metric.
#[derive(Debug, Default)]
struct Told {
    metric: String,
    unit: String,
    dimension: Option<String>,
    value: Option<String>,
    amount: u64,
    parts: u64,
    record: Option<String>,
}

impl Told {
    fn line(self, stack: &str, now: SystemTime) -> Value {
        let at = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
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
                "Timestamp": u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
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

/// So many parts of a unit, in units.
fn amount(amount: u64, parts: u64) -> Value {
    if parts <= 1 {
        return amount.into();
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "CloudWatch keeps numbers so, and up to nine billion dollars they are right to the millionth"
    )]
    (amount as f64 / parts as f64).into()
}

impl Visit for Told {
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
