//! One instance's life on the host.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cloud::{Cloud, CloudInstance};
use crate::config::{HostConfig, RUNNER_PROXY_VARIABLE};
use crate::event::{HostEvent, InstanceEnd, InstanceEvent};
use crate::imds::{Imds, Metadata};
use crate::link::Link;
use crate::shims::Shims;
use crate::{image, processes};

/// How long the last lines of an ended instance are waited for.
const LAST_LINES: Duration = Duration::from_secs(2);

/// An incident that a test causes.
#[derive(Debug)]
pub enum Incident {
    /// EC2 gives notice of `action`, and takes the instance back `after` that time.
    Interrupt { action: String, after: Duration },
    /// EC2 recommends rebalancing.
    RecommendRebalance,
}

/// One instance on the host.
#[expect(clippy::struct_field_names, reason = "`instance` is what the cloud reports of it")]
pub struct Instance<C> {
    pub cloud: Arc<C>,
    pub config: Arc<HostConfig>,
    pub instance: CloudInstance,
    /// The mark of its processes.
    pub mark: String,
    pub events: broadcast::Sender<InstanceEvent>,
    pub incidents: mpsc::UnboundedReceiver<Incident>,
    /// Why it has to end, if it does.
    pub end: watch::Receiver<Option<InstanceEnd>>,
    /// Whether its network is up.
    pub up: watch::Receiver<bool>,
    /// Limits how many instances boot at once.
    pub boots: Arc<Semaphore>,
}

struct BootedInstance {
    shims: Shims,
    imds: Imds,
    user_data: Child,
    _links: Vec<Link>,
}

impl<C: Cloud> Instance<C> {
    /// Boots the instance and follows it until all its processes have ended.
    pub async fn run_to_end(mut self) -> InstanceEnd {
        let mut end = self.end.clone();
        let mut console = JoinSet::new();
        let scratch = self.scratch();
        let ending = match &scratch {
            Ok(scratch) => tokio::select! {
                ending = end_requested(&mut end) => ending,
                ending = self.run(scratch.path(), &mut console) => ending,
            },
            Err(error) => {
                self.emit(HostEvent::Failure(format!("no scratch folder: {error}")));
                InstanceEnd::NotBooted
            }
        };
        if let Err(left) = processes::kill(&self.mark).await {
            self.emit(HostEvent::Failure(format!("processes that cannot be killed: {left:?}")));
            // Without the shims, remaining processes would find this machine's own commands.
            if let Ok(scratch) = scratch {
                let _ = scratch.keep();
            }
        }
        let read = async { while console.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_LINES, read).await.is_err() {
            self.emit(HostEvent::Failure("its console did not end".to_owned()));
        }
        self.emit(HostEvent::Ended(ending));
        ending
    }

    fn scratch(&self) -> io::Result<TempDir> {
        let mut builder = tempfile::Builder::new();
        let prefix = format!("{}-", self.instance.id);
        let builder = builder.prefix(&prefix);
        match &self.config.folder {
            Some(folder) => builder.tempdir_in(folder),
            None => builder.tempdir(),
        }
    }

    async fn run(&mut self, scratch: &Path, console: &mut JoinSet<()>) -> InstanceEnd {
        tokio::time::sleep(self.config.boot_delay).await;
        // The semaphore is never closed.
        let slot = Arc::clone(&self.boots).acquire_owned().await.ok();
        let mut machine = match self.boot(scratch).await {
            Ok(machine) => machine,
            Err(error) => {
                self.emit(HostEvent::Failure(format!("not booted: {error}")));
                return InstanceEnd::NotBooted;
            }
        };
        let output = (machine.user_data.stdout.take(), machine.user_data.stderr.take());
        if let (Some(stdout), Some(stderr)) = output {
            console.spawn(relay(stdout, self.instance.id.clone(), self.events.clone(), None));
            // The agent's log.
            console.spawn(relay(stderr, self.instance.id.clone(), self.events.clone(), slot));
        }
        self.emit(HostEvent::Booted);
        self.follow(machine).await
    }

    async fn follow(&mut self, mut machine: BootedInstance) -> InstanceEnd {
        let mut taken_back = None;
        let mut exited = None;
        loop {
            tokio::select! {
                () = machine.shims.pressed() => return InstanceEnd::PoweredOff,
                () = until(taken_back) => return InstanceEnd::Interrupted,
                status = machine.user_data.wait(), if exited.is_none() => {
                    // A real machine stays up, and is billed, after its user data has ended.
                    self.emit(HostEvent::ConsoleLine(describe(&status)));
                    exited = Some(status);
                }
                Some(incident) = self.incidents.recv() => match incident {
                    Incident::Interrupt { action, after } => {
                        machine.imds.set_instance_action(&action, SystemTime::now() + after);
                        taken_back = Some(Instant::now() + after);
                        self.emit(HostEvent::NoticeGiven);
                    }
                    Incident::RecommendRebalance => machine.imds.set_rebalance(SystemTime::now()),
                },
            }
        }
    }

