//! A limit on concurrent runners: a single job waits for one of another repository's many, not for all
//! of them.

use std::io::Write;

use anyhow::{Context, ensure};
use dayfly_twin::{Conclusion, Job, State, Status};
use jiff::Timestamp;

use super::{Story, workflow};
use crate::lab::Lab;
use crate::timeline::Observation;

/// The limit of concurrent runners.
const AT_ONCE: usize = 2;

/// The number of jobs in one repository.
const MANY: usize = 6;

/// The repository with one job.
const OTHER: &str = "octo-org/small";

/// Limits the stack to two live runners.
pub(super) async fn prepare(lab: &Lab) -> anyhow::Result<()> {
    let policy = format!("version: 1\nlimits:\n  stack: {{runners: {AT_ONCE}}}\n");
    Ok(lab.aws().put_parameter("/dayfly/policy", "String", &policy).await?)
}

pub(super) fn files() -> Vec<(&'static str, String)> {
    let seeds: Vec<String> = (1..=MANY).map(|seed| seed.to_string()).collect();
    let matrix = format!(
        "\
name: train
on: push
jobs:
  train:
    strategy:
      matrix:
        seed: [{}]
    runs-on: dayfly-gpu
    steps:
      - run: sleep 3
",
        seeds.join(", ")
    );
    vec![(workflow::PATH, matrix)]
}

/// Once the limit is reached, so that no other job is on the way to a runner, a user pushes to the
/// other repository.
pub(super) fn act(_: &Observation, story: &Story<'_>) -> anyhow::Result<()> {
    let has_begun = |job: &&Job| job.status != Status::Queued;
    if story.jobs(1).iter().filter(has_begun).count() < AT_ONCE || story.let_go.replace(true) {
        return Ok(());
    }
    let twin = story.lab.twin();
    let files = workflow::of(&["echo 'one job, and no more'"]);
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, &**text)).collect();
    let runs = twin.push(twin.create_repo(OTHER), "Train a little", &files)?;
    ensure!(runs.len() == 1, "the push should have started one run");
    Ok(())
}

/// Whether the runs of both are over.
pub(super) fn all_over(state: &State) -> bool {
    let mut jobs = state.jobs();
    state.jobs().count() > MANY && jobs.all(|job| job.status == Status::Completed)
}

/// Prints the order of the jobs, and which waited for which.
pub(super) fn report(story: &Story<'_>, out: &mut impl Write) -> anyhow::Result<()> {
    let many = story.jobs(1);
    let one = the_other(story)?;
    let first = many.iter().map(|job| job.created_at).min().context("no job")?;
    let seconds = |at: Timestamp| at.duration_since(first).as_secs_f64();
    let mut jobs: Vec<&Job> = many.iter().chain([&one]).collect();
    jobs.sort_by_key(|job| job.started_at);
    writeln!(
        out,
        "\nAt most {AT_ONCE} runners at once, {MANY} jobs of one repository and 1 of another:\n"
    )?;
    for job in &jobs {
        let repository = if job.run == one.run { OTHER } else { "octo-org/demo" };
        writeln!(
            out,
            "{:>6.1} s queued {:>6.1} s running   {repository} {}",
            seconds(job.created_at),
            seconds(job.started_at),
            job.spec.name,
        )?;
    }
    let is_later = |job: &&Job| job.run != one.run && job.started_at > one.created_at;
    let before = jobs
        .iter()
        .filter(|job| is_later(job) && job.started_at < one.started_at);
    let before = before.count();
    writeln!(
        out,
        "\nBetween its queueing and its start {before} of the {MANY} others began."
    )?;
    ensure!(before < AT_ONCE, "{before} others overtook the one job");
    ensure!(at_once(&jobs) <= AT_ONCE, "more than {AT_ONCE} ran at once");
    ensure!(
        jobs.iter().all(|job| job.conclusion == Some(Conclusion::Success)),
        "every job should have run"
    );
    Ok(())
}

fn the_other(story: &Story<'_>) -> anyhow::Result<Job> {
    let of_other = |job: &&Job| job.run != story.run;
    let found = story.lab.twin().inspect(|state| state.jobs().find(of_other).cloned());
    found.with_context(|| format!("`{OTHER}` has no job"))
}

/// Returns the maximum number of concurrent jobs.
fn at_once(jobs: &[&Job]) -> usize {
    let runs_at = |moment: Timestamp| {
        let runs = |job: &&&Job| job.started_at <= moment && job.completed_at.is_none_or(|end| moment < end);
        jobs.iter().filter(runs).count()
    };
    jobs.iter().map(|job| runs_at(job.started_at)).max().unwrap_or(0)
}
