//! An engine with our table, and a network that loses an answer.

use std::sync::atomic::{AtomicBool, Ordering};

use dayfly_config::labels::Label;
use dayfly_records::{Job, JobState};
use dayfly_store::DynamoTable;
use dayfly_types::ids::{InstallationId, JobId, JobKey, RunAttempt, RunId};
use dayfly_types::time::Timestamp;
use dynoxide::Database;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

const TABLE: &str = "dayfly";

pub struct Engine {
    database: Database,
    url: String,
}

impl Engine {
    /// Starts an engine with the table of the stack's template. It ends with the test's runtime.
    pub async fn start() -> Self {
        let engine = Self::without_table().await;
        let table = json!({
            "TableName": TABLE,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
                {"AttributeName": "due", "AttributeType": "S"},
                {"AttributeName": "due_at", "AttributeType": "N"},
            ],
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            "GlobalSecondaryIndexes": [{
                "IndexName": "due",
                "KeySchema": [
                    {"AttributeName": "due", "KeyType": "HASH"},
                    {"AttributeName": "due_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }],
        });
        engine
            .database
            .create_table(serde_json::from_value(table).unwrap())
            .unwrap();
        engine
    }

    pub async fn without_table() -> Self {
        let database = Database::memory().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(dynoxide::server::serve_on(listener, database.clone()));
        Self { database, url }
    }

    pub fn table(&self) -> DynamoTable {
        table_at(self.url.clone())
    }

    /// Writes an item without the store.
    pub fn put(&self, item: &Value) {
        let request = json!({"TableName": TABLE, "Item": item});
        self.database
            .put_item(serde_json::from_value(request).unwrap())
            .unwrap();
    }
}

fn table_at(url: String) -> DynamoTable {
    let config = dayfly_aws::config_from(move |name| match name {
        "AWS_REGION" => Some("eu-west-1".to_owned()),
        "AWS_ENDPOINT_URL_DYNAMODB" => Some(url.clone()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
        _ => None,
    });
    DynamoTable::new(&config.unwrap(), TABLE)
}

/// A table that refuses every call with `answer`.
pub async fn refusing(answer: Value) -> (MockServer, DynamoTable) {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(400).set_body_json(answer))
        .mount(&server)
        .await;
    let table = table_at(server.uri());
    (server, table)
}

/// A table whose first write succeeds but loses its answer.
pub async fn lossy(engine: &Engine) -> (MockServer, DynamoTable) {
    let server = MockServer::start().await;
    let loses_the_first = LosesTheFirst {
        database: engine.database.clone(),
        lost: AtomicBool::new(false),
    };
    Mock::given(any()).respond_with(loses_the_first).mount(&server).await;
    let table = table_at(server.uri());
    (server, table)
}

struct LosesTheFirst {
    database: Database,
    lost: AtomicBool,
}

impl Respond for LosesTheFirst {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let target = request.headers["x-amz-target"].to_str().unwrap();
        let body = &request.body;
        let done = match target {
            "DynamoDB_20120810.PutItem" => self
                .database
                .put_item(serde_json::from_slice(body).unwrap())
                .map(|answer| serde_json::to_value(answer).unwrap()),
            "DynamoDB_20120810.TransactWriteItems" => self
                .database
                .transact_write_items(serde_json::from_slice(body).unwrap())
                .map(|answer| serde_json::to_value(answer).unwrap()),
            other => panic!("the store writes by `{other}`, which this engine does not pass on"),
        };
        if !self.lost.swap(true, Ordering::SeqCst) {
            return ResponseTemplate::new(500).set_body_json(json!({"__type": "InternalServerError"}));
        }
        match done {
            Ok(answer) => ResponseTemplate::new(200).set_body_json(answer),
            Err(error) => ResponseTemplate::new(error.status_code()).set_body_string(error.to_json()),
        }
    }
}

pub fn now() -> Timestamp {
    Timestamp::from_seconds(1_800_000_000)
}

/// A waiting job that is due at `due_at`.
pub fn job(id: u64, attempt: u32, due_at: Option<Timestamp>) -> Job {
    Job {
        giving_up: dayfly_config::GivingUp::default(),
        reporting: dayfly_config::Reporting::default(),
        messenger_state: dayfly_records::MessengerState::Nothing,
        messengers: 0,
        key: JobKey {
            job: JobId(id),
            attempt: RunAttempt(attempt),
        },
        run: RunId(22),
        repository: "octo/gpu".parse().unwrap(),
        installation: InstallationId(7),
        name: "test".to_owned(),
        head_sha: "f00d".to_owned(),
        labels: vec![Label::new("dayfly-gpu")],
        queued_at: now(),
        state: JobState::Queued,
        launches: 0,
        first_launch: 0,
        runner: None,
        end_lookups: 0,
        due_at,
        attribution: dayfly_records::Attribution::default(),
        created_at: Some(now()),
        ran_on: None,
        started_at: None,
        ended_at: None,
        github_per_minute: dayfly_types::money::MicroDollars::default(),
    }
}
