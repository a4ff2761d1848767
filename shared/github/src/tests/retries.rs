use std::time::Duration;

use dayfly_ports::{ApiErrorKind, GitHub, Removal};
use dayfly_types::ids::{RunId, RunnerId};
use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, ResponseTemplate};

use super::support::{World, refusal, scope};
use crate::{GitHubApp, GitHubSettings};

const RUN: &str = "/repos/octo/gpu/actions/runs/22";
const RUNNER: &str = "/repos/octo/gpu/actions/runners/5";
const MINT: &str = "/repos/octo/gpu/actions/runners/generate-jitconfig";

async fn fails_at_first(world: &World, with: &str, at: &str, times: u64) {
    Mock::given(method(with))
        .and(path(at))
        .respond_with(refusal(502, "Bad Gateway"))
        .up_to_n_times(times)
        .mount(&world.server)
        .await;
}

#[tokio::test]
async fn a_failed_read_is_retried_twice() {
    let world = World::start().await;
    fails_at_first(&world, "GET", RUN, 2).await;
    let answer = json!({"run_attempt": 1, "status": "queued", "conclusion": null});
    world
        .answers("GET", RUN, ResponseTemplate::new(200).set_body_json(answer))
        .await;
    world.app.run(&scope(), RunId(22)).await.unwrap();
    assert_eq!(world.asked(RUN).await, 3);
}

#[tokio::test]
async fn a_read_that_keeps_failing_is_given_up() {
    let world = World::start().await;
    world.answers("GET", RUN, refusal(502, "Bad Gateway")).await;
    let error = world.app.run(&scope(), RunId(22)).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Unavailable);
    assert_eq!(world.asked(RUN).await, 3);
}

#[tokio::test]
async fn a_failed_removal_is_retried() {
    let world = World::start().await;
    fails_at_first(&world, "DELETE", RUNNER, 1).await;
    world.answers("DELETE", RUNNER, refusal(404, "Not Found")).await;
    let removed = world.app.remove_runner(&scope(), RunnerId(5)).await.unwrap();
    assert_eq!(removed, Removal::Removed);
}

#[tokio::test]
async fn a_failed_sign_in_is_retried() {
    let world = World::bare().await;
    fails_at_first(&world, "POST", "/app/installations/7/access_tokens", 1).await;
    world.gives_token(7, "token-7", 3600).await;
    world.answers("DELETE", RUNNER, ResponseTemplate::new(204)).await;
    world.app.remove_runner(&scope(), RunnerId(5)).await.unwrap();
}

#[tokio::test]
async fn a_registration_is_never_retried() {
    let world = World::start().await;
    world.answers("POST", MINT, refusal(503, "Service Unavailable")).await;
    let error = world.app.mint(&scope(), "dayfly-11-1-1", &[]).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Unavailable);
    assert_eq!(world.asked(MINT).await, 1);
}

#[tokio::test]
async fn a_rate_limit_is_reported_and_not_waited_for() {
    let world = World::start().await;
    let limited = refusal(403, "You have exceeded a secondary rate limit.").insert_header("retry-after", "60");
    world.answers("GET", RUN, limited).await;
    let error = world.app.run(&scope(), RunId(22)).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::RateLimited(Some(Duration::from_secs(60))));
    assert_eq!(world.asked(RUN).await, 1);
}

#[tokio::test]
async fn a_missing_answer_is_given_up() {
    let mut world = World::start().await;
    world.app.transport.try_limit = Duration::from_millis(50);
    let late = ResponseTemplate::new(200).set_delay(Duration::from_secs(60));
    world.answers("GET", RUN, late).await;
    let error = world.app.run(&scope(), RunId(22)).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Unavailable);
    assert_eq!(error.message, "no answer within 50ms");
    assert_eq!(world.asked(RUN).await, 3);
}

#[tokio::test]
async fn an_unreachable_github_is_unavailable_with_the_reason() {
    let world = World::start().await;
    // A port that was free a moment ago, so nothing listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let api_url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let settings = GitHubSettings {
        api_url,
        app_id: 12,
        key_parameter: "/dayfly/key".to_owned(),
    };
    let app = GitHubApp::new(settings, world.parameters.clone());
    let error = app.run(&scope(), RunId(22)).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Unavailable);
    assert!(error.message.to_lowercase().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_malformed_answer_is_reported_without_its_content() {
    let world = World::start().await;
    let answer = ResponseTemplate::new(201).set_body_json(json!({"encoded_jit_config": "aml0"}));
    world.answers("POST", MINT, answer).await;
    let error = world.app.mint(&scope(), "dayfly-11-1-1", &[]).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Unavailable);
    assert!(
        error.message.contains("runner") && !error.message.contains("aml0"),
        "{error}"
    );
}
