//! The whole lab: the AWS half, the GitHub twin and the instance host, with dayfly between them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tempfile::TempDir;

use dayfly_host::{Host, HostConfig, Image, Route, lay_out_runner};
use dayfly_twin::{Timings, Twin, TwinConfig};

use crate::aws::{Aws, Ec2Instance, Invocation};
use crate::cloud::{Cloud, CloudConfig, Ec2Event};
use crate::ec2_proxy::{Ec2Proxy, Scenario};
use crate::fis::Fis;
use crate::functions::{self, Function};
use crate::instances::StackInstances;
use crate::logs::{Log, Recorder};
use crate::sigv4::sha256_hex;

/// The lab's region, with its prices and zones.
pub const REGION: &str = "eu-west-1";

/// The stack's name, and so the value of the tag `dayfly:stack`.
pub const STACK: &str = "dayfly";

/// The stand-in for GitHub's runner.
const RUNNER: &str = "dayfly-runner-standin";

/// The lab's polling interval for things without events.
const POLL: Duration = Duration::from_millis(200);

/// The template's deadlines, in seconds. The lab's are short: minutes on AWS are seconds here.
#[derive(Clone, Debug)]
pub struct Deadlines {
    /// From launch to the first check-in.
    pub boot: u64,
    /// How long a runner may listen without a job.
    pub idle: u64,
    /// The silence after which an instance is lost.
    pub heartbeat: u64,
    /// How long a drained job may take to end.
    pub drain: u64,
    /// The maximum lifetime of an instance.
    pub lifetime: u64,
    /// How long a launch is tried.
    pub launch_give_up: u64,
    /// How often an instance reports.
    pub heartbeat_every: u64,
    /// The time since the last launch after which the minute schedule may be switched off.
    pub quiet: u64,
    /// How long a runner may take to leave after its job.
    pub leave: u64,
    /// How long a webhook may take.
    pub webhook: u64,
    /// How long EC2 may fail to list an existing instance.
    pub absence: u64,
    /// The first wait between launch tries.
    pub retry: u64,
    /// The time without an answer after which an instance ends itself.
    pub unreachable: u64,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            boot: 60,
            idle: 60,
            heartbeat: 30,
            drain: 20,
            lifetime: 300,
            launch_give_up: 60,
            heartbeat_every: 1,
            quiet: 3,
            leave: 15,
            webhook: 5,
            absence: 20,
            retry: 2,
            unreachable: 30,
        }
    }
}

/// The configuration of a lab.
#[derive(Clone, Debug)]
pub struct LabConfig {
    pub checkout: PathBuf,
    pub binaries: PathBuf,
    /// The length of a minute of the schedules.
    pub minute: Duration,
    pub deadlines: Deadlines,
    pub scenario: Scenario,
    pub twin: TwinConfig,
    /// The time between a launch and the start of the user data.
    pub boot_delay: Duration,
    /// How many instances may boot at once; unlimited by default.
    pub boots_at_once: Option<usize>,
    /// How often the instance host polls EC2.
    pub host_poll: Duration,
}

impl LabConfig {
    /// A lab of this checkout and the binaries beside the running program: no faults, minutes of two
    /// seconds, and checks against GitHub's descriptions.
    ///
    /// # Errors
    /// If the binaries' folder is unknown.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            checkout: checkout(),
            binaries: functions::binaries()?,
            minute: Duration::from_secs(2),
            deadlines: Deadlines::default(),
            scenario: Scenario::default(),
            twin: TwinConfig {
                timings: Timings::lab(),
                ..TwinConfig::checked()
            },
            boot_delay: Duration::from_millis(200),
            boots_at_once: None,
            host_poll: POLL,
        })
    }
}

/// Returns the checkout that this lab was built from.
#[must_use]
pub fn checkout() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).unwrap_or(crate_folder).to_owned()
}

/// What is left of finished jobs: nothing, if dayfly keeps its promise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Instances that EC2 has not ended.
    pub instances: Vec<String>,
    /// Instances with processes on this machine.
    pub processes: Vec<String>,
    /// Runners that are still registered.
    pub runners: Vec<String>,
    /// Records with a due time.
    pub live_records: Vec<String>,
    /// Whether the minute schedule is on.
    pub minute_schedule: bool,
}

