//! An interrupted job that saves its work, and resumes it on another instance.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, ensure};
use dayfly_twin::Job;

use super::story::is_output;
use super::{Story, workflow};
use crate::lab::Lab;
use crate::page;
use crate::timeline::Observation;

/// The time from notice to end in the lab; two minutes on AWS.
const NOTICE: Duration = Duration::from_secs(20);

/// How long after the notice the job may take to end: GitHub alone would take minutes.
const ENDED_WITHIN: Duration = Duration::from_secs(15);

/// The hook saves what the job writes after each epoch.
const CONFIG: &str = "\
runners:
  - name: gpu
    labels: [dayfly-gpu]
    instance_type: [g4dn.xlarge, g5.xlarge]
    machine_image: ami-0123456789abcdef0
    on_interruption: |
      cp checkpoint \"$BUCKET/checkpoint-$GITHUB_RUN_ID\"
      echo \"saved epoch $(cat checkpoint)\"
";

const TRAIN: &[&str] = &[
    "cp \"$BUCKET/checkpoint-$GITHUB_RUN_ID\" checkpoint 2>/dev/null || echo 0 >checkpoint",
    "epoch=$(cat checkpoint)",
    "echo \"attempt $GITHUB_RUN_ATTEMPT goes on after epoch $epoch\"",
    "while [ \"$epoch\" -lt 8 ]; do",
    "  epoch=$((epoch + 1))",
    "  echo \"epoch $epoch: loss 0.$((90 / epoch))\"",
    "  sleep 1",
    "  echo \"$epoch\" >checkpoint",
    "done",
    "echo 'trained to the end'",
];

pub(super) fn files(lab: &Lab) -> Vec<(&'static str, String)> {
    let job = format!(
        "\
name: train
on: push
env:
  BUCKET: {}
jobs:
  train:
    runs-on: dayfly-gpu
    steps:
      - name: Train
        run: |
{}",
        lab.bucket().display(),
        workflow::indented(TRAIN)
    );
    vec![(workflow::PATH, job), (".dayfly.yml", CONFIG.to_owned())]
}

/// EC2 reclaims the instance in the middle of the fourth epoch.
pub(super) async fn act(observation: &Observation, story: &Story<'_>) -> anyhow::Result<()> {
    if story.notices.is_empty() && is_output(observation, |line| line.starts_with("epoch 4:")) {
        for instance in story.lab.live_instances().await? {
            story.lab.interrupt(&instance.id, NOTICE).await?;
        }
    }
    Ok(())
}

pub(super) fn report(story: &Story<'_>, out: &mut impl Write) -> anyhow::Result<()> {
    let (first, second) = (story.job(1, "train")?, story.job(2, "train")?);
    let (notice, end) = (story.notices.first(), first.completed_at);
    let (notice, end) = notice.zip(end).context("the job was not interrupted")?;
    let took = end.duration_since(*notice).unsigned_abs();
    let (lost, _) = story.launch_of(&first)?;
    let (next, _) = story.launch_of(&second)?;
    let saved = epoch_in(&first, "saved epoch ").context("the hook has saved nothing")?;
    let found = epoch_in(&second, "attempt 2 goes on after epoch ").context("attempt 2 has not begun")?;

    writeln!(out, "\nWhat the author of the pull request sees:\n")?;
    page::checks(story, out)?;
    page::check_run(&story.check_of(&first)?, out)?;
    page::check_run(&story.check_of(&second)?, out)?;
    writeln!(out)?;
    writeln!(out, "notice to job's end: {:.1} s", took.as_secs_f64())?;
    writeln!(out, "saved and found:     epoch {saved}, epoch {found}")?;
    writeln!(
        out,
        "interrupted in:      {} in {}",
        lost.pool.instance_type, lost.pool.zone
    )?;
    writeln!(
        out,
        "run again in:        {} in {}",
        next.pool.instance_type, next.pool.zone
    )?;

    ensure!(took < ENDED_WITHIN, "the job ended only {took:?} after the notice");
    ensure!(
        saved == found && found >= 3,
        "attempt 2 has not found what attempt 1 saved"
    );
    ensure!(
        lost.pool != next.pool,
        "the job ran again in the pool that was interrupted"
    );
    Ok(())
}

/// Returns the number after `words` in a job's log.
fn epoch_in(job: &Job, words: &str) -> Option<u32> {
    let log = page::log_of(job);
    let number = log.iter().find_map(|line| line.strip_prefix(words))?;
    number.trim().parse().ok()
}
