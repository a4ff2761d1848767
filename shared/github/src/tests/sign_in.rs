use std::collections::HashSet;

use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use dayfly_ports::{ApiErrorKind, GitHub, Scope};
use dayfly_types::ids::{InstallationId, RunId};
use serde_json::{Value, json};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, Request, ResponseTemplate};

use super::support::{KEY, World, refusal, scope};

const SIGN_IN: &str = "/app/installations/7/access_tokens";
const RUN: &str = "/repos/octo/gpu/actions/runs/22";

fn run() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"run_attempt": 1, "status": "queued", "conclusion": null}))
}

fn bearer(request: &Request) -> &str {
    let value = request.headers["authorization"].to_str().unwrap();
    value.strip_prefix("Bearer ").unwrap()
}

/// Verifies a JWT's signature and returns its claims.
fn claims(jwt: &str) -> Value {
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, KEY.public_key().as_ref())
        .verify(signed.as_bytes(), &signature)
        .unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let read = |part: &str| -> Value { serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    assert_eq!(read(header)["alg"], "RS256");
    read(claims)
}

#[tokio::test]
async fn each_sign_in_has_its_own_jwt() {
    let world = World::bare().await;
    // In its last minute, so that every call signs in again.
    world.gives_token(7, "token-7", 30).await;
    world.answers("GET", RUN, run()).await;
    for _ in 0..3 {
        world.app.run(&scope(), RunId(22)).await.unwrap();
    }
    let requests = world.server.received_requests().await.unwrap();
    let all: Vec<Value> = requests
        .iter()
        .filter(|request| request.url.path() == SIGN_IN)
        .map(|request| claims(bearer(request)))
        .collect();
    let ids: HashSet<&str> = all.iter().map(|claims| claims["jti"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 3);
    for claims in &all {
        let now = jiff::Timestamp::now().as_second();
        let (issued, expires) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
        assert_eq!(claims["iss"], "12");
        assert!(issued <= now - 55, "issued in the past, for clocks differ");
        assert!(
            expires > now && expires - issued <= 600,
            "GitHub takes ten minutes at most"
        );
    }
}

#[tokio::test]
async fn a_token_is_reused_until_its_last_minute() {
    let world = World::start().await;
    world.answers("GET", RUN, run()).await;
    for _ in 0..3 {
        world.app.run(&scope(), RunId(22)).await.unwrap();
    }
    assert_eq!(world.asked(SIGN_IN).await, 1);
    assert_eq!(world.parameters.reads(), 1);
}

#[tokio::test]
async fn each_installation_has_its_own_token() {
    let world = World::start().await;
    world.gives_token(8, "token-8", 3600).await;
    for token in ["token-7", "token-8"] {
        Mock::given(path(RUN))
            .and(header("authorization", format!("Bearer {token}").as_str()))
            .respond_with(run())
            .expect(1)
            .mount(&world.server)
            .await;
    }
    for installation in [7, 8] {
        let scope = Scope {
            installation: InstallationId(installation),
            ..scope()
        };
        world.app.run(&scope, RunId(22)).await.unwrap();
    }
}

#[tokio::test]
async fn a_revoked_token_is_replaced_once() {
    let world = World::start().await;
    Mock::given(path(RUN))
        .respond_with(refusal(401, "Bad credentials"))
        .up_to_n_times(1)
        .mount(&world.server)
        .await;
    world.answers("GET", RUN, run()).await;
    world.app.run(&scope(), RunId(22)).await.unwrap();
    assert_eq!(world.asked(SIGN_IN).await, 2);

    let refusing = World::start().await;
    refusing.answers("GET", RUN, refusal(401, "Bad credentials")).await;
    let error = refusing.app.run(&scope(), RunId(22)).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Forbidden);
    assert_eq!(refusing.asked(RUN).await, 2);
}

#[tokio::test]
async fn an_unreadable_key_is_read_again() {
    let world = World::start().await;
    world.answers("GET", RUN, run()).await;
    *world.parameters.value.lock().unwrap() = None;
    let error = world.app.run(&scope(), RunId(22)).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Unavailable);
    assert!(error.message.contains("/dayfly/key"), "{error}");

    world.parameters.set(&super::support::pem());
    world.app.run(&scope(), RunId(22)).await.unwrap();
}

#[tokio::test]
async fn an_invalid_key_is_explained_but_not_shown() {
    let world = World::start().await;
    world
        .parameters
        .set("-----BEGIN RSA PRIVATE KEY-----\nc2VjcmV0\n-----END RSA PRIVATE KEY-----");
    let error = world.app.run(&scope(), RunId(22)).await.unwrap_err().to_string();
    assert!(error.contains("`/dayfly/key`") && error.contains(".pem"), "{error}");
    assert!(!error.contains("c2VjcmV0"), "{error}");
    assert!(!format!("{:?}", world.app).contains("c2VjcmV0"));
}

#[tokio::test]
async fn a_refused_key_is_read_again_by_the_next_call() {
    let world = World::bare().await;
    Mock::given(method("POST"))
        .and(path(SIGN_IN))
        .respond_with(refusal(401, "A JSON web token could not be decoded"))
        .up_to_n_times(1)
        .mount(&world.server)
        .await;
    world.gives_token(7, "token-7", 3600).await;
    world.answers("GET", RUN, run()).await;
    let error = world.app.run(&scope(), RunId(22)).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Forbidden);
    assert!(error.message.contains("App id 12 and the key"), "{error}");
    world.app.run(&scope(), RunId(22)).await.unwrap();
    assert_eq!(world.parameters.reads(), 2);
}

#[tokio::test]
async fn a_missing_installation_is_no_missing_configuration() {
    let world = World::bare().await;
    world.answers("POST", SIGN_IN, refusal(404, "Not Found")).await;
    // A missing configuration answers 404 as well, and is no error.
    let error = world.app.config_file(&scope(), ".dayfly.yml", None).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::NotFound);
    assert!(error.message.contains("no installation 7"), "{error}");
}
