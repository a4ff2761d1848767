//! Very many jobs at once, with EC2's and GitHub's real limits.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, ensure};
use dayfly_twin::{Job, Timings};

use super::{Story, workflow};
use crate::ec2_proxy::Bucket;
use crate::functions::Function;
use crate::lab::{Deadlines, LabConfig};

/// The most that GitHub takes in one matrix.
const JOBS: usize = 256;

/// How many EC2 write calls they may cost.
const MOST_WRITES: usize = 8;

/// 256 instances are a thousand processes here, and share this machine's few cores.
pub(super) const WITHIN: Duration = Duration::from_secs(1200);

/// The stack's own deadlines: a busy machine is as slow as a real one.
pub(super) fn deadlines() -> Deadlines {
    Deadlines {
        boot: 600,
        idle: 600,
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

/// GitHub's own.
pub(super) fn timings() -> Timings {
    Timings::default()
}

pub(super) fn prepare(config: &mut LabConfig) {
    config.scenario.bucket = Some(Bucket::EC2);
    config.minute = Duration::from_secs(10);
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
      - run: echo \"seed ${{{{ matrix.seed }}}}\"
",
        seeds.join(", ")
    );
    vec![(workflow::PATH, text)]
}

pub(super) async fn tell(story: &Story<'_>, out: &mut impl Write) -> anyhow::Result<()> {
    let jobs = story.jobs(1);
    ensure!(jobs.len() == JOBS, "the run has {} jobs", jobs.len());
    let first = jobs.iter().map(|job| job.created_at).min().context("no job")?;
    let seconds = |at: jiff::Timestamp| at.duration_since(first).as_secs_f64();
    let queued = jobs.iter().map(|job| seconds(job.created_at));
    let running = jobs.iter().map(|job| seconds(job.started_at));
    let launched: Vec<f64> = jobs.iter().filter_map(|job| launched_at(story, job)).collect();
    let ec2 = story.lab.ec2();
    let writes = ec2.writes();
    let made: Vec<String> = writes.iter().map(|(call, count)| format!("{count} {call}")).collect();
    writeln!(
        out,
        "\njobs:                      {JOBS}, queued within {:.1} s",
        last(queued)
    )?;
    writeln!(out, "first queued to launched:  {:.1} s", last(launched))?;
    writeln!(
        out,
        "first queued to running:   {:.1} s, the last of them",
        last(running)
    )?;
    writeln!(out, "EC2 writes:                {}", made.join(", "))?;
    writeln!(out, "EC2 throttled:             {}", ec2.throttled())?;
    writeln!(out, "peak function concurrency: {}", listed(&peaks(story).await?))?;
    let calls: usize = writes.values().sum();
    ensure!(ec2.throttled() == 0, "EC2 had to throttle");
    ensure!(calls <= MOST_WRITES, "{calls} write calls are more than {MOST_WRITES}");
    Ok(())
}

/// When the instance of a job's runner was launched, in seconds since the demo's first launch.
fn launched_at(story: &Story<'_>, job: &Job) -> Option<f64> {
    let (_, first) = story.launches.first()?;
    let (_, at) = story.launch_of(job).ok()?;
    Some(at.duration_since(*first).as_secs_f64())
}

fn last(moments: impl IntoIterator<Item = f64>) -> f64 {
    moments.into_iter().fold(0.0, f64::max)
}

/// How many of each function ran at the same time, at most.
async fn peaks(story: &Story<'_>) -> anyhow::Result<BTreeMap<&'static str, u64>> {
    let cloud = story.lab.cloud();
    let mut peaks = BTreeMap::new();
    for function in Function::ALL {
        let name = cloud.deployment().function(function)?;
        peaks.insert(function.name(), story.lab.aws().peak_concurrency(name).await?);
    }
    Ok(peaks)
}

fn listed(peaks: &BTreeMap<&str, u64>) -> String {
    let each: Vec<String> = peaks.iter().map(|(name, peak)| format!("{name} {peak}")).collect();
    each.join(", ")
}
