//! The fields on every log line of an event.

use dayfly_records::event::{CheckRunDue, Event, LaunchDue};
use tracing::Span;
use tracing::field::Empty;

/// Returns the span of an event, whose log lines name the request, the delivery, the job with its attempt, and
/// the run.
#[must_use]
pub fn of_event(event: &Event, request: &str) -> Span {
    let span = tracing::info_span!(
        "event",
        kind = event.kind(),
        request,
        delivery = Empty,
        fleet = Empty,
        job = Empty,
        run = Empty,
        attempt = Empty
    );
    match event {
        Event::JobQueued(job) | Event::JobInProgress(job) | Event::JobCompleted(job) => {
            span.record("delivery", job.delivery.as_str());
            span.record("job", job.job.0);
            span.record("run", job.run.0);
            span.record("attempt", job.attempt.0);
        }
        Event::RunCompleted(run) => {
            span.record("delivery", run.delivery.as_str());
            span.record("run", run.run.0);
            span.record("attempt", run.attempt.0);
        }
        Event::QueueDue(due) => {
            if let Some(fleet) = &due.fleet {
                span.record("fleet", fleet.as_str());
            }
        }
        // They belong to no job.
        Event::CapDue(_) | Event::CommentDue(_) => {}
        Event::CostDue(due) => {
            if let Some(job) = due.runner.job() {
                span.record("job", job.job.0);
                span.record("attempt", job.attempt.0);
            }
        }
        Event::LaunchDue(LaunchDue { key, .. }) => {
            span.record("job", key.job.0);
            span.record("attempt", key.attempt.0);
        }
        Event::CheckRunDue(CheckRunDue { run, key }) => {
            span.record("run", run.0);
            span.record("attempt", key.attempt.0);
            if let Some(key) = key.job() {
                span.record("job", key.job.0);
            }
        }
    }
    span
}
