//! The host with the real user data, an EC2 that is a list, and an agent that is a script.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use dayfly_agent::processes;
use dayfly_host::{
    Cloud, CloudError, CloudInstance, CloudState, Host, HostConfig, HostEvent, InstanceEnd, InstanceEvent, RoleSession,
    Route, lay_out_runner, pack_runner,
};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::broadcast::Receiver;

const ID: &str = "i-00000000000000001";
const CHECKIN: &str = "https://checkin.example";
const RUNNER_URL: &str = "https://downloads.example/runner.tar.gz";
/// Longer than any step of a test: a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// An EC2 whose instances a test sets.
#[derive(Clone)]
struct List {
    instances: Arc<Mutex<Vec<CloudInstance>>>,
    terminated: Arc<Mutex<Vec<String>>>,
    user_data: String,
}

impl List {
    fn new(user_data: String) -> Self {
        let instance = CloudInstance {
            id: ID.to_owned(),
            state: CloudState::Running,
            instance_type: "g5.xlarge".to_owned(),
            zone: "eu-west-1b".to_owned(),
        };
        let instances = Arc::new(Mutex::new(vec![instance]));
        Self {
            instances,
            terminated: Arc::default(),
            user_data,
        }
    }

    fn set_state(&self, state: CloudState) {
        self.instances.lock().unwrap()[0].state = state;
    }
}

impl Cloud for List {
    async fn instances(&self) -> Result<Vec<CloudInstance>, CloudError> {
        Ok(self.instances.lock().unwrap().clone())
    }

    async fn user_data(&self, _instance: &str) -> Result<String, CloudError> {
        Ok(self.user_data.clone())
    }

    async fn role_session(&self, instance: &str) -> Result<RoleSession, CloudError> {
        Ok(RoleSession {
            access_key: format!("ASIA-{instance}"),
            secret_key: "secret".to_owned(),
            token: "token".to_owned(),
            expires: SystemTime::now() + Duration::from_hours(1),
        })
    }

    async fn terminate(&self, instance: &str, _: InstanceEnd) -> Result<(), CloudError> {
        self.set_state(CloudState::Ended);
        self.terminated.lock().unwrap().push(instance.to_owned());
        Ok(())
    }
}

/// A host with one instance, whose agent is a script.
struct Lab {
    cloud: List,
    host: Host,
    events: Receiver<InstanceEvent>,
    _files: TempDir,
}

impl Lab {
    /// Boots an instance whose agent is a bash script with the body `agent`.
    fn boot(agent: &str) -> Self {
        Self::boot_with(agent, |_, _| {})
    }

    fn boot_with(agent: &str, change: impl FnOnce(&mut HostConfig, &Path)) -> Self {
        let files = tempfile::tempdir().unwrap();
        let agent = script(&files.path().join("agent"), agent);
        let listener = script(&files.path().join("listener"), "exit 0");
        let runner = files.path().join("runner");
        lay_out_runner(&listener, &runner).unwrap();
        let archive = files.path().join("runner.tar.gz");
        pack_runner(&runner, &archive).unwrap();
        let mut config = HostConfig::new("eu-west-1", "instances");
        config.image.agent = Some(agent.clone());
        config.image.runner = Some(runner);
        config.poll = Duration::from_millis(20);
        change(&mut config, &archive);
        let cloud = List::new(user_data(&agent, &archive));
        let host = Host::start(cloud.clone(), config);
        let events = host.events();
        Self {
            cloud,
            host,
            events,
            _files: files,
        }
    }

    /// Waits for an event for which `right` returns a value.
    async fn next<T>(&mut self, right: impl Fn(&HostEvent) -> Option<T>) -> T {
        let mut passed = Vec::new();
        loop {
            let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
            let Ok(Ok(InstanceEvent { event, .. })) = event else {
                panic!("after {passed:#?}: {event:?}")
            };
            if let Some(found) = right(&event) {
                return found;
            }
            passed.push(event);
        }
    }

    /// Waits for an agent's log line with this `event`, and returns its `message`.
    async fn agent_message(&mut self, event: &str) -> String {
        self.next(|it| match it {
            HostEvent::AgentLine(line) if line["event"] == event => Some(line["message"].as_str().unwrap().to_owned()),
            _ => None,
        })
        .await
    }

    async fn ended(&mut self) -> InstanceEnd {
        self.next(|it| match it {
            HostEvent::Ended(ending) => Some(*ending),
            _ => None,
        })
        .await
    }

