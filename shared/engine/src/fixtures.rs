//! Records for the tests of decisions.

use dayfly_config::Config;
use dayfly_config::labels::Label;
use dayfly_engine::launch::claim;
use dayfly_records::event::JobEvent;
use dayfly_records::{Job, LaunchOption, LaunchPlan, Launched, Runner, RunnerState};
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::{
    DeliveryId, ImageId, InstallationId, InstanceId, InstanceType, JobId, RunAttempt, RunId, Zone,
};
use dayfly_types::time::Timestamp;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_seconds(1_800_000_000)
}

pub(crate) fn deadlines() -> Deadlines {
    Deadlines::default()
}

pub(crate) fn event(job: u64) -> JobEvent {
    JobEvent {
        delivery: DeliveryId::new("d"),
        received_at: now(),
        created_at: Some(now()),
        installation: InstallationId(7),
        repository: "octo/gpu".parse().unwrap(),
        job: JobId(job),
        run: RunId(22),
        attempt: RunAttempt(1),
        name: "test".into(),
        workflow: None,
        actor: None,
        head_sha: "abc".into(),
        labels: vec![Label::new("dayfly-gpu")],
        runner_name: None,
        runner_id: None,
        conclusion: None,
    }
}

pub(crate) fn plan() -> LaunchPlan {
    LaunchPlan::new(option(InstanceLifecycle::Spot), Vec::new())
}

/// An attempt with the built-in entry.
pub(crate) fn option(lifecycle: InstanceLifecycle) -> LaunchOption {
    LaunchOption {
        spec: Config::built_in().unwrap().runners.remove(0),
        image: ImageId::new("ami-01234567"),
        root_device: "/dev/sda1".into(),
        image_gib: None,
        lifecycle,
    }
}

/// A job with the runner that was claimed for it.
pub(crate) fn claimed(job: u64) -> (Job, Runner) {
    claim::claim(claim::new_job(&event(job)), plan(), now(), &deadlines())
}

pub(crate) fn launched(instance: &str) -> Launched {
    Launched {
        instance: InstanceId::new(instance),
        instance_type: InstanceType::new("g5.xlarge"),
        zone: Zone::new("eu-west-1a"),
        lifecycle: InstanceLifecycle::Spot,
        price_per_hour: None,
        on_demand: None,
        at: now(),
        at_by_ec2: false,
    }
}

/// The runner of job 11 in a state, with what it must have by then.
pub(crate) fn runner(state: RunnerState) -> Runner {
    let (job, mut runner) = claimed(11);
    if state != RunnerState::Requested {
        runner.launched = Some(launched("i-1"));
    }
    if matches!(state, RunnerState::Busy | RunnerState::Draining) {
        runner.job = Some(job.key);
        runner.job_run = Some(job.run);
    }
    runner.state = state;
    runner.due_at = runner.next_deadline(&deadlines());
    runner
}
