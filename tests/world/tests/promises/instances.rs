//! What a configuration entry requests for its instance, and what the instance gets.

use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_config::machines::Arch;
use dayfly_config::{ImageName, Volume, VolumeType};
use dayfly_ports::{FleetRequest, InstanceOverrides};
use dayfly_records::{JobState, RunnerState};
use dayfly_types::deadlines::{Deadlines, MAX_LAUNCHES};
use dayfly_types::ids::{ImageId, InstanceId, SecurityGroupId, SubnetId};
use serde_json::{Value, json};

use crate::lifecycle::state_of;
use crate::stage::{Answer, Call, POLICY, Stage};

const EVERYTHING: &str = "
runners:
  - name: gpu
    labels: [dayfly-gpu]
    instance_type: g5.xlarge
    machine_image: ami-01234567
    disk: {size: 200GiB, type: gp3, iops: 6000, throughput: 500}
    startup_script: make ready
    env: {HF_HOME: /mnt/models}
    tags: {team: speech}
    subnets: [subnet-01234567, subnet-12345678]
    security_groups: sg-01234567
    instance_profile: gpu-runner
";

/// A stack policy that allows all of it.
const ALLOWS: &str = "version: 1\nsubnets: ['*']\nsecurity_groups: ['*']\ninstance_profiles: ['*']\n";

/// Queues job 11 in a repository with this file.
fn queued(text: &str, prepare: impl FnOnce(&Stage)) -> Stage {
    let stage = Stage::new();
    stage.world.set_parameter(POLICY, ALLOWS);
    stage.world.hub().config = Some(text.to_owned());
    prepare(&stage);
    stage.queue(11);
    stage
}

fn asked(stage: &Stage) -> Vec<FleetRequest> {
    stage.world.cloud().asked().to_vec()
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    owned.collect()
}

/// Returns why job 11 is refused.
fn refusal(stage: &Stage) -> String {
    match state_of(stage, 11) {
        JobState::Refused { reason } => reason,
        other => panic!("{other:?}"),
    }
}