    async fn reported(&mut self) {
        self.next(|it| (*it == HostEvent::ReportedToEc2).then_some(())).await;
    }

    async fn shut_down(self) {
        self.host.shutdown().await.unwrap();
    }

    /// Shuts the host down, and checks that no process with this argument is left.
    async fn close(self, argument: &str) {
        self.shut_down().await;
        assert_eq!(with_argument(argument), Vec::<i32>::new());
    }
}

/// Returns the processes with `argument` on their command line.
fn with_argument(argument: &str) -> Vec<i32> {
    let has = |pid: &i32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split('\0').any(|it| it == argument)
    };
    processes::all().into_iter().map(|it| it.pid).filter(has).collect()
}

fn script(path: &Path, body: &str) -> PathBuf {
    fs::write(path, format!("#!/bin/bash\nsay() {{ echo \"{{\\\"event\\\":\\\"$1\\\",\\\"message\\\":\\\"$2\\\"}}\"; }}\n[ \"$1\" != --version ] || exit 0\n{body}\n")).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    path.to_owned()
}

fn sha256(path: &Path) -> String {
    hex::encode(Sha256::digest(fs::read(path).unwrap()))
}

/// The real user data, with its placeholders filled in as the template does.
fn user_data(agent: &Path, archive: &Path) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/user-data.sh");
    let mut text = fs::read_to_string(path).unwrap();
    for (word, value) in [
        ("@CHECKIN_URL@", format!("{CHECKIN}/")),
        ("@MAX_LIFETIME_SECONDS@", "600".to_owned()),
        ("@BOOT_SECONDS@", "60".to_owned()),
        ("@REGION@", "eu-west-1".to_owned()),
        ("@AGENT_SHA256_X86_64@", sha256(agent)),
        ("@AGENT_SHA256_ARM64@", sha256(agent)),
        ("@RUNNER_URL_X86_64@", RUNNER_URL.to_owned()),
        ("@RUNNER_URL_ARM64@", RUNNER_URL.to_owned()),
        ("@RUNNER_SHA256_X86_64@", sha256(archive)),
        ("@RUNNER_SHA256_ARM64@", sha256(archive)),
    ] {
        text = text.replace(word, &value);
    }
    text
}

