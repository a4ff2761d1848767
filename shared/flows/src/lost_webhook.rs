//! A lost webhook, replaced: GitHub's answer about a job becomes the event that its webhook would have been.

use dayfly_ports::{JobStatus, JobView, Scope};
use dayfly_records::event::{Event, JobEvent};
use dayfly_types::ids::DeliveryId;
use dayfly_types::time::Timestamp;

/// Returns the event that a webhook of the job would be now, or `None` while the job waits for a deployment
/// gate.
#[must_use]
pub fn event_of_job(view: JobView, scope: &Scope, now: Timestamp) -> Option<Event> {
    let conclusion = match view.status {
        JobStatus::Completed(conclusion) => Some(conclusion),
        JobStatus::Queued | JobStatus::Waiting | JobStatus::InProgress => None,
    };
    let event = JobEvent {
        delivery: DeliveryId::new(format!("asked-{}-{}-{}", view.job, view.attempt, now.seconds())),
        received_at: now,
        created_at: view.created_at,
        installation: scope.installation,
        repository: scope.repository.clone(),
        job: view.job,
        run: view.run,
        attempt: view.attempt,
        name: view.name,
        workflow: view.workflow,
        actor: None,
        head_sha: view.head_sha,
        labels: view.labels,
        runner_name: view.runner_name,
        runner_id: None,
        conclusion,
    };
    match view.status {
        JobStatus::Queued => Some(Event::JobQueued(event)),
        JobStatus::Waiting => None,
        JobStatus::InProgress => Some(Event::JobInProgress(event)),
        JobStatus::Completed(_) => Some(Event::JobCompleted(event)),
    }
}
