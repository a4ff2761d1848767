//! A checked twin with a repository, an API client, a webhook receiver and a runner.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use dayfly_twin::runner_protocol::{
    CompleteJob, JitConfig, JobMessage, OpenSession, Refused, Renewed, RunnerMessage, SessionOpened, StepLog,
    StepReport,
};
use dayfly_twin::{
    Conclusion, Delivery, Job, JobId, RepoId, RunId, State as World, Status, Twin, TwinConfig, signature,
};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Long enough for a busy machine; nothing waits for it when all is well.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const ONE_JOB: &str = "\
on: push
jobs:
  build:
    runs-on: [self-hosted, dayfly-gpu]
    steps:
      - run: echo one
      - name: Second
        run: echo two
";

/// A twin with one repository whose exchanges are all checked.
pub struct Lab {
    pub twin: Twin,
    pub repo: RepoId,
    pub api: Api,
}

impl Lab {
    pub async fn start() -> Self {
        Self::start_with(TwinConfig::checked()).await
    }

    pub async fn start_with(mut config: TwinConfig) -> Self {
        // Making a key takes longer than everything else that a twin does to start.
        static KEY: OnceLock<String> = OnceLock::new();
        config.app_private_key_pem = config.app_private_key_pem.or(KEY.get().cloned());
        let twin = Twin::start(config).await.unwrap();
        KEY.get_or_init(|| twin.app_private_key_pem().to_owned());
        let repo = twin.create_repo("octo-org/demo");
        let api = Api::installed(&twin, repo).await;
        Self { twin, repo, api }
    }

    /// Pushes a workflow; the run it starts.
    pub fn push(&self, workflow: &str) -> RunId {
        let files = [(".github/workflows/ci.yml", workflow)];
        self.twin.push(self.repo, "Push", &files).unwrap()[0]
    }

    pub fn job(&self, id: JobId) -> Job {
        self.twin.inspect(|world| world.job(id).unwrap().clone())
    }

    /// The job of this name in the run's latest attempt.
    pub fn job_named(&self, run: RunId, name: &str) -> Job {
        self.twin.inspect(|world| find_job(world, run, name).unwrap())
    }

    /// Creates a listening runner through the API.
    pub async fn runner(&self, name: &str, labels: &[&str]) -> FakeRunner {
        let config = self.api.jit(name, labels).await;
        FakeRunner::open(&config).await.unwrap()
    }

    pub async fn until<T>(&self, what: &str, look: impl FnMut(&World) -> Option<T>) -> T {
        self.twin.wait_for(what, PATIENCE, look).await.unwrap()
    }

    pub async fn until_run_completed(&self, run: RunId, attempt: u32) -> Conclusion {
        self.until("the run to be completed", |world| {
            let run = world.run(run)?;
            (run.attempt == attempt && run.status == Status::Completed)
                .then_some(run.conclusion)
                .flatten()
        })
        .await
    }

    pub fn assert_no_violations(&self) {
        assert_eq!(self.twin.violations(), Vec::<String>::new());
    }
}

pub fn find_job(world: &World, run: RunId, name: &str) -> Option<Job> {
    let attempt = world.run(run)?.attempt;
    world
        .jobs_of(run, attempt)
        .into_iter()
        .find(|job| job.spec.name == name)
        .cloned()
}

/// A client of the REST API with an installation token.
pub struct Api {
    pub http: reqwest::Client,
    pub url: String,
    pub token: String,
}

pub fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .user_agent("dayfly-twin-tests")
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

impl Api {
    async fn installed(twin: &Twin, repo: RepoId) -> Self {
        let installation = twin.installation_of(repo).unwrap();
        let http = http();
        let answer = http
            .post(format!("{}/app/installations/{installation}/access_tokens", twin.url()))
            .bearer_auth(twin.app_jwt().unwrap())
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 201);
        let answer: Value = answer.json().await.unwrap();
        Self {
            http,
            url: twin.url().to_owned(),
            token: answer["token"].as_str().unwrap().to_owned(),
        }
    }

    /// A call about the repository; `rest` follows `/repos/octo-org/demo`.
    pub async fn call(&self, method: Method, rest: &str, body: Option<Value>) -> Response {
        let url = format!("{}/repos/octo-org/demo{rest}", self.url);
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    pub async fn get(&self, rest: &str) -> (u16, Value) {
        read(self.call(Method::GET, rest, None).await).await
    }

    pub async fn post(&self, rest: &str, body: Value) -> (u16, Value) {
        read(self.call(Method::POST, rest, Some(body)).await).await
    }

    pub async fn delete(&self, rest: &str) -> (u16, Value) {
        read(self.call(Method::DELETE, rest, None).await).await
    }

    pub async fn generate_jit(&self, name: &str, labels: &[&str]) -> (u16, Value) {
        self.post(
            "/actions/runners/generate-jitconfig",
            json!({"name": name, "runner_group_id": 1, "labels": labels}),
        )
        .await
    }

    pub async fn jit(&self, name: &str, labels: &[&str]) -> JitConfig {
        let (status, body) = self.generate_jit(name, labels).await;
        assert_eq!(status, 201, "{body}");
        JitConfig::decode(body["encoded_jit_config"].as_str().unwrap()).unwrap()
    }
}

