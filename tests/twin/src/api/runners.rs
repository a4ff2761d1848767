//! Self-hosted runners.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Page, Refusal, ok, with_status};
use super::guard::Caller;
use crate::hub::Hub;
use crate::model::{Runner, RunnerId};
use crate::payload;
use crate::runner_protocol::{CredentialsData, CredentialsFile, JitConfig, RunnerFile};
use crate::secrets::SecretKind;
use crate::state::{DeleteRefusal, JitRequest, RegisterRefusal, State as World};

#[derive(Debug, Deserialize)]
struct JitBody {
    name: String,
    runner_group_id: u64,
    labels: Vec<String>,
    #[serde(default = "default_work_folder")]
    work_folder: String,
}

fn default_work_folder() -> String {
    "_work".to_owned()
}

pub(super) async fn generate_jitconfig(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Answer {
    let repo = caller.repo()?;
    let body: JitBody = serde_json::from_slice(&body).map_err(|error| Refusal::invalid(error.to_string()))?;
    hub.act(|world, now| {
        let request = JitRequest {
            name: body.name,
            group: body.runner_group_id,
            labels: body.labels,
            work_folder: body.work_folder,
        };
        let name = request.name.clone();
        let id = match world.register_runner(repo, request, now) {
            Ok(runner) => runner.id,
            Err(RegisterRefusal::Invalid(why)) => return Err(Refusal::invalid(why)),
            Err(RegisterRefusal::NameTaken) => {
                return Err(Refusal::conflict(format!(
                    "Already exists - A runner with the name {name} already exists."
                )));
            }
        };
        let runner = &world.runners[&id];
        let encoded = jit_config(world, runner)
            .encode()
            .map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
        let credential = runner.credential.clone();
        let answer = json!({
            "runner": payload::runner(world, runner, now),
            "encoded_jit_config": encoded,
        });
        world.record_secret(SecretKind::JitConfig, &encoded);
        world.record_secret(SecretKind::RunnerCredential, &credential);
        with_status(StatusCode::CREATED, answer)
    })
}

fn jit_config(world: &World, runner: &Runner) -> JitConfig {
    let repo = world.repos[&runner.repo].full_name();
    JitConfig {
        runner: RunnerFile {
            agent_id: runner.id,
            agent_name: runner.name.clone(),
            pool_id: 1,
            pool_name: "Default".to_owned(),
            server_url: world.api_url.clone(),
            git_hub_url: format!("https://github.com/{repo}"),
            work_folder: runner.work_folder.clone(),
            ephemeral: true,
        },
        credentials: CredentialsFile {
            scheme: "OAuth".to_owned(),
            data: CredentialsData {
                client_id: runner.credential.clone(),
                authorization_url: format!("{}/_twin/runner/token", world.api_url),
            },
        },
    }
}

pub(super) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<Vec<(String, String)>>,
) -> Answer {
    let repo = caller.repo()?;
    let now = hub.now();
    let world = hub.state();
    let name = query.iter().find(|(key, _)| key == "name").map(|(_, value)| value);
    let found: Vec<Value> = world
        .runners()
        .filter(|runner| runner.repo == repo)
        .filter(|runner| name.is_none_or(|name| runner.name == *name))
        .map(|runner| payload::runner(&world, runner, now))
        .collect();
    let url = format!(
        "{}/repos/{}/actions/runners",
        world.api_url,
        world.repos[&repo].full_name()
    );
    Page::of(&query).answer(Some("runners"), &found, &url)
}

pub(super) async fn get(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, id)): Path<(String, String, RunnerId)>,
) -> Answer {
    let repo = caller.repo()?;
    let now = hub.now();
    let world = hub.state();
    let found = world
        .runners
        .get(&id)
        .filter(|runner| runner.repo == repo)
        .ok_or_else(Refusal::not_found)?;
    ok(payload::runner(&world, found, now))
}

pub(super) async fn remove(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, id)): Path<(String, String, RunnerId)>,
) -> Answer {
    let repo = caller.repo()?;
    match hub.act(|world, _| world.delete_runner(repo, id)) {
        Ok(()) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(DeleteRefusal::NotFound) => Err(Refusal::not_found()),
        Err(DeleteRefusal::Busy(name)) => Err(Refusal::unprocessable(format!(
            "Bad request - Runner \"{name}\" is still running a job\""
        ))),
    }
}
