//! Workflow runs and jobs.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{Answer, Page, Refusal, add_header, ok, raw, with_status};
use super::guard::Caller;
use crate::hub::Hub;
use crate::model::{Conclusion, Job, JobId, RepoId, Run, RunId};
use crate::payload;
use crate::state::{CancelRefusal, Rerun, RerunRefusal, State as World};

type InRepo<T> = Path<(String, String, T)>;

fn run_of(world: &World, repo: RepoId, id: RunId) -> Result<&Run, Refusal> {
    world
        .runs
        .get(&id)
        .filter(|run| run.repo == repo)
        .ok_or_else(Refusal::not_found)
}

fn job_of(world: &World, repo: RepoId, id: JobId) -> Result<&Job, Refusal> {
    let job = world.jobs.get(&id).ok_or_else(Refusal::not_found)?;
    run_of(world, repo, job.run)?;
    Ok(job)
}

fn url_of(world: &World, repo: RepoId, rest: &str) -> String {
    let name = world.repos[&repo].full_name();
    format!("{}/repos/{name}/actions/{rest}", world.api_url)
}

pub(super) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<Vec<(String, String)>>,
) -> Answer {
    let repo = caller.repo()?;
    let world = hub.state();
    listed(&world, repo, &query, "runs", |_| true)
}

/// The runs of a workflow, by its id or its file's name.
pub(super) async fn list_of_workflow(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, workflow)): InRepo<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Answer {
    let repo = caller.repo()?;
    let world = hub.state();
    let is_it = |run: &Run| {
        let file = run.workflow.path.rsplit('/').next();
        run.workflow.id.to_string() == workflow || file == Some(workflow.as_str())
    };
    if !world.runs().any(|run| run.repo == repo && is_it(run)) {
        return Err(Refusal::not_found());
    }
    listed(&world, repo, &query, &format!("workflows/{workflow}/runs"), is_it)
}

fn listed(world: &World, repo: RepoId, query: &[(String, String)], at: &str, wanted: impl Fn(&Run) -> bool) -> Answer {
    let asked = |name: &str| {
        query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let has_status = |run: &Run, wanted: &str| {
        run.status.as_str() == wanted || run.conclusion.map(Conclusion::as_str) == Some(wanted)
    };
    let since = asked("created").map(created_since).transpose()?;
    let found: Vec<Value> = world
        .runs()
        .rev()
        .filter(|run| run.repo == repo && wanted(run))
        .filter(|run| asked("status").is_none_or(|wanted| has_status(run, wanted)))
        .filter(|run| asked("branch").is_none_or(|wanted| run.head_branch == wanted))
        .filter(|run| asked("event").is_none_or(|wanted| run.event == wanted))
        .filter(|run| asked("head_sha").is_none_or(|wanted| run.head_sha == wanted))
        // To the second, as shown.
        .filter(|run| since.is_none_or(|since| run.created_at.as_second() >= since.as_second()))
        .map(|run| payload::run(world, run))
        .collect();
    Page::of(query).answer(Some("workflow_runs"), &found, &url_of(world, repo, at))
}

/// Of GitHub's ways to name a span, `>=` and a moment.
fn created_since(created: &str) -> Result<Timestamp, Refusal> {
    let moment = created.strip_prefix(">=").and_then(|moment| moment.parse().ok());
    moment.ok_or_else(|| {
        Refusal::unprocessable(format!(
            "the twin knows `created` only as `>=` and a moment, not as `{created}`"
        ))
    })
}

pub(super) async fn get(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, id)): InRepo<RunId>,
) -> Answer {
    let world = hub.state();
    ok(payload::run(&world, run_of(&world, caller.repo()?, id)?))
}

pub(super) async fn attempt(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, id, attempt)): Path<(String, String, RunId, u32)>,
) -> Answer {
    let world = hub.state();
    let run = run_of(&world, caller.repo()?, id)?;
    payload::run_attempt(&world, run, attempt).map_or_else(|| Err(Refusal::not_found()), ok)
}

pub(super) async fn attempt_jobs(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, id, attempt)): Path<(String, String, RunId, u32)>,
    Query(query): Query<Vec<(String, String)>>,
) -> Answer {
    let repo = caller.repo()?;
    let world = hub.state();
    let run = run_of(&world, repo, id)?;
    if attempt == 0 || attempt > run.attempt {
        return Err(Refusal::not_found());
    }
    let jobs: Vec<Value> = jobs_of(&world, run, attempt)
        .into_iter()
        .map(|job| payload::job(&world, job))
        .collect();
    let url = url_of(&world, repo, &format!("runs/{id}/attempts/{attempt}/jobs"));
    Page::of(&query).answer(Some("jobs"), &jobs, &url)
}

