//! The cloud around an agent, on loopback: metadata, the check-in function, a runner that is a script, and a
//! power button.

use std::collections::VecDeque;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::any;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::Notify;

use dayfly_agent::processes::{self, Process};
use dayfly_agent::worker::WORKER;

pub const INSTANCE: &str = "i-0123456789abcdef0";
pub const JIT_CONFIG: &str = "aml0LWNvbmZpZy1pbi1zZWNyZXQ=";
pub const SECRET_KEY: &str = "c2VjcmV0LWtleQ";
pub const SESSION_TOKEN: &str = "c2Vzc2lvbi10b2tlbg";

/// Longer than any step of a test: a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(40);

/// A listener that waits for its signal and then ends in order.
pub const PATIENT_LISTENER: &str = r#"
trap 'echo interrupted >interrupted; exit 0' INT
"$ACTIONS_RUNNER_HOOK_JOB_STARTED"
sleep 1000 & wait $!
"#;

/// A listener with a job that has a workspace and a step whose output is kept.
pub const WORKING_LISTENER: &str = r#"
export GITHUB_WORKSPACE="$PWD/it's the workspace" GITHUB_RUN_ID=22
mkdir -p "$GITHUB_WORKSPACE"
trap 'echo interrupted >interrupted; exit 0' INT
sh -e "$ACTIONS_RUNNER_HOOK_JOB_STARTED"
sleep 1000 > >(cat >>step-log) & wait $!
"#;

/// A request to the check-in function, or the press of the power button.
#[derive(Clone, Debug)]
pub struct Call {
    pub verb: String,
    pub body: Value,
    pub authorization: String,
    pub session_token: String,
}

#[derive(Default)]
struct Answers {
    calls: Vec<Call>,
    seen: usize,
    claims: VecDeque<(u16, Value)>,
    start: Option<(u16, Value)>,
    order: Option<&'static str>,
    cut_off: bool,
    spot_notice: Option<Value>,
    taken_back_at: Option<i64>,
}

#[derive(Default)]
struct Cloud {
    answers: Mutex<Answers>,
    called: Notify,
}

/// One agent with everything around it.
pub struct World {
    cloud: Arc<Cloud>,
    folder: TempDir,
    url: String,
    settings: Vec<(&'static str, String)>,
    agent: Option<Child>,
}

/// The default answer to a claim.
pub fn claim() -> Value {
    json!({
        "runner": "dayfly-1-1-1", "jit_config": JIT_CONFIG,
        "heartbeat_seconds": 1, "lifetime_seconds": 600, "drain_seconds": 30,
    })
}

impl World {
    /// A world whose runner is `listener`, the body of a bash script.
    pub async fn new(listener: &str) -> Self {
        let cloud = Arc::new(Cloud::default());
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let app = Router::new()
            .route("/latest/{*path}", any(metadata))
            .route("/checkin/{verb}", any(checkin))
            .with_state(Arc::clone(&cloud));
        tokio::spawn(async move { axum::serve(socket, app).await });
        let folder = tempfile::tempdir().unwrap();
        // The runner may be another user.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let runner = folder.path().join("runner");
        fs::create_dir_all(runner.join("bin")).unwrap();
        script(
            &runner.join("run.sh"),
            "cd \"${0%/*}\" && bin/Runner.Listener run\nexit $?\n",
        );
        // Like GitHub's, the listener does not pass its registration on.
        let listener = format!("jit=$ACTIONS_RUNNER_INPUT_JITCONFIG\nunset ACTIONS_RUNNER_INPUT_JITCONFIG\n{listener}");
        script(&runner.join("bin/Runner.Listener"), &listener);
        let (host, port) = url.trim_start_matches("http://").split_once(':').unwrap();
        let button = format!(
            "exec 3<>/dev/tcp/{host}/{port}\nprintf 'POST /checkin/poweroff HTTP/1.0\\r\\n\\r\\n' >&3\ncat <&3 >/dev/null\n"
        );
        let power_button = folder.path().join("power-button");
        script(&power_button, &button);
        let settings = vec![
            ("PATH", std::env::var("PATH").unwrap()),
            ("AWS_REGION", "eu-west-1".to_owned()),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.clone()),
            ("DAYFLY_CHECKIN_URL", format!("{url}/checkin/")),
            ("DAYFLY_ROOT", folder.path().display().to_string()),
            ("DAYFLY_RUNNER_DIR", runner.display().to_string()),
            ("DAYFLY_SPOT_POLL_SECONDS", "1".to_owned()),
            ("DAYFLY_POWEROFF", power_button.display().to_string()),
        ];
        Self {
            cloud,
            folder,
            url,
            settings,
            agent: None,
        }
    }

