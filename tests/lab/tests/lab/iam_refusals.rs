//! IAM's limits of each role: real calls with the role's real credentials, and for each role one call
//! that it may make, so that no refusal is due to invalid credentials.

use bytes::Bytes;
use dayfly_lab::aws::{Aws, AwsError, Rest};
use dayfly_lab::functions::Function;
use reqwest::Method;
use serde_json::{Value, json};

use crate::stand_in::{Foundation, claim};

const WEBHOOK_SECRET: &str = "/dayfly/github/webhook-secret";
const APP_KEY: &str = "/dayfly/github/private-key";

fn assert_denied<T: std::fmt::Debug>(what: &str, answer: Result<T, AwsError>) {
    match answer {
        Err(error) if error.is_denied() => {}
        other => panic!("{what} should have been denied, and gave {other:?}"),
    }
}

async fn table_scan(aws: &Aws, lab: &Foundation) -> Result<Vec<Value>, AwsError> {
    aws.scan(lab.cloud.deployment().output("TableName").unwrap(), None)
        .await
}

async fn table_get(aws: &Aws, lab: &Foundation) -> Result<Value, AwsError> {
    let body = json!({
        "TableName": lab.cloud.deployment().output("TableName").unwrap(),
        "Key": {"pk": {"S": "WAKE"}, "sk": {"S": "WAKE"}},
    });
    aws.json("dynamodb", "DynamoDB_20120810", "GetItem", &body).await
}

async fn announce(aws: &Aws, lab: &Foundation) -> Result<Value, AwsError> {
    let entry = json!({
        "EventBusName": lab.cloud.deployment().output("BusName").unwrap(),
        "Source": "dayfly",
        "DetailType": "iam.test",
        "Detail": "{}",
    });
    aws.json("events", "AWSEvents", "PutEvents", &json!({"Entries": [entry]}))
        .await
}

#[tokio::test]
async fn launch_may_not_read_the_webhook_secret() {
    let lab = Foundation::start().await;
    let launch = lab
        .cloud
        .aws()
        .as_caller(lab.session_of("LaunchRole").await.credentials);
    assert_denied("the webhook secret", launch.parameter(WEBHOOK_SECRET).await);
    assert_denied("ending instances", launch.terminate("i-0123456789abcdef0").await);
    assert_denied("reading the whole table", table_scan(&launch, &lab).await);
    assert_eq!(launch.parameter(APP_KEY).await.unwrap(), "a private key");
    table_get(&launch, &lab).await.unwrap();
    launch.instances().await.unwrap();
    lab.stop().await;
}

#[tokio::test]
async fn webhook_may_not_call_ec2_nor_act_as_the_app() {
    let lab = Foundation::start().await;
    let webhook = lab
        .cloud
        .aws()
        .as_caller(lab.session_of("WebhookRole").await.credentials);
    assert_denied("EC2", webhook.instances().await);
    assert_denied("ending instances", webhook.terminate("i-0123456789abcdef0").await);
    assert_denied(
        "a fleet",
        webhook.query("ec2", "CreateFleet", &[("Type", "instant")]).await,
    );
    assert_denied("the App's key", webhook.parameter(APP_KEY).await);
    assert_eq!(webhook.parameter(WEBHOOK_SECRET).await.unwrap(), "a webhook secret");
    table_get(&webhook, &lab).await.unwrap();
    announce(&webhook, &lab).await.unwrap();
    lab.stop().await;
}

#[tokio::test]
async fn checkin_may_not_call_ec2_nor_read_the_webhook_secret() {
    let lab = Foundation::start().await;
    let checkin = lab
        .cloud
        .aws()
        .as_caller(lab.session_of("CheckinRole").await.credentials);
    assert_denied("EC2", checkin.instances().await);
    assert_denied("the webhook secret", checkin.parameter(WEBHOOK_SECRET).await);
    announce(&checkin, &lab).await.unwrap();
    assert_eq!(checkin.parameter(APP_KEY).await.unwrap(), "a private key");
    table_get(&checkin, &lab).await.unwrap();
    lab.stop().await;
}

#[tokio::test]
async fn job_events_may_end_instances_of_the_stack_and_no_others() {
    let lab = Foundation::start().await;
    let settle = lab
        .cloud
        .aws()
        .as_caller(lab.session_of("JobEventsRole").await.credentials);
    let ours = lab.ec2(&lab.fleet("ours")).await.xml().texts("instanceIds").remove(0);
    let others = lab
        .cloud
        .aws()
        .query(
            "ec2",
            "RunInstances",
            &[
                ("MinCount", "1"),
                ("MaxCount", "1"),
                ("ImageId", "ami-0123456789abcdef0"),
            ],
        )
        .await
        .unwrap()
        .text("instanceId")
        .unwrap();
    assert_denied("somebody else's instance", settle.terminate(&others).await);
    settle.terminate(&ours).await.unwrap();
    lab.stop().await;
}

#[tokio::test]
async fn the_instance_role_may_do_nothing_but_check_in() {
    let lab = Foundation::real().await;
    let session = lab.instance_session("i-0123456789abcdef0").await;
    lab.cloud.sessions().insert(session.clone());
    let instance = lab.cloud.aws().as_caller(session.credentials.clone());
    let deployment = lab.cloud.deployment();

    assert_denied("EC2", instance.instances().await);
    assert_denied("ending itself", instance.terminate("i-0123456789abcdef0").await);
    assert_denied("the table", table_get(&instance, &lab).await);
    assert_denied("the bus", announce(&instance, &lab).await);
    assert_denied("the App's key", instance.parameter(APP_KEY).await);
    assert_denied("the webhook secret", instance.parameter(WEBHOOK_SECRET).await);
    let schedule = deployment.output("MinuteScheduleName").unwrap();
    assert_denied("the schedule", instance.schedule(schedule).await);
    assert_denied(
        "its role",
        instance
            .role_policies(deployment.resource("InstanceRole").unwrap())
            .await,
    );
    let code = Rest {
        service: "s3",
        method: Method::GET,
        path: "/dayfly-code/webhook.zip".into(),
        headers: Vec::new(),
        body: Bytes::new(),
    };
    assert_denied("the functions' code", instance.rest("s3:GetObject", code).await);
    for function in Function::ALL {
        let name = deployment.function(function).unwrap();
        assert_denied(function.name(), instance.invoke(name, &json!({})).await);
    }

    // The function itself answers: it knows the caller, and no runner on it.
    let door = lab.cloud.checkin_door().url();
    let (status, answer) = claim(&door, "i-0123456789abcdef0", Some(&session.credentials)).await;
    assert_eq!(status, 409, "{answer}");
    let (status, answer) = claim(&door, "i-0fedcba9876543210", Some(&session.credentials)).await;
    assert_eq!(status, 403, "{answer}");
    let wrong = "the body names another instance than the one that signed the call";
    assert_eq!(answer, json!({"error": wrong}));
    lab.stop().await;
}