/// The jobs of an attempt: of the latest also those that an earlier one did.
fn jobs_of<'a>(world: &'a World, run: &Run, attempt: u32) -> Vec<&'a Job> {
    if attempt < run.attempt {
        return world.jobs_of(run.id, attempt);
    }
    let mut jobs: Vec<&Job> = run.slots.iter().filter_map(|slot| world.jobs.get(&slot.job?)).collect();
    jobs.sort_by_key(|job| job.id);
    jobs
}

pub(super) async fn jobs(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, id)): InRepo<RunId>,
    Query(query): Query<Vec<(String, String)>>,
) -> Answer {
    let repo = caller.repo()?;
    let world = hub.state();
    let run = run_of(&world, repo, id)?;
    let every = query.iter().any(|(key, value)| key == "filter" && value == "all");
    let jobs: Vec<&Job> = if every {
        world.jobs().filter(|job| job.run == id).collect()
    } else {
        jobs_of(&world, run, run.attempt)
    };
    let jobs: Vec<Value> = jobs.into_iter().map(|job| payload::job(&world, job)).collect();
    Page::of(&query).answer(Some("jobs"), &jobs, &url_of(&world, repo, &format!("runs/{id}/jobs")))
}

pub(super) async fn job(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, id)): InRepo<JobId>,
) -> Answer {
    let world = hub.state();
    ok(payload::job(&world, job_of(&world, caller.repo()?, id)?))
}

/// Redirects to the log, as GitHub does; 404 until there is one.
pub(super) async fn job_logs(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, id)): InRepo<JobId>,
) -> Answer {
    let world = hub.state();
    let job = job_of(&world, caller.repo()?, id)?;
    if job.status.is_open() {
        return Err(Refusal::not_found());
    }
    let mut response = StatusCode::FOUND.into_response();
    let location = format!("{}/_twin/logs/{id}", world.api_url);
    add_header(&mut response, "location", &location);
    Ok(response)
}

/// The log itself: a line per line of output, each with its time.
pub(crate) async fn log_text(State(hub): State<Arc<Hub>>, Path(id): Path<JobId>) -> Response {
    let world = hub.state();
    let Some(job) = world.jobs.get(&id) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut text = String::new();
    for line in &job.log {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:.7} {}", line.at, line.text);
    }
    raw(text.into_bytes(), "text/plain; charset=utf-8")
}

fn rerun_answer(result: Result<(), RerunRefusal>, running: &str) -> Answer {
    match result {
        Ok(()) => with_status(StatusCode::CREATED, json!({})),
        Err(RerunRefusal::NotFound) => Err(Refusal::not_found()),
        Err(RerunRefusal::StillRunning) => Err(Refusal::forbidden(running)),
        Err(RerunRefusal::EarlierAttempt) => {
            Err(Refusal::forbidden("Only jobs from the current attempt can be re-run"))
        }
        Err(RerunRefusal::CannotBeRetried) => Err(Refusal::forbidden("This workflow run cannot be retried")),
        Err(RerunRefusal::TooOld) => Err(Refusal::forbidden(
            "Unable to retry this workflow run because it was created over a month ago",
        )),
    }
}

const RUN_RUNNING: &str = "This workflow is already running";
const JOB_RUNNING: &str = "The workflow run containing this job is already running";

pub(super) async fn rerun_job(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, id)): InRepo<JobId>,
) -> Answer {
    let repo = caller.repo()?;
    hub.act(|world, now| {
        let run = job_of(world, repo, id)?.run;
        rerun_answer(world.rerun(run, Rerun::Job(id), &world.bot(), now), JOB_RUNNING)
    })
}

pub(super) async fn rerun_failed(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, id)): InRepo<RunId>,
) -> Answer {
    let repo = caller.repo()?;
    hub.act(|world, now| {
        run_of(world, repo, id)?;
        rerun_answer(world.rerun(id, Rerun::Failed, &world.bot(), now), RUN_RUNNING)
    })
}

pub(super) async fn rerun(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, id)): InRepo<RunId>,
) -> Answer {
    let repo = caller.repo()?;
    hub.act(|world, now| {
        run_of(world, repo, id)?;
        rerun_answer(world.rerun(id, Rerun::All, &world.bot(), now), RUN_RUNNING)
    })
}

fn cancel_now(hub: &Arc<Hub>, repo: RepoId, id: RunId, force: bool) -> Answer {
    hub.act(|world, now| {
        run_of(world, repo, id)?;
        match world.cancel_run(id, force, now) {
            Ok(()) => with_status(StatusCode::ACCEPTED, json!({})),
            Err(CancelRefusal::NotFound) => Err(Refusal::not_found()),
            Err(CancelRefusal::Completed) => Err(Refusal::conflict("Cannot cancel a workflow run that is completed.")),
        }
    })
}

pub(super) async fn cancel(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, id)): InRepo<RunId>,
) -> Answer {
    cancel_now(&hub, caller.repo()?, id, false)
}

pub(super) async fn force_cancel(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, id)): InRepo<RunId>,
) -> Answer {
    cancel_now(&hub, caller.repo()?, id, true)
}
