//! The server side of the runner protocol; see [`crate::runner_protocol`].

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::api::log_text;
use crate::hub::Hub;
use crate::model::{Conclusion, Job, JobId, RunnerId};
use crate::runner_protocol::{
    CompleteJob, Completed, EndedBy, JobMessage, OpenSession, Order, Refused, RefusedCode, Renewed, RunnerMessage,
    SessionOpened, StepLog, StepMessage, StepReport,
};
use crate::state::{SHUTDOWN_ANNOTATION, SessionRefusal, State as World};

/// The routes under `/_twin`.
pub(crate) fn router() -> Router<Arc<Hub>> {
    Router::new()
        .route("/logs/{job}", get(log_text))
        .route("/runner/sessions", post(open))
        .route("/runner/sessions/{session}", delete(close))
        .route("/runner/sessions/{session}/message", get(message))
        .route("/runner/sessions/{session}/jobs/{job}/acknowledge", post(acknowledge))
        .route("/runner/jobs/{job}/renew", post(renew))
        .route("/runner/jobs/{job}/logs", post(logs))
        .route("/runner/jobs/{job}/steps", post(steps))
        .route("/runner/jobs/{job}/complete", post(complete))
}

type Answer = Result<Response, Refusal>;

struct Refusal(StatusCode, RefusedCode, &'static str);

const NOT_REGISTERED: Refusal = Refusal(
    StatusCode::UNAUTHORIZED,
    RefusedCode::NotRegistered,
    "The runner registration has been deleted from the server.",
);
const JOB_OVER: Refusal = Refusal(
    StatusCode::GONE,
    RefusedCode::JobOver,
    "The job is over, or another runner's.",
);

impl axum::response::IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Refused {
            code: self.1,
            message: self.2.to_owned(),
        };
        (self.0, Json(body)).into_response()
    }
}

fn credential(headers: &HeaderMap) -> Result<&str, Refusal> {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or(NOT_REGISTERED)
}

fn runner_of(world: &World, headers: &HeaderMap) -> Result<RunnerId, Refusal> {
    let credential = credential(headers)?;
    world
        .runners
        .values()
        .find(|runner| runner.credential == credential)
        .map(|runner| runner.id)
        .ok_or(NOT_REGISTERED)
}

async fn open(State(hub): State<Arc<Hub>>, headers: HeaderMap, Json(request): Json<OpenSession>) -> Answer {
    let credential = credential(&headers)?;
    hub.act(|world, now| match world.open_session(credential, &request, now) {
        Ok(session) => {
            let timings = &world.rules.timings;
            let opened = SessionOpened {
                session_id: session.id,
                poll_seconds: timings.poll.as_secs_f64(),
                renew_seconds: timings.renew.as_secs_f64(),
            };
            Ok((StatusCode::CREATED, Json(opened)).into_response())
        }
        Err(SessionRefusal::NotRegistered) => Err(NOT_REGISTERED),
        Err(SessionRefusal::VersionTooOld) => Err(Refusal(
            StatusCode::FORBIDDEN,
            RefusedCode::VersionTooOld,
            "This runner version is deprecated and cannot receive messages.",
        )),
        Err(SessionRefusal::SessionExists) => Err(Refusal(
            StatusCode::CONFLICT,
            RefusedCode::SessionExists,
            "A session for this runner already exists.",
        )),
    })
}

async fn close(State(hub): State<Arc<Hub>>, Path(session): Path<String>, headers: HeaderMap) -> Answer {
    let credential = credential(&headers)?;
    hub.act(|world, now| {
        let id = world
            .runner_of_session(credential, &session, now)
            .ok_or(NOT_REGISTERED)?
            .id;
        world.close_session(id);
        Ok(StatusCode::NO_CONTENT.into_response())
    })
}

