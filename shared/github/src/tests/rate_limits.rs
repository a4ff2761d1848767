//! Rate limits are respected until they end.

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

/// Returns the remaining wait of a call that failed for a limit.
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
async fn a_limit_stops_all_calls_of_the_installation() {
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
async fn a_limit_does_not_affect_other_installations() {
    let world = World::start().await;
    world.gives_token(8, "token-8", 3600).await;
    world.answers("DELETE", RUNNER, refusal(429, "slow down")).await;
    world.answers("GET", RUN, run()).await;
    let error = world.app.remove_runner(&scope(), RunnerId(5)).await.unwrap_err();
    assert_eq!(left(error.kind), Duration::from_secs(60), "GitHub's documented minute");
    let other = Scope {
        installation: InstallationId(8),
        ..scope()
    };
    world.app.run(&other, RunId(22)).await.unwrap();
}

#[tokio::test]
async fn no_call_is_sent_after_the_last_allowed_answer() {
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
async fn an_expired_limit_stops_no_call() {
    let world = World::start().await;
    world.answers("GET", RUN, used_up(run(), -5)).await;
    for _ in 0..2 {
        world.app.run(&scope(), RunId(22)).await.unwrap();
    }
}

#[tokio::test]
async fn a_limit_of_the_app_stops_sign_ins_but_not_cached_tokens() {
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
