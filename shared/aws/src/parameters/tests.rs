use secrecy::ExposeSecret;
use serde_json::{Value, json};
use wiremock::matchers::{body_json, header, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

fn parameters(server: &MockServer) -> SsmParameters {
    let url = server.uri();
    let config = crate::config_from(move |name| match name {
        "AWS_REGION" => Some("eu-west-1".to_owned()),
        "AWS_ENDPOINT_URL" => Some(url.clone()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
        _ => None,
    });
    SsmParameters::new(&config.unwrap())
}

async fn answered(status: u16, answer: Value) -> Result<SecretString, ParameterError> {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(status).set_body_json(answer))
        .mount(&server)
        .await;
    parameters(&server).read("/dayfly/secret").await
}

#[tokio::test]
async fn a_parameter_is_read_decrypted() {
    let server = MockServer::start().await;
    Mock::given(header("x-amz-target", "AmazonSSM.GetParameter"))
        .and(body_json(json!({"Name": "/dayfly/secret", "WithDecryption": true})))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({
            "Parameter": {"Name": "/dayfly/secret", "Type": "SecureString", "Value": "hush"}
        })))
        .expect(1)
        .mount(&server)
        .await;
    let secret = parameters(&server).read("/dayfly/secret").await.unwrap();
    assert_eq!(secret.expose_secret(), "hush");
}

#[tokio::test]
async fn a_missing_parameter_names_itself_and_the_fix() {
    let error = answered(400, json!({"__type": "ParameterNotFound"})).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no SSM parameter `/dayfly/secret`: create it in this account and region"
    );
}

#[tokio::test]
async fn a_refusal_has_awss_message_and_no_value() {
    let denied = json!({"__type": "AccessDeniedException", "message": "not authorized to perform: ssm:GetParameter"});
    let error = answered(400, denied).await.unwrap_err();
    assert!(matches!(error, ParameterError::Forbidden { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "the SSM parameter `/dayfly/secret` could not be read: \
         AccessDeniedException: not authorized to perform: ssm:GetParameter"
    );
}

#[tokio::test]
async fn an_answer_without_a_value_is_an_error() {
    let answer = json!({"Parameter": {"Name": "/dayfly/secret"}});
    assert!(matches!(
        answered(200, answer).await,
        Err(ParameterError::Unavailable { .. })
    ));
}

#[tokio::test]
async fn a_failed_read_is_not_cached() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(400).set_body_json(json!({"__type": "ParameterNotFound"})))
        .up_to_n_times(1)
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"Parameter": {"Value": "hush"}})))
        .mount(&server)
        .await;
    let parameters = parameters(&server);
    parameters.read("/dayfly/secret").await.unwrap_err();
    parameters.read("/dayfly/secret").await.unwrap();
}