/// Held until there is a job for the runner, the runner is removed, or the poll times out.
async fn message(State(hub): State<Arc<Hub>>, Path(session): Path<String>, headers: HeaderMap) -> Answer {
    let credential = credential(&headers)?;
    let mut changes = hub.changes();
    let poll: Duration = hub.state().rules.timings.poll;
    let until = Instant::now() + poll;
    hub.act(|world, now| {
        let runner = world
            .runner_of_session(credential, &session, now)
            .ok_or(NOT_REGISTERED)?;
        runner.unresponsive = false;
        Ok(())
    })?;
    loop {
        changes.mark_unchanged();
        if let Some(job_id) = offered(&mut hub.state(), credential, &session, hub.now())? {
            return Ok(Json(RunnerMessage::JobOffered { job_id }).into_response());
        }
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep_until(until) => break,
            () = hub.closed() => break,
        }
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn offered(world: &mut World, credential: &str, session: &str, now: Timestamp) -> Result<Option<JobId>, Refusal> {
    let runner = world
        .runner_of_session(credential, session, now)
        .ok_or(NOT_REGISTERED)?;
    let job = runner.job;
    Ok(job.filter(|job| world.jobs.get(job).is_some_and(|job| job.offer.is_some())))
}

async fn acknowledge(
    State(hub): State<Arc<Hub>>,
    Path((session, job)): Path<(String, JobId)>,
    headers: HeaderMap,
) -> Answer {
    let credential = credential(&headers)?;
    hub.act(|world, now| {
        let runner = world
            .runner_of_session(credential, &session, now)
            .ok_or(NOT_REGISTERED)?
            .id;
        if world.acknowledge(job, runner, now).is_none() {
            return Err(Refusal(
                StatusCode::CONFLICT,
                RefusedCode::TooLate,
                "The job is queued again, or done.",
            ));
        }
        Ok(Json(job_message(world, &world.jobs[&job])).into_response())
    })
}

fn job_message(world: &World, job: &Job) -> JobMessage {
    let run = &world.runs[&job.run];
    let steps = job
        .spec
        .steps
        .iter()
        .zip(2..)
        .map(|(step, number)| StepMessage {
            number,
            id: step.id.clone(),
            name: step.name.clone(),
            run: step.run.clone(),
            env: step.env.clone(),
        })
        .collect();
    JobMessage {
        job_id: job.id,
        run_id: run.id,
        run_attempt: job.attempt,
        run_number: run.number,
        job_key: job.spec.key.clone(),
        job_name: job.spec.name.clone(),
        workflow_name: run.workflow.name.clone(),
        repository: world.repos[&run.repo].full_name(),
        sha: run.head_sha.clone(),
        git_ref: format!("refs/heads/{}", run.head_branch),
        event_name: run.event.clone(),
        actor: run.actor.login.clone(),
        env: job.spec.env.clone(),
        steps,
    }
}

async fn renew(State(hub): State<Arc<Hub>>, Path(job): Path<JobId>, headers: HeaderMap) -> Answer {
    hub.act(|world, now| {
        // A removed runner has no job either: it must learn that its job is over.
        let runner = runner_of(world, &headers).map_err(|_| JOB_OVER)?;
        let job = world.running_job_of(job, runner, now).ok_or(JOB_OVER)?;
        let order = match job.cancel_since {
            Some(_) => Order::Cancel,
            None => Order::Continue,
        };
        Ok(Json(Renewed { order }).into_response())
    })
}

async fn logs(
    State(hub): State<Arc<Hub>>,
    Path(job): Path<JobId>,
    headers: HeaderMap,
    Json(log): Json<StepLog>,
) -> Answer {
    hub.act(|world, now| {
        let runner = runner_of(world, &headers).map_err(|_| JOB_OVER)?;
        world.running_job_of(job, runner, now).ok_or(JOB_OVER)?;
        world.add_log(job, log.step, log.lines, now);
        for error in log.errors {
            world.annotate(job, error);
        }
        Ok(StatusCode::NO_CONTENT.into_response())
    })
}

async fn steps(
    State(hub): State<Arc<Hub>>,
    Path(job): Path<JobId>,
    headers: HeaderMap,
    Json(report): Json<StepReport>,
) -> Answer {
    hub.act(|world, now| {
        let runner = runner_of(world, &headers).map_err(|_| JOB_OVER)?;
        world.running_job_of(job, runner, now).ok_or(JOB_OVER)?;
        if world.change_step(job, report.number, report.conclusion, now) {
            Ok(StatusCode::NO_CONTENT.into_response())
        } else {
            Err(Refusal(
                StatusCode::UNPROCESSABLE_ENTITY,
                RefusedCode::NoSuchStep,
                "The job has no such step.",
            ))
        }
    })
}

async fn complete(
    State(hub): State<Arc<Hub>>,
    Path(job): Path<JobId>,
    headers: HeaderMap,
    Json(end): Json<CompleteJob>,
) -> Answer {
    hub.act(|world, now| {
        let runner = runner_of(world, &headers).map_err(|_| JOB_OVER)?;
        world.running_job_of(job, runner, now).ok_or(JOB_OVER)?;
        let conclusion = match end.ended_by {
            Some(EndedBy::ShutdownSignal) => {
                world.annotate(job, SHUTDOWN_ANNOTATION.to_owned());
                Conclusion::Failure
            }
            None => end.conclusion,
        };
        world.set_outputs(job, &end.outputs);
        world.finish_job(job, conclusion, now);
        let done = Completed { runner_removed: true };
        Ok(Json(done).into_response())
    })
}