impl Leftovers {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A running lab. Dropped without [`Lab::shutdown`], it still ends its processes.
pub struct Lab {
    fis: Fis,
    host: Host,
    twin: Twin,
    cloud: Cloud,
    recorder: Recorder,
    bucket: PathBuf,
    scratch: TempDir,
}

impl Lab {
    /// Starts everything.
    ///
    /// # Errors
    /// If a part does not start: missing builds or installations are reported with the fix.
    pub async fn start(config: LabConfig) -> anyhow::Result<Self> {
        let scratch = tempfile::Builder::new().prefix("dayfly-lab-").tempdir()?;
        let bucket = scratch.path().join("bucket");
        std::fs::create_dir(&bucket)?;
        // Beside the instances, so that they can share the file.
        let agent = scratch.path().join("dayfly-agent");
        std::fs::copy(functions::built(&config.binaries, "dayfly-agent")?, &agent)?;
        let runner = lay_out_runner_in(scratch.path(), &config.binaries)?;
        let twin = Twin::start(config.twin.clone()).await.context("the GitHub twin")?;
        let cloud_config = CloudConfig {
            parameters: parameters(&config.deadlines, &twin, &agent)?,
            checkout: config.checkout,
            binaries: config.binaries,
            region: REGION.to_owned(),
            stack: STACK.to_owned(),
            minute: config.minute,
            webhook_secret: twin.webhook_secret().to_owned(),
            app_private_key: twin.app_private_key_pem().to_owned(),
            scenario: config.scenario,
        };
        let cloud = Cloud::start(&cloud_config, scratch.path()).await?;
        twin.set_webhook_url(&cloud.webhook_door().url());
        let usual = HostConfig::new(REGION, cloud.deployment().resource("InstanceRole")?);
        let host = start_host(
            &cloud,
            HostConfig {
                boots_at_once: config.boots_at_once.unwrap_or(usual.boots_at_once),
                image: Image {
                    agent: Some(agent),
                    runner: Some(runner),
                    downloads: Vec::new(),
                },
                environment: vec![(
                    "DAYFLY_UNREACHABLE_SECONDS".to_owned(),
                    config.deadlines.unreachable.to_string(),
                )],
                boot_delay: config.boot_delay,
                poll: config.host_poll,
                github: Some(address(twin.url())?),
                folder: Some(scratch.path().to_owned()),
                ..usual
            },
        )?;
        let recorder = Recorder::start(host.events(), twin.events());
        let fis = Fis::start(cloud.aws(), host.notices(), cloud.ec2().launches()).await?;
        Ok(Self {
            fis,
            host,
            twin,
            cloud,
            recorder,
            bucket,
            scratch,
        })
    }

    #[must_use]
    pub fn twin(&self) -> &Twin {
        &self.twin
    }

    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    #[must_use]
    pub fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// The account owner's view of AWS.
    #[must_use]
    pub fn aws(&self) -> &Aws {
        self.cloud.aws()
    }

    /// EC2 as the functions see it: prices, capacity, faults, and calls.
    #[must_use]
    pub fn ec2(&self) -> &Ec2Proxy {
        self.cloud.ec2()
    }

    #[must_use]
    pub fn fis(&self) -> &Fis {
        &self.fis
    }

    /// A folder outside the instances: jobs use it as they would a bucket on AWS.
    #[must_use]
    pub fn bucket(&self) -> &Path {
        &self.bucket
    }

    /// Returns every item of the table, in DynamoDB's JSON.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn table_items(&self) -> anyhow::Result<Vec<Value>> {
        self.cloud.table_items().await
    }

    /// Returns the instances that EC2 has not ended.
    ///
    /// # Errors
    /// If EC2 does not answer.
    pub async fn live_instances(&self) -> anyhow::Result<Vec<Ec2Instance>> {
        let mut instances = self.cloud.instances().await?;
        instances.retain(|instance| !instance.is_ended());
        Ok(instances)
    }

    /// Invokes a function and waits for its answer.
    ///
    /// # Errors
    /// If Lambda refuses; a function that fails is an [`Invocation`].
    pub async fn invoke(&self, function: Function, event: &Value) -> anyhow::Result<Invocation> {
        self.cloud.invoke(function, event).await
    }

    /// Makes EC2 send an event about an instance.
    ///
    /// # Errors
    /// If the bus refuses the event.
    pub async fn emit_ec2_event(&self, event: &Ec2Event, instance: &str) -> anyhow::Result<()> {
        self.cloud.emit_ec2_event(event, instance).await
    }

    /// Makes EC2 reclaim an instance `after` this time, with a notice on the instance and on the bus,
    /// as on AWS.
    ///
    /// # Errors
    /// If no such instance runs, or the bus refuses the event.
    pub async fn interrupt(&self, instance: &str, after: Duration) -> anyhow::Result<()> {
        self.host.interrupt(instance, "terminate", after)?;
        self.emit_ec2_event(&Ec2Event::InterruptionWarning, instance).await
    }

