//! The main job: queued, launched, run, gone.

use dayfly_lab::ec2_proxy::Launch;
use dayfly_lab::lab::Lab;
use dayfly_twin::Conclusion;
use tokio::sync::broadcast;

use crate::whole::{PATIENCE, Pushed, assert_nothing_left, push, registered_as, start};

const OWN_FILE: &str = "\
runners:
  - name: cpu
    labels: [dayfly-gpu]
    instance_type: m7i.large
    machine_image: ami-0123456789abcdef0
    spot: false
    disk_size: 50GiB
";

async fn launch_of(launches: &mut broadcast::Receiver<Launch>, instance: &str) -> Launch {
    let found = async {
        loop {
            let launch = launches.recv().await.unwrap();
            if launch.instance == instance {
                return launch;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found)
        .await
        .expect("the launch is reported")
}

async fn assert_ran(pushed: &Pushed<'_>, instance: &str) {
    assert_eq!(pushed.over(1).await, Conclusion::Success);
    let job = pushed.job(1);
    let runner = job.runner.as_ref().map(|taken| taken.name.clone());
    assert_eq!(runner, Some(registered_as(job.id, 1, instance)));
    let output = pushed.output(1);
    assert!(output.iter().any(|line| line == "sum 5"), "{output:?}");
}

async fn without_a_file_a_cheap_gpu_on_spot_is_launched(lab: &Lab) {
    let mut launches = lab.ec2().launches();
    let pushed = push(lab, "octo-org/plain", None, &["echo \"sum $((2 + 3))\""]);
    let instance = pushed.launched().await;
    let launch = launch_of(&mut launches, &instance.id).await;
    assert!(launch.spot);
    assert_eq!(
        (&*launch.pool.instance_type, &*launch.pool.zone),
        ("g4dn.xlarge", "eu-west-1a")
    );
    assert_ran(&pushed, &instance.id).await;
    let fleet = pushed.fleets()[0].parameter("ClientToken").map(str::to_owned).unwrap();
    for (tag, value) in [
        ("Name", "dayfly octo-org/plain"),
        ("dayfly:fleet", &fleet),
        ("dayfly:stack", "dayfly"),
        ("dayfly:managed", "true"),
    ] {
        assert_eq!(instance.tags.get(tag).map(String::as_str), Some(value), "{tag}");
    }
}

async fn a_repositorys_own_file_says_what_is_launched(lab: &Lab) {
    let mut launches = lab.ec2().launches();
    let pushed = push(lab, "octo-org/own-file", Some(OWN_FILE), &["echo \"sum $((2 + 3))\""]);
    let instance = pushed.launched().await;
    let launch = launch_of(&mut launches, &instance.id).await;
    assert!(!launch.spot);
    assert_eq!(launch.pool.instance_type, "m7i.large");
    assert_ran(&pushed, &instance.id).await;
}

/// Everything that an entry may request for its instance, with the stack's own security group as
/// another.
fn everything(group: &str) -> String {
    format!(
        "runners:
  - name: cpu
    labels: [dayfly-gpu]
    instance_type: m7i.large
    machine_image: ami-0123456789abcdef0
    disk: {{size: 60GiB, type: gp3, iops: 4000, throughput: 250}}
    startup_script: test \"$TEAM\" = speech
    env: {{TEAM: speech}}
    tags: {{team: speech, 'dayfly-like': '1'}}
    security_groups: {group}
"
    )
}

async fn an_instance_is_as_its_entry_wants_it_before_the_job_begins(lab: &Lab) {
    let group = lab.cloud().deployment().resource("InstanceSecurityGroup").unwrap();
    let pushed = push(lab, "octo-org/asks", Some(&everything(group)), &["echo \"team $TEAM\""]);
    let instance = pushed.launched().await;
    let conclusion = pushed.over(1).await;
    let output = pushed.output(1);
    assert_eq!(conclusion, Conclusion::Success, "{output:?}");
    assert!(output.iter().any(|line| line == "team speech"), "{output:?}");
    for (tag, value) in [("team", "speech"), ("dayfly-like", "1"), ("dayfly:stack", "dayfly")] {
        assert_eq!(instance.tags.get(tag).map(String::as_str), Some(value), "{tag}");
    }
    let fleets = pushed.fleets();
    let said = |name: &str| {
        let name = format!("LaunchTemplateConfigs.1.{name}");
        fleets[0].parameter(&name).map(str::to_owned)
    };
    let variants = lab.cloud().deployment().resource("LaunchTemplateVariants").unwrap();
    let template = said("LaunchTemplateSpecification.LaunchTemplateId");
    assert_eq!(template.as_deref(), Some(variants));
    let volume = |field: &str| said(&format!("Overrides.1.BlockDeviceMapping.1.Ebs.{field}"));
    assert_eq!(
        (volume("VolumeSize"), volume("Iops"), volume("Throughput")),
        (Some("60".into()), Some("4000".into()), Some("250".into()))
    );
}

const BROKEN: &str = "\
runners:
  - name: cpu
    labels: [dayfly-gpu]
    instance_type: m7i.large
    machine_image: ami-0123456789abcdef0
    startup_script: 'echo \"no such package: ffmpegg\"; exit 3'
";

async fn a_job_whose_startup_script_fails_says_so_in_its_own_log(lab: &Lab) {
    let pushed = push(lab, "octo-org/broken-script", Some(BROKEN), &["true"]);
    assert_eq!(pushed.over(1).await, Conclusion::Failure);
    let output = pushed.output(1);
    assert!(
        output.iter().any(|line| line.contains("no such package: ffmpegg")),
        "{output:?}"
    );
}

#[tokio::test]
async fn an_instance_is_as_its_entry_wants_it_or_the_job_says_why_not() {
    let lab = start().await;
    let parameter = lab.cloud().deployment().output("PolicyParameterName").unwrap();
    let policy = "version: 1\nsecurity_groups: ['*']\n";
    lab.aws().put_parameter(parameter, "String", policy).await.unwrap();
    tokio::join!(
        an_instance_is_as_its_entry_wants_it_before_the_job_begins(&lab),
        a_job_whose_startup_script_fails_says_so_in_its_own_log(&lab),
    );
    assert_nothing_left(&lab).await;
    lab.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_job_runs_on_what_its_repository_asks_for_and_nothing_is_left() {
    let lab = start().await;
    tokio::join!(
        without_a_file_a_cheap_gpu_on_spot_is_launched(&lab),
        a_repositorys_own_file_says_what_is_launched(&lab),
    );
    assert_nothing_left(&lab).await;
    assert_eq!(lab.ec2().count("CreateFleet"), 2);
    lab.shutdown().await.unwrap();
}
