//! Many jobs at once, from their webhooks' events to their runners' JIT configs: how long it takes, and
//! how many calls of each kind.
//!
//! Events come at the same moment and each gets a process of its own, as on Lambda, up to a number that
//! the machine can bear. All processes are new: a burst meets few warm ones.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::cloud::Cloud;
use crate::events::{self, Job};
use crate::sandbox::{Function, Sandbox};
use crate::stack::{self, Binaries};

/// The rows of the table, and the number of concurrent jobs in each.
pub const ROWS: [(&str, usize); 3] = [("burst of 1", 1), ("burst of 10", 10), ("burst of 256", 256)];

/// More concurrent processes would measure how the machine shares its processors.
pub const MOST_PROCESSES: usize = 16;

/// How often an instance requests its JIT config at most.
const MOST_CLAIMS: usize = 10;

/// The results of a burst.
#[derive(Clone, Debug)]
pub struct Burst {
    pub jobs: usize,
    /// From the first event to the last answer of `launch`, when each job has an instance.
    pub launched: Duration,
    /// From the first claim to the last JIT config, with all instances claiming at once.
    pub registered: Duration,
    pub calls: BTreeMap<String, u64>,
}

/// Queues this many jobs at once.
///
/// # Errors
/// If a function fails, or a job gets no instance or no JIT config.
pub async fn measure(binaries: &Binaries, jobs: usize) -> anyhow::Result<Burst> {
    let cloud = stack::start_cloud().await?;
    let webhook = Pool::new(stack::function("webhook", binaries, &cloud)?);
    let events = (0..jobs).map(|number| Job::queued(number, "octo-org/gpu").webhook("queued"));
    webhook.invoke_all(events.collect()).await?;
    let queued = cloud.state().bus.take("job.queued");
    ensure!(queued.len() == jobs, "{} events came of {jobs} webhooks", queued.len());
    let before = cloud.state().calls().clone();

    let begun = Instant::now();
    launch(binaries, &cloud, queued).await?;
    let launched = begun.elapsed();
    let instances: Vec<String> = cloud.state().ec2.instances().map(|it| it.id.clone()).collect();
    ensure!(
        instances.len() == jobs,
        "{} instances came of {jobs} jobs",
        instances.len()
    );

    let begun = Instant::now();
    claim(binaries, &cloud, instances).await?;
    let registered = begun.elapsed();
    let runners = cloud.state().github.runner_count();
    ensure!(runners == jobs, "{runners} runners came of {jobs} jobs");
    cloud.check()?;
    let mut calls = cloud.state().calls().clone();
    for (name, count) in before {
        calls.entry(name).and_modify(|all| *all -= count);
    }
    calls.retain(|_, count| *count > 0);
    Ok(Burst {
        jobs,
        launched,
        registered,
        calls,
    })
}

/// Passes the jobs' events to `launch`, and the events that it publishes for itself.
async fn launch(binaries: &Binaries, cloud: &Cloud, queued: Vec<Value>) -> anyhow::Result<()> {
    let launch = Pool::new(stack::function("launch", binaries, cloud)?);
    let mut events = queued;
    while !events.is_empty() {
        launch.invoke_all(events).await?;
        let mut state = cloud.state();
        events = state.bus.take("queue.due");
        events.extend(state.bus.take("launch.due"));
    }
    Ok(())
}

/// Makes all instances request their JIT configs at once, and again when they must wait.
async fn claim(binaries: &Binaries, cloud: &Cloud, instances: Vec<String>) -> anyhow::Result<()> {
    let checkin = Pool::new(stack::function("checkin", binaries, cloud)?);
    let mut claims = JoinSet::new();
    for instance in instances {
        let checkin = Arc::clone(&checkin);
        claims.spawn(async move { claim_one(&checkin, &instance).await });
    }
    while let Some(done) = claims.join_next().await {
        done??;
    }
    Ok(())
}

async fn claim_one(checkin: &Pool, instance: &str) -> anyhow::Result<()> {
    for _ in 0..MOST_CLAIMS {
        let event = events::checkin(instance, "claim", json!({ "agent_version": "0.1.0" }));
        let answer = checkin.invoke(&event).await?;
        if answer["statusCode"] == 200 {
            return Ok(());
        }
        let text = answer["body"].as_str().unwrap_or_default();
        let body: Value = serde_json::from_str(text).unwrap_or_default();
        let seconds = body["retry_after_seconds"].as_u64();
        let wait = seconds.with_context(|| format!("a claim was answered {answer}"))?;
        tokio::time::sleep(Duration::from_secs(wait)).await;
    }
    bail!("`{instance}` had to wait {MOST_CLAIMS} times")
}

/// Processes of one function, started when none is free for an event.
struct Pool {
    function: Function,
    free: Mutex<Vec<Sandbox>>,
    room: Semaphore,
}

impl Pool {
    fn new(function: Function) -> Arc<Self> {
        Arc::new(Self {
            function,
            free: Mutex::default(),
            room: Semaphore::new(MOST_PROCESSES),
        })
    }

    async fn invoke(&self, event: &Value) -> anyhow::Result<Value> {
        let _room = self.room.acquire().await?;
        let warm = self.free().pop();
        let mut sandbox = match warm {
            Some(sandbox) => sandbox,
            None => Sandbox::start(&self.function).await?,
        };
        let invoked = sandbox.invoke(event).await?;
        let answer = invoked
            .outcome
            .with_context(|| format!("`{}` failed{}", self.function.name, sandbox.quote_log()))?;
        self.free().push(sandbox);
        Ok(answer)
    }

    async fn invoke_all(self: &Arc<Self>, events: Vec<Value>) -> anyhow::Result<()> {
        let mut invocations = JoinSet::new();
        for event in events {
            let pool = Arc::clone(self);
            invocations.spawn(async move { pool.invoke(&event).await });
        }
        while let Some(done) = invocations.join_next().await {
            done??;
        }
        Ok(())
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Sandbox>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
