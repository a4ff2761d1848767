//! Who may call what.

use std::time::Duration;

use dayfly_twin::{JwtPolicy, RepoOptions, Twin, TwinConfig};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Lab, http, read};

/// A JWT signed by another library than the twin's own.
fn jwt(pem: &str, claims: &Value) -> String {
    let key = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
    encode(&Header::new(Algorithm::RS256), claims, &key).unwrap()
}

async fn call_app(twin: &Twin, jwt: &str) -> (u16, Value) {
    let url = format!("{}/app", twin.url());
    read(http().get(url).bearer_auth(jwt).send().await.unwrap()).await
}

#[tokio::test]
async fn a_jwt_signed_with_the_apps_key_is_accepted() {
    let lab = Lab::start().await;
    let now = lab.twin.now().as_second();
    for issuer in [json!(lab.twin.app_id()), json!(lab.twin.app_id().to_string())] {
        let claims = json!({"iss": issuer, "iat": now - 60, "exp": now + 600});
        let (status, app) = call_app(&lab.twin, &jwt(lab.twin.app_private_key_pem(), &claims)).await;
        assert_eq!(status, 200);
        assert_eq!(app["id"], json!(lab.twin.app_id()));
    }
    lab.assert_no_violations();
}

#[tokio::test]
async fn invalid_jwts_are_refused_with_githubs_messages() {
    let lab = Lab::start().await;
    let now = lab.twin.now().as_second();
    let app = json!(lab.twin.app_id());
    let pem = lab.twin.app_private_key_pem();
    let refused = [
        (
            json!({"iss": app, "iat": now, "exp": now + 700}),
            401,
            "too far in the future",
        ),
        (
            json!({"iss": app, "iat": now, "exp": now - 1}),
            401,
            "must be a numeric value",
        ),
        (json!({"iss": app, "iat": now}), 401, "must be a numeric value"),
        (
            json!({"iss": app, "iat": now + 600, "exp": now + 600}),
            401,
            "'Issued at' claim",
        ),
        (json!({"iat": now, "exp": now + 60}), 401, "'issuer' claim"),
        (
            json!({"iss": 1, "iat": now, "exp": now + 60}),
            404,
            "Integration not found",
        ),
    ];
    for (claims, status, message) in refused {
        let (got, body) = call_app(&lab.twin, &jwt(pem, &claims)).await;
        assert_eq!(got, status, "{claims}");
        assert!(body["message"].as_str().unwrap().contains(message), "{claims}: {body}");
    }
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_jwt_of_another_key_or_none_at_all_is_refused() {
    let lab = Lab::start().await;
    let other = Twin::start(TwinConfig::default()).await.unwrap();
    for jwt in [other.app_jwt().unwrap(), "not.a.jwt".to_owned(), String::new()] {
        assert_eq!(call_app(&lab.twin, &jwt).await.0, 401);
    }
    let answer = http().get(format!("{}/app", lab.twin.url())).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    lab.assert_no_violations();
}

#[tokio::test]
async fn the_apps_key_may_be_given_from_outside() {
    let first = Twin::start(TwinConfig::default()).await.unwrap();
    let config = TwinConfig {
        app_private_key_pem: Some(first.app_private_key_pem().to_owned()),
        ..TwinConfig::default()
    };
    let second = Twin::start(config).await.unwrap();
    assert_eq!(call_app(&second, &first.app_jwt().unwrap()).await.0, 200);
}

#[tokio::test]
async fn a_repeated_jti_is_refused_if_configured() {
    let config = TwinConfig {
        jwt_policy: JwtPolicy::UniqueJti,
        ..TwinConfig::default()
    };
    let twin = Twin::start(config).await.unwrap();
    let now = twin.now().as_second();
    let signed = |expires: i64, jti: Option<&str>| {
        let claims = json!({"iss": twin.app_id(), "iat": now, "exp": now + expires, "jti": jti});
        jwt(twin.app_private_key_pem(), &claims)
    };
    assert_eq!(call_app(&twin, &signed(60, Some("a"))).await.0, 200);
    assert_eq!(
        call_app(&twin, &signed(60, Some("a"))).await.0,
        200,
        "the very same JWT"
    );
    assert_eq!(call_app(&twin, &signed(61, Some("a"))).await.0, 401);
    assert_eq!(call_app(&twin, &signed(60, None)).await.0, 401);
}

#[tokio::test]
async fn a_token_ends_after_an_hour() {
    let lab = Lab::start().await;
    assert_eq!(lab.api.get("").await.0, 200);
    lab.twin.advance(Duration::from_secs(3_601));
    let (status, body) = lab.api.get("").await;
    assert_eq!((status, body["message"].as_str()), (401, Some("Bad credentials")));
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_token_sees_no_repository_of_another_installation() {
    let lab = Lab::start().await;
    let elsewhere = RepoOptions {
        installed: false,
        ..RepoOptions::default()
    };
    let _ = lab.twin.create_repo_with("strangers/secret", elsewhere);
    let url = format!("{}/repos/strangers/secret", lab.twin.url());
    let request = lab.api.http.get(url).bearer_auth(&lab.api.token);
    assert_eq!(request.send().await.unwrap().status(), 404);
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_permission_that_the_app_lacks_is_refused() {
    let mut config = TwinConfig::checked();
    config.app_permissions.remove("administration");
    let lab = Lab::start_with(config).await;
    let (status, body) = lab.api.generate_jit("dayfly-1", &["self-hosted"]).await;
    assert_eq!(status, 403);
    assert_eq!(body["message"], "Resource not accessible by integration");
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_token_can_be_narrowed_but_not_widened() {
    let lab = Lab::start().await;
    let installation = lab.twin.installation_of(lab.repo).unwrap();
    let ask = async |body: Value| {
        let url = format!("{}/app/installations/{installation}/access_tokens", lab.twin.url());
        let jwt = lab.twin.app_jwt().unwrap();
        read(
            lab.api
                .http
                .post(url)
                .bearer_auth(jwt)
                .json(&body)
                .send()
                .await
                .unwrap(),
        )
        .await
    };
    let (status, body) = ask(json!({"repositories": ["demo"], "permissions": {"actions": "read"}})).await;
    assert_eq!(status, 201);
    assert_eq!(body["permissions"], json!({"actions": "read"}));
    assert_eq!(ask(json!({"repositories": ["other"]})).await.0, 422);
    assert_eq!(ask(json!({"permissions": {"contents": "write"}})).await.0, 422);
    lab.assert_no_violations();
}

#[tokio::test]
async fn every_answer_has_the_rate_limit_which_is_enforced() {
    let config = TwinConfig {
        rate_limit_per_hour: 2,
        ..TwinConfig::checked()
    };
    let lab = Lab::start_with(config).await;
    let mut remaining = Vec::new();
    for _ in 0..3 {
        let answer = lab.api.call(Method::GET, "", None).await;
        let left = answer.headers()["x-ratelimit-remaining"].to_str().unwrap().to_owned();
        remaining.push((answer.status().as_u16(), left));
    }
    let expected = [(200, "1"), (200, "0"), (403, "0")].map(|(a, b)| (a, b.to_owned()));
    assert_eq!(remaining, expected);
    let url = format!("{}/rate_limit", lab.twin.url());
    let (status, body) = read(lab.api.http.get(url).bearer_auth(&lab.api.token).send().await.unwrap()).await;
    assert_eq!((status, &body["rate"]["remaining"]), (200, &json!(0)));
    lab.twin.advance(Duration::from_secs(3_500));
    assert_eq!(lab.api.get("").await.0, 403);
    lab.assert_no_violations();
}