/// A shell function that asks the metadata service for a path.
const METADATA: &str = r#"
imds() {
  local host=${AWS_EC2_METADATA_SERVICE_ENDPOINT#http://} line
  exec 3<>"/dev/tcp/${host%:*}/${host#*:}"
  printf '%s /latest/%s HTTP/1.0\r\n%s\r\n\r\n' "$1" "$2" "$3" >&3
  while IFS= read -r line <&3 && [ "$line" != $'\r' ]; do
    case $line in HTTP/*) status=${line#* }; status=${status%% *} ;; esac
  done
  body=$(cat <&3)
}
token() { imds PUT api/token 'x-aws-ec2-metadata-token-ttl-seconds: 60'; token=$body; }
get() { imds GET "meta-data/$1" "x-aws-ec2-metadata-token: $token"; }
"#;

#[tokio::test]
async fn instance_boots_its_user_data_and_ends_with_its_power() {
    let mut lab = Lab::boot("setsid sleep 71001 & say up \"$DAYFLY_CHECKIN_URL $DAYFLY_RUNNER_DIR\"");
    let message = lab.agent_message("up").await;
    let (url, runner) = message.split_once(' ').unwrap();
    assert_eq!(url, "https://checkin.example/");
    assert!(runner.ends_with("/root/opt/actions-runner"));
    assert_eq!(lab.ended().await, InstanceEnd::PoweredOff);
    lab.reported().await;
    assert_eq!(*lab.cloud.terminated.lock().unwrap(), [ID]);
    assert_eq!(lab.host.instances()[0].ending, Some(InstanceEnd::PoweredOff));
    lab.close("71001").await;
}

#[tokio::test]
async fn runner_is_downloaded_and_checked_if_the_image_has_none() {
    let change = |config: &mut HostConfig, archive: &Path| {
        config.image.runner = None;
        config.image.downloads = vec![(RUNNER_URL.to_owned(), archive.to_owned())];
    };
    let agent = r#"say runner "$("$DAYFLY_RUNNER_DIR/run.sh")""#;
    let mut lab = Lab::boot_with(agent, change);
    assert_eq!(lab.agent_message("runner").await, "Exiting runner...");
    assert_eq!(lab.ended().await, InstanceEnd::PoweredOff);
    lab.shut_down().await;
}

#[tokio::test]
async fn download_with_another_checksum_powers_off() {
    let change = |config: &mut HostConfig, archive: &Path| {
        config.image.runner = None;
        let other = archive.with_file_name("listener");
        config.image.downloads = vec![(RUNNER_URL.to_owned(), other)];
    };
    let mut lab = Lab::boot_with("say up ''", change);
    assert_eq!(lab.ended().await, InstanceEnd::PoweredOff);
    lab.shut_down().await;
}

#[tokio::test]
async fn metadata_is_version_two_only_and_has_the_role_session() {
    let agent = format!(
        r#"{METADATA}
        imds GET meta-data/instance-id; say bare "$status"
        token; get instance-id; say id "$body"
        get iam/security-credentials/; get "iam/security-credentials/$body"
        say key "$(grep -o 'ASIA[^"]*' <<<"$body")"
        get spot/instance-action; say notice "$status"
        get placement/availability-zone; say zone "$body""#
    );
    let mut lab = Lab::boot(&agent);
    for (event, message) in [
        ("bare", "401"),
        ("id", ID),
        ("key", "ASIA-i-00000000000000001"),
        ("notice", "404"),
        ("zone", "eu-west-1b"),
    ] {
        assert_eq!(lab.agent_message(event).await, message);
    }
    lab.shut_down().await;
}

#[tokio::test]
async fn instance_that_ec2_ended_is_gone() {
    let mut lab = Lab::boot("trap '' TERM INT; (setsid sleep 71002 &); say up ''; sleep 71002");
    lab.agent_message("up").await;
    lab.cloud.set_state(CloudState::Ended);
    assert_eq!(lab.ended().await, InstanceEnd::Terminated);
    assert_eq!(with_argument("71002"), Vec::<i32>::new());
    assert!(lab.cloud.terminated.lock().unwrap().is_empty(), "EC2 knows already");
    lab.close("71002").await;
}

#[tokio::test]
async fn interruption_comes_after_its_notice() {
    let agent = format!(
        r#"{METADATA}
        token; say up ''
        until get spot/instance-action && [ "$status" = 200 ]; do sleep 0.05; done
        say notice "$(grep -o '"action":"[a-z]*"' <<<"$body" | tr -d '"')"
        sleep 71003"#
    );
    let mut lab = Lab::boot(&agent);
    lab.agent_message("up").await;
    lab.host.interrupt(ID, "terminate", Duration::from_secs(2)).unwrap();
    assert_eq!(lab.agent_message("notice").await, "action:terminate");
    assert_eq!(lab.ended().await, InstanceEnd::Interrupted);
    lab.reported().await;
    assert!(
        lab.host.interrupt(ID, "terminate", Duration::ZERO).is_err(),
        "it is gone"
    );
    lab.close("71003").await;
}

#[tokio::test]
async fn cut_network_hangs_up_and_a_restored_one_answers() {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to: SocketAddr = server.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = server.accept().await.unwrap();
            connection.write_all(b"hello\n").await.unwrap();
            // Held until the other side hangs up.
            tokio::spawn(async move { connection.read_to_end(&mut Vec::new()).await });
        }
    });
    let agent = r#"
        host=${DAYFLY_CHECKIN_URL#http://}; host=${host%/}
        while :; do
          word=; exec 3<>"/dev/tcp/${host%:*}/${host#*:}" && read -r word <&3
          [ "$word" = "$last" ] || say "got" "$word"
          last=$word; exec 3>&-; sleep 0.02
        done"#;
    let change = |config: &mut HostConfig, _: &Path| {
        config.routes = vec![Route {
            url: CHECKIN.to_owned(),
            to,
        }];
    };
    let mut lab = Lab::boot_with(agent, change);
    assert_eq!(lab.agent_message("got").await, "hello");
    lab.host.cut_network(ID).unwrap();
    assert_eq!(lab.agent_message("got").await, "");
    lab.host.restore_network(ID).unwrap();
    assert_eq!(lab.agent_message("got").await, "hello");
    lab.host.crash(ID).unwrap();
    assert_eq!(lab.ended().await, InstanceEnd::Crashed);
    lab.shut_down().await;
}

#[tokio::test]
async fn dropped_host_leaves_no_process() {
    let mut lab = Lab::boot("setsid sleep 71004 & until grep -q 71004 /proc/$!/cmdline; do :; done; say up ''; wait");
    lab.agent_message("up").await;
    assert!(!with_argument("71004").is_empty());
    drop(lab.host);
    assert_eq!(with_argument("71004"), Vec::<i32>::new());
}