    /// Sets one of the agent's variables.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.settings.retain(|(it, _)| *it != name);
        self.settings.push((name, value.into()));
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sets the answer to requests to start a job. The default permits them.
    pub fn answer_start(&self, status: u16, body: Value) {
        self.cloud.answers.lock().unwrap().start = Some((status, body));
    }

    /// Sets the answers to claims, in order; the last one is repeated.
    pub fn answer_claims(&self, answers: impl IntoIterator<Item = (u16, Value)>) {
        self.answers(|it| it.claims = answers.into_iter().collect());
    }

    /// Answers heartbeats and reports with this order from now on.
    pub fn order(&self, order: &'static str) {
        self.answers(|it| it.order = Some(order));
    }

    /// Fails all requests of the agent from now on.
    pub fn cut_off(&self) {
        self.answers(|it| it.cut_off = true);
    }

    /// Gives EC2's notice through the metadata, `left` before EC2 acts.
    pub fn give_spot_notice(&self, left: Duration) -> Value {
        let at = DateTime::from(SystemTime::now() + left);
        let at = DateTime::from_secs(at.secs()).fmt(Format::DateTime).unwrap();
        let notice = json!({"action": "terminate", "time": at});
        self.answers(|it| it.spot_notice = Some(notice));
        json!({"action": "terminate", "at": at})
    }

    /// Gives EC2's notice only through the control plane, `left` before EC2 acts.
    pub fn order_drain_with_notice(&self, left: Duration) {
        let at = DateTime::from(SystemTime::now() + left).to_millis().unwrap();
        self.answers(|it| {
            it.order = Some("drain");
            it.taken_back_at = Some(at);
        });
    }

    pub fn start(&mut self) {
        let log = File::create(self.folder.path().join("agent.log")).unwrap();
        let agent = Command::new(env!("CARGO_BIN_EXE_dayfly-agent"))
            .env_clear()
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.agent = Some(agent);
    }

    /// Waits for the next call of `verb`.
    pub async fn next(&self, verb: &str) -> Call {
        self.next_that(verb, |_| true).await
    }

    /// Waits for the next call of `verb` whose body is `right`.
    pub async fn next_that(&self, verb: &str, right: impl Fn(&Value) -> bool) -> Call {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let called = self.cloud.called.notified();
                if let Some(call) = self.take(verb, &right) {
                    return call;
                }
                called.await;
            }
        });
        let Ok(call) = found.await else {
            panic!("no `{verb}` came\ncalls: {:#?}\nlog:\n{}", self.calls(), self.log());
        };
        call
    }

    fn take(&self, verb: &str, right: &impl Fn(&Value) -> bool) -> Option<Call> {
        self.answers(|it| {
            let fits = |call: &Call| call.verb == verb && right(&call.body);
            let at = it.seen + it.calls[it.seen..].iter().position(fits)?;
            it.seen = at + 1;
            Some(it.calls[at].clone())
        })
    }

    /// Waits for the power button, and checks that the agent and all its processes end.
    pub async fn powered_off(&mut self) {
        self.next("poweroff").await;
        let agent = self.agent.as_mut().unwrap();
        let id = agent.id();
        let status = tokio::time::timeout(PATIENCE, agent.wait()).await;
        assert!(
            status.is_ok(),
            "the agent still runs after the power-off\n{}",
            self.log()
        );
        if let Some(id) = id {
            assert_eq!(processes::descendants(&processes::all(), id.cast_signed()), []);
        }
        assert_eq!(self.marked(), [], "processes are left");
    }

    /// Returns the processes with this world's folder in their environment.
    fn marked(&self) -> Vec<Process> {
        let mark = format!("DAYFLY_ROOT={}", self.folder.path().display());
        let home = self.folder.path().display().to_string();
        processes::all()
            .into_iter()
            .filter(|process| {
                let environment = fs::read(format!("/proc/{}/environ", process.pid));
                let environment = environment.unwrap_or_default();
                let environment = String::from_utf8_lossy(&environment);
                environment.contains(&mark) || environment.contains(&home)
            })
            .collect()
    }

    pub fn supervisor(&self) -> i32 {
        self.agent.as_ref().unwrap().id().unwrap().cast_signed()
    }

    pub fn worker(&self) -> i32 {
        let all = processes::all();
        let is_worker = |it: &&Process| it.parent == self.supervisor() && it.name.as_bytes() == WORKER.to_bytes();
        all.iter().find(is_worker).expect("no worker").pid
    }

    pub fn calls(&self) -> Vec<Call> {
        self.answers(|it| it.calls.clone())
    }

    pub fn count(&self, verb: &str) -> usize {
        self.calls().iter().filter(|call| call.verb == verb).count()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("agent.log")).unwrap_or_default()
    }

    /// The path of a file that the runner wrote.
    pub fn runner_file(&self, name: &str) -> PathBuf {
        self.folder.path().join("runner").join(name)
    }

    fn answers<T>(&self, change: impl FnOnce(&mut Answers) -> T) -> T {
        change(&mut self.cloud.answers.lock().unwrap())
    }
}

