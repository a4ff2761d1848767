//! No capacity, no quota: a job without an instance, and how it learns of that.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, ensure};
use dayfly_twin::{Conclusion, Happening, Job, TwinEvent};
use jiff::Timestamp;

use super::{Story, workflow};
use crate::ec2_proxy::{Family, Launch, Lifecycle, Scenario};
use crate::page;
use crate::timeline::Observation;

const TYPES: [&str; 2] = ["g4dn.xlarge", "g5.xlarge"];
const ZONES: [&str; 3] = ["eu-west-1a", "eu-west-1b", "eu-west-1c"];

const CONFIG: &str = "\
runners:
  - name: gpu
    labels: [dayfly-gpu]
    instance_type: [g4dn.xlarge, g5.xlarge]
    machine_image: ami-0123456789abcdef0
    fallback: on-demand
";

/// AWS bills at least a minute of the machine, its address and its disk. In millionths of a dollar per
/// hour.
const ADDRESS: f64 = 5_000.0;
/// 8 GiB of gp3.
const DISK: f64 = 8.0 * 80_000.0 / 730.0;
const LEAST: Duration = Duration::from_secs(60);
/// The limit of a messenger's cost, in millionths of a dollar.
const MOST: f64 = 1_000.0;

/// Empties all spot pools.
pub(super) fn no_spot(scenario: &mut Scenario) {
    scenario.empty(Lifecycle::Spot, &TYPES, &ZONES);
}

/// Makes the account new: it may run no GPU.
pub(super) fn no_quota(scenario: &mut Scenario) {
    for lifecycle in [Lifecycle::Spot, Lifecycle::OnDemand] {
        scenario.limit_vcpus(lifecycle, Family::GAndVt, 0);
    }
}

/// Two jobs, the second after the first.
pub(super) fn files() -> Vec<(&'static str, String)> {
    let jobs = format!(
        "\
name: train
on: push
jobs:
  train:
    runs-on: dayfly-gpu
    steps:
      - run: |
{}
  evaluate:
    needs: train
    runs-on: dayfly-gpu
    steps:
      - run: echo 'accuracy 0.97'
",
        workflow::indented(workflow::THREE_EPOCHS)
    );
    vec![(workflow::PATH, jobs), (".dayfly.yml", CONFIG.to_owned())]
}

/// Once the first job runs, on-demand capacity is gone too.
pub(super) fn act(observation: &Observation, story: &Story<'_>) -> anyhow::Result<()> {
    if let Observation::Twin(TwinEvent {
        what: Happening::JobStarted { job, .. },
        ..
    }) = observation
        && story.job(1, "train")?.id == *job
    {
        story
            .lab
            .ec2()
            .change(|scenario| scenario.empty(Lifecycle::OnDemand, &TYPES, &ZONES));
    }
    Ok(())
}

/// Prints what the author of the pull request sees of a given-up job.
pub(super) fn report(story: &Story<'_>, given_up: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let (on_demand, _) = story.launch_of(&story.job(1, "train")?)?;
    ensure!(
        !on_demand.spot,
        "the first job should have run on demand, and ran on {on_demand:?}"
    );
    let job = story.job(1, given_up)?;
    show(story, &job, out)?;
    let log = page::log_of(&job);
    let table = log.iter().position(|line| line.starts_with("instance type "));
    let table = table.context("the job's log does not end with the table of failed launches")?;
    for lifecycle in ["spot", "on-demand"] {
        for pool in TYPES.iter().flat_map(|kind| ZONES.map(|zone| (kind, zone))) {
            let row = |line: &String| {
                let cells: Vec<&str> = line.split_whitespace().collect();
                cells.starts_with(&[pool.0, pool.1, lifecycle]) && line.contains("InsufficientInstanceCapacity")
            };
            ensure!(log[table..].iter().any(row), "{pool:?} {lifecycle} is not in the table");
        }
    }
    report_messenger(story, &job, out)
}

/// The same for a missing quota.
pub(super) fn report_quota(story: &Story<'_>, out: &mut impl Write) -> anyhow::Result<()> {
    let job = story.job(1, "train")?;
    show(story, &job, out)?;
    let log = page::log_of(&job).join("\n");
    for words in [
        "All G and VT Spot Instance Requests",
        "(L-3819A6DF)",
        "is 0 vCPUs in eu-west-1, but 4 are needed",
        "request an increase in Service Quotas: https://eu-west-1.console.aws.amazon.com/servicequotas/",
    ] {
        ensure!(log.contains(words), "the job's log should say `{words}`");
    }
    report_messenger(story, &job, out)
}

/// Prints its check run and its log: no step of it has run.
pub(super) fn show(story: &Story<'_>, job: &Job, out: &mut impl Write) -> anyhow::Result<()> {
    let check = story.check_of(job)?;
    writeln!(out, "\nWhat the author of the pull request sees:\n")?;
    page::checks(story, out)?;
    page::check_run(&check, out)?;
    page::log(job, out)?;
    ensure!(
        check.conclusion.as_deref() == Some("failure"),
        "the check run is {:?}, and should be a failure",
        check.conclusion
    );
    ensure!(job.conclusion == Some(Conclusion::Failure), "the job has not failed");
    let ran = job.log.iter().find(|line| line.step > 1);
    ensure!(ran.is_none(), "a step of the job has run: {ran:?}");
    Ok(())
}

/// Prints the job's messenger, and its cost.
fn report_messenger(story: &Story<'_>, job: &Job, out: &mut impl Write) -> anyhow::Result<()> {
    let (launch, launched) = story.launch_of(job)?;
    let kind = &*launch.pool.instance_type;
    ensure!(kind == "t4g.nano" && !launch.spot, "the messenger is {launch:?}");
    let ended = story.endings.get(&launch.instance).copied();
    let lived = ended
        .unwrap_or_else(Timestamp::now)
        .duration_since(*launched)
        .unsigned_abs();
    let cost = cost(launch, lived);
    writeln!(
        out,
        "The messenger was a {kind}, on demand, and lived for {:.0} s: with its address and disk ${:.6}.",
        lived.as_secs_f64(),
        cost / 1e6
    )?;
    ensure!(cost < MOST, "the messenger was too dear");
    Ok(())
}

/// In millionths of a dollar.
fn cost(launch: &Launch, lived: Duration) -> f64 {
    let machine = launch.price.parse::<f64>().unwrap_or(f64::INFINITY) * 1e6;
    (machine + ADDRESS + DISK) * lived.max(LEAST).as_secs_f64() / 3600.0
}
