//! Very many jobs at once, with the real limits of EC2 and GitHub.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, ensure};
use dayfly_twin::{Happening, Timings, TwinEvent};

use super::{Story, workflow};
use crate::ec2_proxy::Bucket;
use crate::functions::Function;
use crate::lab::{Deadlines, Lab, LabConfig};
use crate::timeline::Observation;

/// GitHub's maximum of a matrix.
const JOBS: usize = 256;

/// The maximum number of `CreateFleet` calls.
const MOST_CALLS: usize = 8;

/// 256 instances are a thousand processes here, on this machine's few cores.
pub(super) const WITHIN: Duration = Duration::from_secs(1200);

/// How long they may take to end.
pub(super) const SETTLED_WITHIN: Duration = Duration::from_secs(300);

/// The stack's own deadlines: a busy machine is as slow as a real one.
pub(super) fn deadlines() -> Deadlines {
    Deadlines {
        boot: 600,
        idle: 60,
        heartbeat: 300,
        drain: 120,
        lifetime: 3600,
        launch_give_up: 900,
        heartbeat_every: 30,
        leave: 180,
        webhook: 120,
        absence: 300,
        retry: 10,
        unreachable: 600,
        ..Deadlines::default()
    }
}

pub(super) fn timings() -> Timings {
    Timings::default()
}

/// The time until an instance's user data runs, as on AWS.
const BOOT: Duration = Duration::from_secs(30);

/// How many instances boot at once on this machine.
const BOOTS: usize = 8;

/// How many webhooks GitHub sends at once here.
const WEBHOOKS: usize = 8;

/// The concurrency of each function here, as in an account whose other stacks have reserved the rest:
/// on AWS each invocation has its own machine, here all share one.
const AT_ONCE: [(Function, u32); 6] = [
    (Function::Launch, 10),
    (Function::Checkin, 48),
    (Function::JobEvents, 12),
    (Function::Interruption, 4),
    (Function::Sweeper, 2),
    (Function::Reporter, 2),
];

pub(super) fn configure(config: &mut LabConfig) {
    config.scenario.bucket = Some(Bucket::EC2);
    config.minute = Duration::from_secs(10);
    config.host_poll = Duration::from_secs(1);
    config.boot_delay = BOOT;
    config.boots_at_once = Some(BOOTS);
    config.twin.webhooks_at_once = WEBHOOKS;
}

/// Limits what this machine does at once. Nothing is launched at first.
pub(super) async fn limit(lab: &Lab) -> anyhow::Result<()> {
    for (function, at_once) in AT_ONCE {
        lab.cloud().limit(function, at_once).await?;
    }
    lab.cloud().throttle(Function::Launch).await
}

/// Once all webhooks are in, the launch function is released. On AWS they arrive within a second; this
/// machine takes several, and the jobs would seem to arrive one by one.
pub(super) async fn act(observation: &Observation, story: &Story<'_>) -> anyhow::Result<()> {
    let is_webhook = matches!(
        observation,
        Observation::Twin(TwinEvent {
            what: Happening::WebhookAnswered { .. },
            ..
        })
    );
    if is_webhook && !story.let_go.get() && queued_heard(story.lab) == JOBS {
        story.let_go.set(true);
        for (function, at_once) in AT_ONCE {
            story.lab.cloud().limit(function, at_once).await?;
        }
    }
    Ok(())
}

/// Returns how many webhooks of queued jobs dayfly has answered.
fn queued_heard(lab: &Lab) -> usize {
    lab.twin().inspect(|state| {
        let heard = state.deliveries().filter(|delivery| {
            delivery.event == "workflow_job"
                && delivery.action.as_deref() == Some("queued")
                && delivery
                    .outcome
                    .as_ref()
                    .is_some_and(|outcome| outcome.status_code < 300)
        });
        heard.count()
    })
}

pub(super) fn files() -> Vec<(&'static str, String)> {
    let seeds: Vec<String> = (1..=JOBS).map(|seed| seed.to_string()).collect();
    let text = format!(
        "\
name: train
on: push
jobs:
  train:
    strategy:
      fail-fast: false
      matrix:
        seed: [{}]
    runs-on: dayfly-gpu
    steps:
      - run: |
          echo \"seed ${{{{ matrix.seed }}}}\"
          sleep 15
",
        seeds.join(", ")
    );
    vec![(workflow::PATH, text)]
}

pub(super) async fn report(story: &Story<'_>, out: &mut impl Write) -> anyhow::Result<()> {
    let jobs = story.jobs(1);
    ensure!(jobs.len() == JOBS, "the run has {} jobs", jobs.len());
    let first = jobs.iter().map(|job| job.created_at).min().context("no job")?;
    let seconds = |at: jiff::Timestamp| at.duration_since(first).as_secs_f64();
    let queued = jobs.iter().map(|job| seconds(job.created_at));
    let running = jobs.iter().map(|job| seconds(job.started_at));
    let launched = story.launches.iter().map(|(_, at)| seconds(*at));
    let ec2 = story.lab.ec2();
    let writes = ec2.writes();
    let made: Vec<String> = writes.iter().map(|(call, count)| format!("{count} {call}")).collect();
    writeln!(
        out,
        "\njobs:                      {JOBS}, queued within {:.1} s",
        last(queued)
    )?;
    writeln!(
        out,
        "first queued to launched:  {:.1} s, the last of them",
        last(launched)
    )?;
    writeln!(
        out,
        "first queued to running:   {:.1} s, the last of them",
        last(running)
    )?;
    writeln!(out, "EC2 writes:                {}", made.join(", "))?;
    writeln!(out, "EC2 throttled:             {}", ec2.throttled())?;
    writeln!(out, "peak function concurrency: {}", peaks(story).await?)?;
    let calls = ec2.count("CreateFleet");
    ensure!(ec2.throttled() == 0, "EC2 had to throttle");
    ensure!(
        calls <= MOST_CALLS,
        "{calls} calls of CreateFleet are more than {MOST_CALLS}"
    );
    Ok(())
}

fn last(moments: impl IntoIterator<Item = f64>) -> f64 {
    moments.into_iter().fold(0.0, f64::max)
}

/// Returns the peak concurrency of each function, and its limit.
async fn peaks(story: &Story<'_>) -> anyhow::Result<String> {
    let cloud = story.lab.cloud();
    let mut peaks = Vec::new();
    for function in Function::ALL {
        let name = cloud.deployment().function(function)?;
        let peak = story.lab.aws().peak_concurrency(name).await?;
        let allowed = AT_ONCE.iter().find(|(limited, _)| *limited == function);
        let allowed = allowed.map_or_else(String::new, |(_, at_once)| format!(" of {at_once}"));
        peaks.push(format!("{} {peak}{allowed}", function.name()));
    }
    Ok(peaks.join(", "))
}