/// Kills what a failed test left running.
impl Drop for World {
    fn drop(&mut self) {
        if let Some(id) = self.agent.as_ref().and_then(Child::id) {
            processes::kill_descendants(id.cast_signed());
        }
        for process in self.marked() {
            processes::signal(process.pid, Signal::SIGKILL);
        }
    }
}

fn script(path: &Path, body: &str) {
    fs::write(path, format!("#!/bin/bash\n{body}")).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

async fn metadata(
    State(cloud): State<Arc<Cloud>>,
    method: Method,
    UrlPath(path): UrlPath<String>,
    headers: HeaderMap,
) -> (StatusCode, String) {
    if method == Method::PUT && path == "api/token" {
        let ttl = headers.get("x-aws-ec2-metadata-token-ttl-seconds");
        let status = if ttl.is_some() {
            StatusCode::OK
        } else {
            StatusCode::BAD_REQUEST
        };
        return (status, "imds-token".to_owned());
    }
    if headers
        .get("x-aws-ec2-metadata-token")
        .is_none_or(|token| token != "imds-token")
    {
        return (StatusCode::UNAUTHORIZED, String::new());
    }
    let credentials = json!({
        "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "ASIA1", "SecretAccessKey": SECRET_KEY,
        "Token": SESSION_TOKEN, "Expiration": "2099-01-01T00:00:00Z", "LastUpdated": "2026-01-01T00:00:00Z",
    });
    let found = match path.strip_prefix("meta-data/").unwrap_or_default() {
        "instance-id" => Some(INSTANCE.to_owned()),
        "iam/security-credentials/" => Some("dayfly-instance".to_owned()),
        "iam/security-credentials/dayfly-instance" => Some(credentials.to_string()),
        "spot/instance-action" => {
            let notice = cloud.answers.lock().unwrap().spot_notice.clone();
            notice.map(|it| it.to_string())
        }
        _ => None,
    };
    found.map_or_else(|| (StatusCode::NOT_FOUND, String::new()), |text| (StatusCode::OK, text))
}

async fn checkin(
    State(cloud): State<Arc<Cloud>>,
    UrlPath(verb): UrlPath<String>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|it| it.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let answer = {
        let mut answers = cloud.answers.lock().unwrap();
        answers.calls.push(Call {
            verb: verb.clone(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
            authorization: header("authorization"),
            session_token: header("x-amz-security-token"),
        });
        let order = answers.order.unwrap_or("continue");
        match verb.as_str() {
            "poweroff" => (200, Value::Null),
            _ if answers.cut_off => (500, json!({"error": "cut off"})),
            "claim" if answers.claims.len() > 1 => answers.claims.pop_front().unwrap(),
            "claim" => answers.claims.front().cloned().unwrap_or_else(|| (200, claim())),
            "start" => answers.start.clone().unwrap_or_else(|| (200, json!({}))),
            "goodbye" => (200, json!({"order": "stop"})),
            _ => match answers.taken_back_at {
                Some(at) => (200, json!({"order": order, "taken_back_at": at})),
                None => (200, json!({"order": order})),
            },
        }
    };
    cloud.called.notify_waiters();
    (StatusCode::from_u16(answer.0).unwrap(), answer.1.to_string())
}
