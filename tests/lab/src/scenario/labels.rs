//! Labels with requirements: without a file, and with an unchanged `.cirun.yml`.

use std::io::Write;

use anyhow::ensure;

use super::{Story, workflow};

/// The GPU and how it is bought, reserved for jobs of the same run.
pub(super) const INLINE: &str = "dayfly/gpu=t4/spot=first/disk=120GiB/run=${{ github.run_id }}";

/// A label of a Cirun user, followed by the run's id.
pub(super) const CIRUN: &str = "cirun-gpu--${{ github.run_id }}";

const CIRUN_FILE: &str = "\
runners:
  - name: gpu-azure
    cloud: azure
    instance_type: Standard_NC4as_T4_v3
    machine_image: Canonical:ubuntu-24_04-lts:server:latest
    labels: [cirun-gpu]
  - name: gpu-aws
    cloud: aws
    instance_type: g4dn.xlarge
    machine_image: ami-0123456789abcdef0
    region: eu-west-1
    preemptible: [true, false]
    extra_config:
      BlockDeviceMappings:
        - {DeviceName: /dev/sda1, Ebs: {VolumeSize: 120}}
    labels: [cirun-gpu]
";

/// A repository with only a workflow.
pub(super) fn inline_files() -> Vec<(&'static str, String)> {
    workflow::on(INLINE, workflow::THREE_EPOCHS)
}

/// A repository with a workflow and its `.cirun.yml`.
pub(super) fn cirun_files() -> Vec<(&'static str, String)> {
    let mut files = workflow::on(CIRUN, workflow::THREE_EPOCHS);
    files.push((".cirun.yml", CIRUN_FILE.to_owned()));
    files
}

/// Prints what the job ran on, for its label.
pub(super) fn report(story: &Story<'_>, out: &mut impl Write) -> anyhow::Result<()> {
    let job = story.job(1, "train")?;
    let labels = job.spec.labels.join(", ");
    let (launch, _) = story.launch_of(&job)?;
    writeln!(
        out,
        "\n`runs-on: {labels}` ran on {} in {}, {}.",
        launch.pool.instance_type,
        launch.pool.zone,
        if launch.spot { "spot" } else { "on demand" }
    )?;
    ensure!(
        launch.pool.instance_type.starts_with("g4dn."),
        "a T4 is on a g4dn, and the job ran on {launch:?}"
    );
    ensure!(launch.spot, "the job should have run on spot capacity");
    ensure!(
        labels.ends_with(&story.run.to_string()),
        "the label should have the run's id, and is {labels}"
    );
    Ok(())
}