    /// Returns the complete logs of all parts.
    ///
    /// # Errors
    /// If one cannot be read.
    pub async fn logs(&self) -> anyhow::Result<Vec<Log>> {
        let mut logs = vec![self.recorder.instances(), self.recorder.twin()];
        for function in Function::ALL {
            logs.push(Log {
                part: function.name().to_owned(),
                lines: self.cloud.function_log(function).await?,
            });
        }
        logs.push(Log {
            part: "ministack".to_owned(),
            lines: self.cloud.ministack().log_text()?.lines().map(str::to_owned).collect(),
        });
        Ok(logs)
    }

    /// Returns what is left now.
    ///
    /// # Errors
    /// If a part cannot be read.
    pub async fn leftovers(&self) -> anyhow::Result<Leftovers> {
        let live = self.live_instances().await?;
        let hosted = self.host.instances();
        let records = self.cloud.live_records().await?;
        Ok(Leftovers {
            instances: live.into_iter().map(|instance| instance.id).collect(),
            processes: hosted
                .into_iter()
                .filter(|instance| instance.ending.is_none())
                .map(|instance| instance.id)
                .collect(),
            runners: self
                .twin
                .inspect(|state| state.runners().map(|runner| runner.name.clone()).collect()),
            live_records: records.iter().map(record_name).collect(),
            minute_schedule: self.cloud.minute_schedule_enabled().await?,
        })
    }

    /// Waits `within` this time until nothing is left, and returns the rest.
    ///
    /// # Errors
    /// If a part cannot be read.
    pub async fn settled(&self, within: Duration) -> anyhow::Result<Leftovers> {
        let until = tokio::time::Instant::now() + within;
        loop {
            let leftovers = self.leftovers().await?;
            if leftovers.is_empty() || tokio::time::Instant::now() >= until {
                return Ok(leftovers);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Ends everything, and leaves nothing on the disk.
    ///
    /// # Errors
    /// If a process does not end or a file cannot be removed.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        self.fis.stop().await;
        let host = self.host.shutdown().await;
        self.twin.stop().await;
        let cloud = self.cloud.stop().await;
        drop(self.recorder);
        self.scratch.close()?;
        host?;
        cloud
    }
}

/// Returns the address in `http://<address>`.
fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    address.parse().with_context(|| format!("`{url}` is no address"))
}

fn record_name(item: &Value) -> String {
    let key = |name: &str| item[name]["S"].as_str().unwrap_or("?");
    format!("{} {}", key("pk"), key("sk"))
}

fn lay_out_runner_in(scratch: &Path, binaries: &Path) -> anyhow::Result<PathBuf> {
    let folder = scratch.join("runner");
    lay_out_runner(&functions::built(binaries, RUNNER)?, &folder)?;
    Ok(folder)
}

fn start_host(cloud: &Cloud, mut config: HostConfig) -> anyhow::Result<Host> {
    let deployment = cloud.deployment();
    let checkin = deployment.output("CheckinUrl")?;
    config.routes.push(Route {
        url: checkin.trim_end_matches('/').to_owned(),
        to: cloud.checkin_door().address(),
    });
    let instances = StackInstances {
        aws: cloud.aws().clone(),
        stack: deployment.stack.clone(),
        launch_template: deployment.output("LaunchTemplateId")?.to_owned(),
        role_arn: deployment.output("InstanceRoleArn")?.to_owned(),
        sessions: cloud.sessions().clone(),
    };
    Ok(Host::start(instances, config))
}

fn parameters(deadlines: &Deadlines, twin: &Twin, agent: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let agent = std::fs::read(agent).with_context(|| agent.display().to_string())?;
    let agent = sha256_hex(&agent);
    let parameters = [
        ("GitHubAppId", twin.app_id().to_string()),
        ("GitHubApiUrl", twin.url().to_owned()),
        ("AgentSha256X8664", agent.clone()),
        ("AgentSha256Arm64", agent),
        ("DeadlineBootSeconds", deadlines.boot.to_string()),
        ("DeadlineIdleSeconds", deadlines.idle.to_string()),
        ("DeadlineHeartbeatSeconds", deadlines.heartbeat.to_string()),
        ("DeadlineDrainSeconds", deadlines.drain.to_string()),
        ("MaxLifetimeSeconds", deadlines.lifetime.to_string()),
        ("LaunchGiveUpSeconds", deadlines.launch_give_up.to_string()),
        ("HeartbeatSeconds", deadlines.heartbeat_every.to_string()),
        ("DeadlineLeaveSeconds", deadlines.leave.to_string()),
        ("QuietSeconds", deadlines.quiet.to_string()),
        ("WebhookSeconds", deadlines.webhook.to_string()),
        ("AbsenceSeconds", deadlines.absence.to_string()),
        (
            "RetrySeconds",
            [1, 2, 5, 10, 20]
                .map(|times| (times * deadlines.retry).to_string())
                .join(","),
        ),
    ];
    Ok(parameters.map(|(name, value)| (name.to_owned(), value)).into())
}