pub async fn read(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// A runner driven call by call.
pub struct FakeRunner {
    http: reqwest::Client,
    server: String,
    credential: String,
    session: String,
}

impl FakeRunner {
    pub async fn open(config: &JitConfig) -> Result<Self, Refused> {
        Self::open_as(config, "2.336.0").await
    }

    pub async fn open_as(config: &JitConfig, version: &str) -> Result<Self, Refused> {
        let http = http();
        let answer = http
            .post(format!("{}/_twin/runner/sessions", config.runner.server_url))
            .bearer_auth(&config.credentials.data.client_id)
            .json(&OpenSession {
                runner_id: config.runner.agent_id,
                version: version.to_owned(),
                os: "linux".to_owned(),
            })
            .send()
            .await
            .unwrap();
        if answer.status() != 201 {
            return Err(answer.json().await.unwrap());
        }
        let opened: SessionOpened = answer.json().await.unwrap();
        Ok(Self {
            http,
            server: config.runner.server_url.clone(),
            credential: config.credentials.data.client_id.clone(),
            session: opened.session_id,
        })
    }

    async fn post(&self, rest: &str, body: Value) -> Response {
        self.http
            .post(format!("{}/_twin/runner/{rest}", self.server))
            .bearer_auth(&self.credential)
            .json(&body)
            .send()
            .await
            .unwrap()
    }

    /// One poll: the job offered, or the status that came instead.
    pub async fn poll(&self) -> Result<JobId, u16> {
        let url = format!("{}/_twin/runner/sessions/{}/message", self.server, self.session);
        let answer = self.http.get(url).bearer_auth(&self.credential).send().await.unwrap();
        if answer.status() != 200 {
            return Err(answer.status().as_u16());
        }
        let RunnerMessage::JobOffered { job_id } = answer.json().await.unwrap();
        Ok(job_id)
    }

    pub async fn acknowledge(&self, job: JobId) -> Result<JobMessage, u16> {
        let rest = format!("sessions/{}/jobs/{job}/acknowledge", self.session);
        let answer = self.post(&rest, json!({})).await;
        match answer.status().as_u16() {
            200 => Ok(answer.json().await.unwrap()),
            other => Err(other),
        }
    }

    /// Polls and acknowledges.
    pub async fn take(&self) -> JobMessage {
        let job = self.poll().await.unwrap();
        self.acknowledge(job).await.unwrap()
    }

    pub async fn renew(&self, job: JobId) -> Result<Renewed, u16> {
        let answer = self.post(&format!("jobs/{job}/renew"), json!({})).await;
        match answer.status().as_u16() {
            200 => Ok(answer.json().await.unwrap()),
            other => Err(other),
        }
    }

    pub async fn log(&self, job: JobId, step: u32, lines: &[&str]) -> u16 {
        let log = StepLog {
            step,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            errors: Vec::new(),
        };
        let answer = self.post(&format!("jobs/{job}/logs"), json!(log)).await;
        answer.status().as_u16()
    }

    pub async fn step(&self, job: JobId, number: u32, conclusion: Option<Conclusion>) -> u16 {
        let report = StepReport { number, conclusion };
        let answer = self.post(&format!("jobs/{job}/steps"), json!(report)).await;
        answer.status().as_u16()
    }

    pub async fn complete(&self, job: JobId, end: CompleteJob) -> u16 {
        let answer = self.post(&format!("jobs/{job}/complete"), json!(end)).await;
        answer.status().as_u16()
    }

    pub async fn succeed(&self, job: JobId) {
        self.end(job, Conclusion::Success).await;
    }

    pub async fn end(&self, job: JobId, conclusion: Conclusion) {
        let end = CompleteJob {
            conclusion,
            ended_by: None,
            outputs: BTreeMap::new(),
        };
        assert_eq!(self.complete(job, end).await, 200);
    }

    pub async fn close(&self) {
        let url = format!("{}/_twin/runner/sessions/{}", self.server, self.session);
        let answer = self
            .http
            .delete(url)
            .bearer_auth(&self.credential)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 204);
    }
}

#[derive(Debug, Clone)]
pub struct Arrived {
    pub event: String,
    pub guid: String,
    pub signed: bool,
    pub payload: Value,
}

impl Arrived {
    pub fn action(&self) -> &str {
        self.payload["action"].as_str().unwrap_or_default()
    }
}

/// Receives webhooks and answers with a status that can be changed.
pub struct Receiver {
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    secret: String,
    arrived: Mutex<Vec<Arrived>>,
    status: Mutex<StatusCode>,
}

impl Receiver {
    pub async fn start(twin: &Twin) -> Self {
        let shared = Arc::new(Shared {
            secret: twin.webhook_secret().to_owned(),
            arrived: Mutex::default(),
            status: Mutex::new(StatusCode::OK),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/hook", post(receive))
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        twin.set_webhook_url(&url);
        Self { shared, server }
    }

    pub fn answer_with(&self, status: u16) {
        *self.shared.status.lock().unwrap() = StatusCode::from_u16(status).unwrap();
    }

    pub fn arrived(&self) -> Vec<Arrived> {
        self.shared.arrived.lock().unwrap().clone()
    }

    /// `event.action` of all that arrived, in order.
    pub fn names(&self) -> Vec<String> {
        self.arrived()
            .iter()
            .map(|one| format!("{}.{}", one.event, one.action()))
            .collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let arrived = Arrived {
        event: header("x-github-event"),
        guid: header("x-github-delivery"),
        signed: header("x-hub-signature-256") == signature(&shared.secret, &body),
        payload: serde_json::from_slice(&body).unwrap(),
    };
    shared.arrived.lock().unwrap().push(arrived);
    *shared.status.lock().unwrap()
}

/// How many deliveries of this event and action were answered.
pub fn answered(world: &World, event: &str, action: &str) -> Vec<Delivery> {
    world
        .deliveries()
        .filter(|one| one.event == event && one.action.as_deref() == Some(action))
        .filter(|one| one.outcome.is_some())
        .cloned()
        .collect()
}
