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

/// What is told where the two calls are answered so; a call that is not named must not be made.
async fn told(answers: &[(&str, u16, Value)]) -> Result<Option<u32>, QuotaError> {
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
async fn the_accounts_own_value_is_told() {
    for (value, expected) in [(0.0, 0), (64.0, 64), (4.5, 4)] {
        let told = told(&[(APPLIED, 200, quota(value))]).await.unwrap();
        assert_eq!(told, Some(expected));
    }
}

#[tokio::test]
async fn an_account_without_a_value_of_its_own_has_awss() {
    let missing = refusal("NoSuchResourceException");
    let told = told(&[(APPLIED, 400, missing), (DEFAULT, 200, quota(0.0))]).await;
    assert_eq!(told.unwrap(), Some(0));
}

#[tokio::test]
async fn where_aws_tells_nothing_there_is_no_value_and_no_error() {
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
        assert_eq!(told(&answers).await.unwrap(), None, "{answers:?}");
    }
}

#[tokio::test]
async fn what_may_pass_is_an_error_that_names_the_quota() {
    let error = told(&[(APPLIED, 400, refusal("IllegalArgumentException"))])
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "the quota L-3819A6DF could not be read: IllegalArgumentException: no"
    );
}
