//! Events of the twin, as values that a demo can print and a test can wait for.

use jiff::Timestamp;

use crate::model::{CheckRunId, Conclusion, DeliveryId, JobId, RunId, RunnerId};

/// One thing that happened, and when on the twin's clock.
#[derive(Debug, Clone, PartialEq)]
pub struct TwinEvent {
    pub at: Timestamp,
    pub what: Happening,
}

/// The kinds of things that happen on the twin.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Happening {
    /// A push, a dispatch or a re-run started an attempt of a workflow run.
    RunRequested {
        run: RunId,
        /// Its attempt, from 1.
        attempt: u32,
        workflow: String,
    },
    /// Every job of the attempt is done.
    RunCompleted {
        run: RunId,
        attempt: u32,
        /// Derived from its jobs.
        conclusion: Conclusion,
    },
    /// A job waits for an environment's approval.
    JobWaiting {
        job: JobId,
        name: String,
    },
    /// A job may be taken by a runner.
    JobQueued {
        job: JobId,
        run: RunId,
        name: String,
        /// The labels that its runner must have.
        labels: Vec<String>,
    },
    /// A job was offered to a runner, which has not taken it yet.
    JobAssigned {
        job: JobId,
        runner: RunnerId,
        runner_name: String,
    },
    /// The runner did not take the job in time, and it is queued again.
    JobRequeued {
        job: JobId,
        /// The runner that did not answer.
        runner: RunnerId,
    },
    JobStarted {
        job: JobId,
        runner_name: String,
    },
    /// A step of a job changed.
    StepChanged {
        job: JobId,
        /// The step's number, from 1.
        number: u32,
        name: String,
        /// Its conclusion; none while it runs.
        conclusion: Option<Conclusion>,
    },
    /// A line of a step's output.
    StepOutput {
        job: JobId,
        /// The step's number, from 1.
        step: u32,
        /// One line without its end.
        line: String,
    },
    JobCompleted {
        job: JobId,
        name: String,
        conclusion: Conclusion,
    },
    /// A JIT config was created, and with it an offline runner.
    RunnerRegistered {
        runner: RunnerId,
        name: String,
        labels: Vec<String>,
    },
    /// The runner opened a session and listens.
    RunnerOnline {
        runner: RunnerId,
        name: String,
    },
    /// The runner was refused a session for its version.
    RunnerRefused {
        runner: RunnerId,
        version: String,
    },
    /// The runner is no longer registered.
    RunnerRemoved {
        runner: RunnerId,
        name: String,
        why: RunnerRemoval,
    },
    WebhookSent {
        delivery: DeliveryId,
        /// `X-GitHub-Event`.
        event: String,
        action: Option<String>,
        /// `X-GitHub-Delivery`.
        guid: String,
    },
    /// A webhook delivery was answered, or failed.
    WebhookAnswered {
        delivery: DeliveryId,
        /// The status code; GitHub's own (502, 504) if there was no answer.
        status: u16,
    },
    /// The fault plan kept a webhook from being sent, or held it back.
    WebhookDisturbed {
        /// `X-GitHub-Event`.
        event: String,
        action: Option<String>,
        /// The disturbance, as text.
        how: String,
    },
    /// The App created or updated a check run.
    CheckRunWritten {
        check: CheckRunId,
        name: String,
        /// How it ended; none while it is in progress.
        conclusion: Option<String>,
        title: String,
    },
    /// A request to the REST API was answered.
    ApiCall {
        method: String,
        /// The path, without the query.
        path: String,
        status: u16,
    },
    /// A request, an answer or a webhook broke GitHub's description.
    Violation {
        /// The violation, as text.
        what: String,
    },
}

/// Why a runner is no longer registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunnerRemoval {
    /// It did its one job.
    JobDone,
    /// `DELETE …/actions/runners/{id}`.
    Deleted,
    /// It listened too long without a job.
    Unused,
    /// Its JIT config was not used in time.
    ConfigExpired,
    /// It vanished with a job.
    LostCommunication,
}
