//! What happens on the twin, as values that a demo can print and a test can wait for.

use jiff::Timestamp;

use crate::model::{CheckRunId, Conclusion, DeliveryId, JobId, RunId, RunnerId};

/// One thing that happened, and when on the twin's clock.
#[derive(Debug, Clone, PartialEq)]
pub struct TwinEvent {
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub what: Happening,
}

/// The kinds of things that happen on the twin.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Happening {
    /// A push, a dispatch or a re-run made an attempt of a workflow run.
    RunRequested {
        /// The run.
        run: RunId,
        /// Its attempt, from 1.
        attempt: u32,
        /// The workflow's name.
        workflow: String,
    },
    /// Every job of the attempt is done.
    RunCompleted {
        /// The run.
        run: RunId,
        /// The attempt.
        attempt: u32,
        /// Derived from its jobs.
        conclusion: Conclusion,
    },
    /// A job waits for an environment's approval.
    JobWaiting {
        /// The job.
        job: JobId,
        /// Its name.
        name: String,
    },
    /// A job may be taken by a runner.
    JobQueued {
        /// The job.
        job: JobId,
        /// Its run.
        run: RunId,
        /// Its name.
        name: String,
        /// What its runner must have.
        labels: Vec<String>,
    },
    /// A job was offered to a runner, which has not taken it yet.
    JobAssigned {
        /// The job.
        job: JobId,
        /// The runner.
        runner: RunnerId,
        /// The runner's name.
        runner_name: String,
    },
    /// The runner did not take the job in time; it is queued again.
    JobRequeued {
        /// The job.
        job: JobId,
        /// The runner that did not answer.
        runner: RunnerId,
    },
    /// A runner took the job.
    JobStarted {
        /// The job.
        job: JobId,
        /// The runner's name.
        runner_name: String,
    },
    /// A step of a job changed.
    StepChanged {
        /// The job.
        job: JobId,
        /// The step's number, from 1.
        number: u32,
        /// The step's name.
        name: String,
        /// Its conclusion; none while it runs.
        conclusion: Option<Conclusion>,
    },
    /// A line of a step's output.
    StepOutput {
        /// The job.
        job: JobId,
        /// The step's number, from 1.
        step: u32,
        /// One line without its end.
        line: String,
    },
    /// A job is done.
    JobCompleted {
        /// The job.
        job: JobId,
        /// Its name.
        name: String,
        /// How it ended.
        conclusion: Conclusion,
    },
    /// A JIT config was made: the runner exists, offline.
    RunnerRegistered {
        /// The runner.
        runner: RunnerId,
        /// Its name.
        name: String,
        /// Its labels.
        labels: Vec<String>,
    },
    /// The runner opened a session and listens.
    RunnerOnline {
        /// The runner.
        runner: RunnerId,
        /// Its name.
        name: String,
    },
    /// The runner was refused a session for its version.
    RunnerRefused {
        /// The runner.
        runner: RunnerId,
        /// The version it gave.
        version: String,
    },
    /// The runner is no longer registered.
    RunnerRemoved {
        /// The runner.
        runner: RunnerId,
        /// Its name.
        name: String,
        /// Why.
        why: RunnerRemoval,
    },
    /// A webhook delivery was sent.
    WebhookSent {
        /// The delivery.
        delivery: DeliveryId,
        /// `X-GitHub-Event`.
        event: String,
        /// The payload's `action`.
        action: Option<String>,
        /// `X-GitHub-Delivery`.
        guid: String,
    },
    /// A webhook delivery was answered, or failed.
    WebhookAnswered {
        /// The delivery.
        delivery: DeliveryId,
        /// The status code; GitHub's stand-in (502, 504) where there was no answer.
        status: u16,
    },
    /// The fault plan kept a webhook from being sent, or held it back.
    WebhookDisturbed {
        /// `X-GitHub-Event`.
        event: String,
        /// The payload's `action`.
        action: Option<String>,
        /// What was done to it, in words.
        how: String,
    },
    /// The App made a check run, or changed it.
    CheckRunSaid {
        /// The check run.
        check: CheckRunId,
        /// Its name.
        name: String,
        /// How it ended; none while it is in progress.
        conclusion: Option<String>,
        /// The title that it shows.
        title: String,
    },
    /// A request to the REST API was answered.
    ApiCall {
        /// The method.
        method: String,
        /// The path, without the query.
        path: String,
        /// The answer's status code.
        status: u16,
    },
    /// A request, an answer or a webhook broke GitHub's description.
    Violation {
        /// What broke it, in words.
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
