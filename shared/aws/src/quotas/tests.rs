use serde_json::{Value, json};
use wiremock::matchers::{body_json, header};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

const CODE: &str = "L-3819A6DF";
const APPLIED: &str = "ServiceQuotasV20190624.GetServiceQuota";
const DEFAULT: &str = "ServiceQuotasV20190624.GetAWSDefaultServiceQuota";

fn quotas(server: &MockServer) -> ServiceQuotas {
    let url = server.uri();
    let config = crate::config_from(move |name| match name {
        "AWS_REGION" => Some("eu-west-1".to_owned()),
        "AWS_ENDPOINT_URL_SERVICE_QUOTAS" => Some(url.clone()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
        _ => None,
    });
    ServiceQuotas::new(&config.unwrap())
}

fn quota(value: f64) -> Value {
    json!({"Quota": {"ServiceCode": "ec2", "QuotaCode": CODE, "Value": value, "Unit": "None"}})
}

fn refusal(code: &str) -> Value {
    json!({"__type": code, "Message": "no"})
}

/// Reads a quota with these answers; other calls fail the test.
async fn read(answers: &[(&str, u16, Value)]) -> Result<Option<u32>, QuotaError> {
    let server = MockServer::start().await;
    for (target, status, answer) in answers {
        Mock::given(header("x-amz-target", *target))
            .and(body_json(json!({"ServiceCode": "ec2", "QuotaCode": CODE})))
            .respond_with(ResponseTemplate::new(*status).set_body_json(answer))
            .expect(1)
            .mount(&server)
            .await;
    }
    quotas(&server).value(CODE).await
}

#[tokio::test]
async fn the_accounts_own_value_is_read() {
    for (value, expected) in [(0.0, 0), (64.0, 64), (4.5, 4)] {
        let value = read(&[(APPLIED, 200, quota(value))]).await.unwrap();
        assert_eq!(value, Some(expected));
    }
}

#[tokio::test]
async fn an_account_without_its_own_value_has_awss_default() {
    let missing = refusal("NoSuchResourceException");
    let value = read(&[(APPLIED, 400, missing), (DEFAULT, 200, quota(0.0))]).await;
    assert_eq!(value.unwrap(), Some(0));
}

#[tokio::test]
async fn a_missing_or_denied_value_is_no_error() {
    let missing = || refusal("NoSuchResourceException");
    let denied = || refusal("AccessDeniedException");
    let cases = [
        vec![(APPLIED, 400, missing()), (DEFAULT, 400, missing())],
        vec![(APPLIED, 400, denied())],
        vec![(APPLIED, 400, refusal("AccessDenied"))],
        vec![(APPLIED, 400, missing()), (DEFAULT, 400, denied())],
        vec![(APPLIED, 200, json!({}))],
        vec![(APPLIED, 200, quota(-1.0))],
    ];
    for answers in cases {
        assert_eq!(read(&answers).await.unwrap(), None, "{answers:?}");
    }
}

#[tokio::test]
async fn other_failures_are_errors_that_name_the_quota() {
    let error = read(&[(APPLIED, 400, refusal("IllegalArgumentException"))])
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "the quota L-3819A6DF could not be read: IllegalArgumentException: no"
    );
}
