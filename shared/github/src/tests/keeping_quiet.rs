//! A rate limit is kept: until it ends, nobody asks.

use std::time::Duration;

use dayfly_ports::{ApiErrorKind, GitHub, Scope};
use dayfly_types::ids::{InstallationId, RunId, RunnerId};
use serde_json::json;
use wiremock::ResponseTemplate;

use super::support::{World, refusal, scope};

const RUN: &str = "/repos/octo/gpu/actions/runs/22";
const RUNNER: &str = "/repos/octo/gpu/actions/runners/5";
const SIGN_IN: &str = "/app/installations/7/access_tokens";

fn run() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"run_attempt": 1, "status": "queued", "conclusion": null}))
}

fn used_up(answer: ResponseTemplate, seconds: i64) -> ResponseTemplate {
    let reset = jiff::Timestamp::now().as_second() + seconds;
    answer
        .insert_header("x-ratelimit-remaining", "0")
        .insert_header("x-ratelimit-reset", reset.to_string())
}

/// What is left of a wait, if that is what the call failed for.
fn left(kind: ApiErrorKind) -> Duration {
    match kind {
        ApiErrorKind::RateLimited(Some(left)) => left,
        other => panic!("{other:?}"),
    }
}

async fn requests(world: &World) -> usize {
    world.server.received_requests().await.unwrap().len()
}

#[tokio::test]
async fn after_a_limit_no_call_of_the_installation_is_made() {
    let world = World::start().await;
    let limited = refusal(403, "You have exceeded a secondary rate limit.").insert_header("retry-after", "90");
    world.answers("GET", RUN, limited).await;
    let error = world.app.run(&scope(), RunId(22)).await.unwrap_err();
    assert_eq!(left(error.kind), Duration::from_secs(90));

    let before = requests(&world).await;
    let error = world.app.remove_runner(&scope(), RunnerId(5)).await.unwrap_err();
    let left = left(error.kind);
    assert!(
        left > Duration::from_secs(80) && left <= Duration::from_secs(90),
        "{left:?}"
    );
    assert!(error.message.contains("installation 7"), "{error}");
    assert_eq!(requests(&world).await, before);
}

#[tokio::test]
async fn a_limit_of_one_installation_is_none_of_another() {
    let world = World::start().await;
    world.gives_token(8, "token-8", 3600).await;
    world.answers("DELETE", RUNNER, refusal(429, "slow down")).await;
    world.answers("GET", RUN, run()).await;
    let error = world.app.remove_runner(&scope(), RunnerId(5)).await.unwrap_err();
    assert_eq!(
        left(error.kind),
        Duration::from_secs(60),
        "GitHub's minute, if it says nothing"
    );
    let other = Scope {
        installation: InstallationId(8),
        ..scope()
    };
    world.app.run(&other, RunId(22)).await.unwrap();
}

#[tokio::test]
async fn the_last_answer_before_a_limit_is_the_last_question() {
    let world = World::start().await;
    world.answers("GET", RUN, used_up(run(), 600)).await;
    world.app.run(&scope(), RunId(22)).await.unwrap();
    let error = world.app.run(&scope(), RunId(22)).await.unwrap_err();
    let left = left(error.kind);
    assert!(
        left > Duration::from_secs(590) && left <= Duration::from_secs(600),
        "{left:?}"
    );
    assert_eq!(world.asked(RUN).await, 1);
}

#[tokio::test]
async fn a_limit_that_is_over_stops_nobody() {
    let world = World::start().await;
    world.answers("GET", RUN, used_up(run(), -5)).await;
    for _ in 0..2 {
        world.app.run(&scope(), RunId(22)).await.unwrap();
    }
}

#[tokio::test]
async fn a_limit_of_the_app_stops_sign_ins_and_not_who_has_a_token() {
    let world = World::start().await;
    world.answers("GET", RUN, run()).await;
    world.app.run(&scope(), RunId(22)).await.unwrap();
    let limited = refusal(403, "You have exceeded a secondary rate limit.");
    world.answers("POST", "/app/hook/deliveries/9/attempts", limited).await;
    world.app.redeliver(9).await.unwrap_err();

    let before = requests(&world).await;
    let other = Scope {
        installation: InstallationId(8),
        ..scope()
    };
    let error = world.app.run(&other, RunId(22)).await.unwrap_err();
    assert!(left(error.kind) <= Duration::from_secs(60));
    left(world.app.installations().await.unwrap_err().kind);
    assert_eq!(requests(&world).await, before);
    world.app.run(&scope(), RunId(22)).await.unwrap();
    assert_eq!(world.asked(SIGN_IN).await, 1);
}
