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
use crate::event::{Ending, HostEvent, Reported};
use crate::imds::{Imds, Subject};
use crate::link::Link;
use crate::shims::Shims;
use crate::{image, processes};

/// How long the last lines of an ended instance may take to be read.
const LAST_LINES: Duration = Duration::from_secs(2);

/// What a test makes happen to a running instance.
#[derive(Debug)]
pub enum Happening {
    /// EC2 gives notice of `action`, and takes the instance back `after` that.
    Interrupt { action: String, after: Duration },
    /// EC2 recommends to leave.
    RecommendRebalance,
}

/// Everything around one instance.
pub struct Life<C> {
    pub cloud: Arc<C>,
    pub config: Arc<HostConfig>,
    pub instance: CloudInstance,
    /// The mark of its processes.
    pub mark: String,
    pub events: broadcast::Sender<Reported>,
    pub happenings: mpsc::UnboundedReceiver<Happening>,
    /// Why it has to end, once it has.
    pub end: watch::Receiver<Option<Ending>>,
    /// Whether its network is up.
    pub up: watch::Receiver<bool>,
    /// Whose turn it is to boot.
    pub boots: Arc<Semaphore>,
}

/// What belongs to a booted instance.
struct Machine {
    shims: Shims,
    imds: Imds,
    user_data: Child,
    _links: Vec<Link>,
}

impl<C: Cloud> Life<C> {
    /// Boots the instance and stays with it until nothing of it runs any more.
    pub async fn live(mut self) -> Ending {
        let mut end = self.end.clone();
        let mut console = JoinSet::new();
        let scratch = self.scratch();
        let ending = match &scratch {
            Ok(scratch) => tokio::select! {
                ending = told(&mut end) => ending,
                ending = self.run(scratch.path(), &mut console) => ending,
            },
            Err(error) => {
                self.tell(HostEvent::Trouble(format!("no scratch folder: {error}")));
                Ending::NotBooted
            }
        };
        if let Err(left) = processes::kill(&self.mark).await {
            self.tell(HostEvent::Trouble(format!("processes that cannot be killed: {left:?}")));
            // Without its shims what is left would find this machine's own commands.
            if let Ok(scratch) = scratch {
                let _ = scratch.keep();
            }
        }
        let read = async { while console.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_LINES, read).await.is_err() {
            self.tell(HostEvent::Trouble("its console did not end".to_owned()));
        }
        self.tell(HostEvent::Ended(ending));
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

    async fn run(&mut self, scratch: &Path, console: &mut JoinSet<()>) -> Ending {
        tokio::time::sleep(self.config.boot_delay).await;
        // It is never closed.
        let turn = Arc::clone(&self.boots).acquire_owned().await.ok();
        let mut machine = match self.boot(scratch).await {
            Ok(machine) => machine,
            Err(error) => {
                self.tell(HostEvent::Trouble(format!("not booted: {error}")));
                return Ending::NotBooted;
            }
        };
        let output = (machine.user_data.stdout.take(), machine.user_data.stderr.take());
        if let (Some(stdout), Some(stderr)) = output {
            console.spawn(relay(stdout, self.instance.id.clone(), self.events.clone(), None));
            // Where the agent's log goes.
            console.spawn(relay(stderr, self.instance.id.clone(), self.events.clone(), turn));
        }
        self.tell(HostEvent::Booted);
        self.stay(machine).await
    }

    async fn stay(&mut self, mut machine: Machine) -> Ending {
        let mut taken_back = None;
        let mut exited = None;
        loop {
            tokio::select! {
                () = machine.shims.pressed() => return Ending::PoweredOff,
                () = until(taken_back) => return Ending::Interrupted,
                status = machine.user_data.wait(), if exited.is_none() => {
                    // A real machine stays up, and bills, when its user data is through.
                    self.tell(HostEvent::ConsoleLine(describe(&status)));
                    exited = Some(status);
                }
                Some(happening) = self.happenings.recv() => match happening {
                    Happening::Interrupt { action, after } => {
                        machine.imds.set_instance_action(&action, SystemTime::now() + after);
                        taken_back = Some(Instant::now() + after);
                        self.tell(HostEvent::NoticeGiven);
                    }
                    Happening::RecommendRebalance => machine.imds.set_rebalance(SystemTime::now()),
                },
            }
        }
    }

    async fn boot(&self, scratch: &Path) -> io::Result<Machine> {
        let root = scratch.join("root");
        for folder in ["tmp", "root", "run", "opt"] {
            std::fs::create_dir_all(root.join(folder))?;
        }
        let image = self.config.image.clone();
        let place = root.clone();
        tokio::task::spawn_blocking(move || image::install(&image, &place)).await??;
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
        let subject = Subject {
            instance: self.instance.clone(),
            region: self.config.region.clone(),
            role: self.config.role.clone(),
            user_data: text,
        };
        let imds = Imds::start(Arc::clone(&self.cloud), subject).await?;
        let mut command = self.command(&script, &root, &shims, imds.endpoint());
        let user_data = command.envs(proxy).spawn()?;
        Ok(Machine {
            shims,
            imds,
            user_data,
            _links: links,
        })
    }

    fn command(&self, script: &Path, root: &Path, shims: &Shims, imds: &str) -> Command {
        let usual = std::env::var("PATH").unwrap_or_else(|_| "/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
        let mut command = Command::new("bash");
        command
            .arg(script)
            .current_dir(root)
            .env_clear()
            .env("PATH", format!("{}:{usual}", shims.folder.display()))
            .env("HOME", root.join("root"))
            .env("TMPDIR", root.join("tmp"))
            .env("DAYFLY_ROOT", root)
            .env("DAYFLY_RUNNER_USER", &self.config.runner_user)
            // By its path: the agent then never tries this machine's own commands.
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

    /// Asked for until it comes: EC2 would not boot an instance without it either.
    async fn user_data(&self) -> String {
        loop {
            match self.cloud.user_data(&self.instance.id).await {
                Ok(text) => return text,
                Err(error) => self.tell(HostEvent::Trouble(format!("user data: {error}"))),
            }
            tokio::time::sleep(self.config.poll).await;
        }
    }

    fn tell(&self, event: HostEvent) {
        // Nobody may be listening.
        drop(self.events.send(Reported {
            instance: self.instance.id.clone(),
            event,
        }));
    }
}

/// Waits for the word that the instance has to end.
async fn told(end: &mut watch::Receiver<Option<Ending>>) -> Ending {
    match end.wait_for(Option::is_some).await {
        Ok(ending) => ending.unwrap_or(Ending::HostShutDown),
        // The handle is gone without a word.
        Err(_) => Ending::HostShutDown,
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

/// The agent's word that its runner runs.
const RUNNER_STARTED: &str = "RunnerStarted";

/// Passes on the console, line by line: the agent's are JSON. The turn to boot is over with the start
/// of the runner.
async fn relay(
    output: impl AsyncRead + Unpin,
    instance: String,
    events: broadcast::Sender<Reported>,
    mut turn: Option<OwnedSemaphorePermit>,
) {
    let mut lines = BufReader::new(output).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let event = match serde_json::from_str(&line) {
            Ok(value @ serde_json::Value::Object(_)) => {
                if value["message"] == RUNNER_STARTED {
                    drop(turn.take());
                }
                HostEvent::AgentLine(value)
            }
            _ => HostEvent::ConsoleLine(line),
        };
        drop(events.send(Reported {
            instance: instance.clone(),
            event,
        }));
    }
}
