//! The checks against GitHub's descriptions find violations.

use dayfly_twin::{Twin, TwinConfig};
use reqwest::Method;
use serde_json::json;

use crate::support::{Lab, http};

async fn violations_of(method: Method, rest: &str, body: Option<serde_json::Value>) -> Vec<String> {
    let lab = Lab::start().await;
    lab.api.call(method, rest, body).await;
    lab.twin.violations()
}

#[tokio::test]
async fn a_request_that_breaks_the_description_is_a_violation() {
    let jit = "/actions/runners/generate-jitconfig";
    let table = [
        (
            Method::POST,
            jit,
            Some(json!({"name": "a", "labels": ["b"]})),
            "runner_group_id",
        ),
        (
            Method::POST,
            jit,
            Some(json!({"name": "a", "runner_group_id": 1, "labels": "b"})),
            "labels",
        ),
        (
            Method::POST,
            jit,
            Some(json!({"name": "a", "runner_group_id": 1, "labels": ["b"], "ephemeral": true})),
            "no field `ephemeral`",
        ),
        (
            Method::GET,
            "/actions/runners?label=gpu",
            None,
            "no query parameter `label`",
        ),
        (Method::GET, "/actions/artifacts", None, "the twin has no"),
        (Method::PUT, "", None, "the twin has no"),
    ];
    for (method, rest, body, expected) in table {
        let found = violations_of(method, rest, body).await;
        assert_eq!(found.len(), 1, "{rest}: {found:?}");
        assert!(found[0].contains(expected), "{rest}: {found:?}");
    }
}

#[tokio::test]
async fn a_request_without_a_user_agent_is_refused() {
    let twin = Twin::start(TwinConfig::checked()).await.unwrap();
    let nameless = reqwest::Client::builder().build().unwrap();
    let url = format!("{}/rate_limit", twin.url());
    assert_eq!(nameless.get(&url).send().await.unwrap().status(), 403);
    assert_eq!(http().get(&url).send().await.unwrap().status(), 200);
    assert_eq!(twin.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn missing_descriptions_are_reported_with_the_install_command() {
    let config = TwinConfig {
        schemas: Some("/nowhere".into()),
        ..TwinConfig::default()
    };
    let error = Twin::start(config).await.err().unwrap().to_string();
    assert!(error.contains("npm ci --prefix .tools/schemas"), "{error}");
}

#[tokio::test]
async fn the_app_and_its_installations_are_as_described() {
    let lab = Lab::start().await;
    let get = async |path: &str| {
        let jwt = lab.twin.app_jwt().unwrap();
        let url = format!("{}{path}", lab.twin.url());
        lab.api.http.get(url).bearer_auth(jwt).send().await.unwrap().status()
    };
    assert_eq!(get("/app").await, 200);
    assert_eq!(get("/app/installations").await, 200);
    assert_eq!(get("/repos/octo-org/demo/installation").await, 200);
    let url = format!("{}/installation/repositories", lab.twin.url());
    let answer = lab.api.http.get(url).bearer_auth(&lab.api.token).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    lab.assert_no_violations();
}