    async fn boot(&self, scratch: &Path) -> io::Result<BootedInstance> {
        let root = scratch.join("root");
        for folder in ["tmp", "root", "run", "opt"] {
            std::fs::create_dir_all(root.join(folder))?;
        }
        let image = self.config.image.clone();
        let folder = root.clone();
        tokio::task::spawn_blocking(move || image::install(&image, &folder)).await??;
        let shims = Shims::make(scratch.join("shims"), &self.config.image.downloads)?;
        let mut links = Vec::new();
        let mut text = self.user_data().await;
        for route in &self.config.routes {
            let link = Link::open(route.to, self.up.clone()).await?;
            text = text.replace(&route.url, &format!("http://{}", link.address()));
            links.push(link);
        }
        let mut proxy = None;
        if let Some(github) = self.config.github {
            let link = Link::open(github, self.up.clone()).await?;
            proxy = Some((RUNNER_PROXY_VARIABLE, format!("http://{}", link.address())));
            links.push(link);
        }
        let script = scratch.join("user-data");
        std::fs::write(&script, &text)?;
        let metadata = Metadata {
            instance: self.instance.clone(),
            region: self.config.region.clone(),
            role: self.config.role.clone(),
            user_data: text,
        };
        let imds = Imds::start(Arc::clone(&self.cloud), metadata).await?;
        let mut command = self.command(&script, &root, &shims, imds.endpoint());
        let user_data = command.envs(proxy).spawn()?;
        Ok(BootedInstance {
            shims,
            imds,
            user_data,
            _links: links,
        })
    }

    fn command(&self, script: &Path, root: &Path, shims: &Shims, imds: &str) -> Command {
        let default_path = std::env::var("PATH").unwrap_or_else(|_| "/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
        let mut command = Command::new("bash");
        command
            .arg(script)
            .current_dir(root)
            .env_clear()
            .env("PATH", format!("{}:{default_path}", shims.folder.display()))
            .env("HOME", root.join("root"))
            .env("TMPDIR", root.join("tmp"))
            .env("DAYFLY_ROOT", root)
            .env("DAYFLY_RUNNER_USER", &self.config.runner_user)
            // With its path, so that the agent never tries this machine's own commands.
            .env("DAYFLY_POWEROFF", shims.folder.join("poweroff"))
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds)
            .env(processes::MARK, &self.mark)
            .envs(self.config.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// Retries until the user data comes: EC2 would not boot an instance without it either.
    async fn user_data(&self) -> String {
        loop {
            match self.cloud.user_data(&self.instance.id).await {
                Ok(text) => return text,
                Err(error) => self.emit(HostEvent::Failure(format!("user data: {error}"))),
            }
            tokio::time::sleep(self.config.poll).await;
        }
    }

    fn emit(&self, event: HostEvent) {
        // There may be no listener.
        drop(self.events.send(InstanceEvent {
            instance: self.instance.id.clone(),
            event,
        }));
    }
}

async fn end_requested(end: &mut watch::Receiver<Option<InstanceEnd>>) -> InstanceEnd {
    match end.wait_for(Option::is_some).await {
        Ok(ending) => ending.unwrap_or(InstanceEnd::HostShutDown),
        // The handle was dropped.
        Err(_) => InstanceEnd::HostShutDown,
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn describe(status: &io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => format!("the user data ended: {status}"),
        Err(error) => format!("the user data cannot be waited for: {error}"),
    }
}

/// The agent's message when its runner has started.
const RUNNER_STARTED: &str = "RunnerStarted";

/// Emits the console line by line; the agent's lines are JSON. The boot slot is free once the runner starts.
async fn relay(
    output: impl AsyncRead + Unpin,
    instance: String,
    events: broadcast::Sender<InstanceEvent>,
    mut slot: Option<OwnedSemaphorePermit>,
) {
    let mut lines = BufReader::new(output).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let event = match serde_json::from_str(&line) {
            Ok(value @ serde_json::Value::Object(_)) => {
                if value["message"] == RUNNER_STARTED {
                    drop(slot.take());
                }
                HostEvent::AgentLine(value)
            }
            _ => HostEvent::ConsoleLine(line),
        };
        drop(events.send(InstanceEvent {
            instance: instance.clone(),
            event,
        }));
    }
}