fn claimed(stage: &Stage, instance: &InstanceId) -> Value {
    match stage.claim(instance) {
        Answer::Http(200, answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn reports(stage: &Stage, instance: &InstanceId, name: &str, detail: &str) {
    let at = stage.now();
    let body = json!({"instance": instance, "stage": name, "at": at, "detail": detail});
    stage.make(Call::CheckIn(instance.clone(), "progress", body));
}

#[test]
fn an_instance_gets_everything_its_entry_requests() {
    let stage = queued(EVERYTHING, |_| ());
    let request = &asked(&stage)[0];
    let subnets: Vec<&str> = request.placements.iter().map(|one| one.subnet.as_str()).collect();
    assert_eq!(subnets, ["subnet-01234567", "subnet-12345678"]);
    assert_eq!(request.disk_gib, Some(200));
    let volume = Volume {
        kind: Some(VolumeType::Gp3),
        iops: Some(6000),
        throughput: Some(500),
    };
    assert_eq!(request.volume, volume);
    assert_eq!(request.tags, pairs(&[("team", "speech")]));
    let overrides = InstanceOverrides {
        security_groups: vec![SecurityGroupId::new("sg-01234567")],
        instance_profile: Some("gpu-runner".to_owned()),
    };
    assert_eq!(request.overrides, overrides);
    let answer = claimed(&stage, &stage.instance());
    assert_eq!(answer["startup_script"], "make ready");
    assert_eq!(answer["startup_seconds"], Deadlines::default().boot.as_secs());
    assert_eq!(answer["env"], json!({"HF_HOME": "/mnt/models"}));
}

#[test]
fn a_missing_subnet_is_reported_before_any_launch() {
    let stage = queued(EVERYTHING, |stage| {
        let gone = SubnetId::new("subnet-12345678");
        stage.world.cloud().missing_subnets.insert(gone);
    });
    let reason = refusal(&stage);
    assert!(
        reason.contains("the `subnets` of the runner `gpu` name `subnet-12345678`")
            && !reason.contains("subnet-01234567"),
        "{reason}"
    );
    let types: Vec<String> = asked(&stage)
        .iter()
        .map(|request| request.placements[0].pool.instance_type.to_string())
        .collect();
    assert_eq!(types, ["t4g.nano"], "only the messenger, in the stack's own subnet");
    let messenger = claimed(&stage, &stage.instance());
    assert_eq!(
        (&messenger["startup_script"], &messenger["env"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn an_entry_with_a_missing_subnet_falls_back_to_the_next() {
    let two = format!("{EVERYTHING}  - {{name: plain, labels: [dayfly-gpu], instance_type: g6.xlarge}}\n");
    let stage = queued(&two, |stage| {
        let gone = SubnetId::new("subnet-01234567");
        stage.world.cloud().missing_subnets.insert(gone);
    });
    let request = &asked(&stage)[0];
    assert_eq!(request.placements[0].pool.instance_type.as_str(), "g6.xlarge");
    assert!(request.overrides.is_empty());
}

#[test]
fn an_image_by_name_is_the_newest_of_its_architecture() {
    let file = |kind: &str| {
        format!(
            "runners:\n  - {{name: gpu, labels: [dayfly-gpu], instance_type: {kind}, machine_image: {{name: my-*, owner: self}}}}\n"
        )
    };
    let name = ImageName {
        name: "my-*".to_owned(),
        owner: "self".to_owned(),
    };
    let images = |stage: &Stage| {
        let arm = (name.clone(), Arch::Arm64);
        stage.world.cloud().images.insert(arm, ImageId::new("ami-0a0a0a0a"));
    };
    let stage = queued(&file("g5g.xlarge"), images);
    assert_eq!(asked(&stage)[0].image.as_str(), "ami-0a0a0a0a");
    let stage = queued(&file("g5.xlarge"), images);
    let reason = refusal(&stage);
    assert!(reason.contains("an image `my-* of self` for x86_64"), "{reason}");
}

#[test]
fn a_parameter_without_an_image_is_reported_before_any_launch() {
    let file =
        "runners:\n  - {name: gpu, labels: [dayfly-gpu], instance_type: g5.xlarge, machine_image: ssm:/my/image}\n";
    for held in [None, Some("latest"), Some("ami-12")] {
        let stage = queued(file, |stage| {
            if let Some(held) = held {
                stage.world.set_parameter("/my/image", held);
            }
        });
        let reason = refusal(&stage);
        assert!(reason.contains("ssm:/my/image"), "{held:?}: {reason}");
    }
}

#[test]
fn the_default_image_fits_the_machine() {
    for (machine, image) in [
        ("instance_type: g5.xlarge", "ami-0123456789abcdef0"),
        ("gpu: t4", "ami-0123456789abcdef0"),
        ("cpu: 4\n    arch: arm64", "ami-0aaaaaaaaaaaaaaaa"),
    ] {
        let file = format!("runners:\n  - name: gpu\n    labels: [dayfly-gpu]\n    {machine}\n");
        let stage = queued(&file, |_| ());
        assert_eq!(asked(&stage)[0].image.as_str(), image, "{machine}");
    }
}

#[test]
fn powers_beyond_the_stacks_are_refused_unless_listed() {
    let stage = queued(EVERYTHING, |stage| stage.world.set_parameter(POLICY, "version: 1\n"));
    // Only its messenger is launched, in the stack's own subnet.
    assert!(
        asked(&stage)
            .iter()
            .all(|one| one.placements.iter().all(|one| one.subnet.as_str() == "subnet-1"))
    );
    let reason = refusal(&stage);
    assert!(reason.starts_with("policy rule `subnets` of the stack"), "{reason}");
}

#[test]
fn a_runner_is_not_idle_while_its_startup_script_runs() {
    let stage = queued(EVERYTHING, |_| ());
    let instance = stage.instance();
    claimed(&stage, &instance);
    reports(&stage, &instance, "startup_started", "");
    for _ in 0..9 {
        stage.heartbeat(&instance, "listening");
        stage.minute();
    }
    assert_eq!(stage.runners()[0].state, RunnerState::Enrolled);
    reports(&stage, &instance, "startup_finished", "exit status 0, after 540 s");
    reports(&stage, &instance, "runner_started", "");
    for _ in 0..4 {
        stage.heartbeat(&instance, "listening");
        stage.minute();
    }
    assert_eq!(
        stage.runners()[0].state,
        RunnerState::Enrolled,
        "it has just begun to listen"
    );
    stage.heartbeat(&instance, "listening");
    stage.minutes(2);
    assert_ne!(stage.runners()[0].state, RunnerState::Enrolled, "no job came");
}

#[test]
fn a_failing_startup_script_is_given_up_with_its_last_lines() {
    const WORDS: &str = "exit status 3, after 9 s; its last lines:\nno such package: ffmpegg";
    let stage = queued(EVERYTHING, |_| ());
    let mut instances = 0;
    while !state_of(&stage, 11).is_given_up() {
        instances += 1;
        assert!(instances <= MAX_LAUNCHES, "it is launched for ever");
        let instance = stage.instance();
        claimed(&stage, &instance);
        // Every second report is lost; the goodbye repeats it.
        if instances % 2 == 0 {
            reports(&stage, &instance, "startup_finished", WORDS);
        }
        let body = json!({"instance": instance, "reason": "startup_failed", "detail": WORDS});
        stage.make(Call::CheckIn(instance.clone(), "goodbye", body));
        stage.world.cloud().end(&instance);
        stage.deliver();
        stage.wait(Duration::from_secs(5));
        stage.minute();
    }
    assert_eq!(instances, MAX_LAUNCHES);
    let JobState::Unlaunchable { reason } = state_of(&stage, 11) else {
        panic!("{:?}", state_of(&stage, 11))
    };
    assert!(
        reason.contains("its startup script failed, or took too long") && reason.contains("no such package: ffmpegg"),
        "{reason}"
    );
}
