//! Many jobs at once, from their webhooks' events to their runners' JIT configs: how long it takes, and
//! how many calls of which kind.
//!
//! Events come at the same moment and each finds a process of its own, as on Lambda, up to a number
//! that the machine can bear. All processes are new: a burst meets few that are warm.

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

/// The rows of the table, and how many jobs come at once in each.
pub const ROWS: [(&str, usize); 3] = [("burst of 1", 1), ("burst of 10", 10), ("burst of 256", 256)];

/// More processes than this at once would measure how the machine shares its processors out.
pub const MOST_PROCESSES: usize = 16;

/// How often an instance asks for its JIT config at most.
const MOST_CLAIMS: usize = 10;

/// What a burst came to.
#[derive(Clone, Debug)]
pub struct Burst {
    /// How many jobs came at once.
    pub jobs: usize,
    /// From the first event to the last answer of `launch`: by then there is an instance for each job.
    pub launched: Duration,
    /// From the first claim to the last JIT config, if all instances ask at once.
    pub registered: Duration,
    /// The calls of `launch` and `checkin`, by their names.
    pub calls: BTreeMap<String, u64>,
}

/// Has so many jobs come at once.
///
/// # Errors
/// When a function fails, or a job gets no instance or no JIT config.
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

/// Hands the jobs' events to `launch`, and what it puts on the bus for itself.
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

/// Has all instances ask for their JIT configs at once, and again when they are told to.
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
    bail!("`{instance}` was told to come back {MOST_CLAIMS} times")
}

/// Processes of one function, started as events find none free.
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
