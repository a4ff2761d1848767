//! Counts the reads of a sweep.

use std::rc::Rc;
use std::time::Duration;

use dayfly_config::Config;
use dayfly_engine::launch::claim;
use dayfly_records::event::JobEvent;
use dayfly_records::{Change, LaunchOption, LaunchPlan, Launched, Runner, RunnerState};
use dayfly_sweeper::Task;
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::ids::{DeliveryId, ImageId, InstanceId, InstanceType, JobId, RunAttempt, RunId, Zone};

use crate::engine::Stepped;
use crate::hub::{self, INSTALLATION};
use crate::lambda::Caller;
use crate::plan::Plan;
use crate::sim::Sim;

/// Returns the number of table reads of one sweep while `live` runners live, of which `due` are due.
///
/// # Panics
/// If the built-in configuration cannot be read.
#[must_use]
#[expect(clippy::expect_used, reason = "the built-in configuration is tested where it lies")]
pub fn sweep_reads(live: u64, due: u64) -> u64 {
    let sim = Sim::new(Plan::empty(), &[], false);
    let spec = Config::built_in().expect("it can be read").runners.remove(0);
    {
        let mut table = sim.table.borrow_mut();
        for number in 0..live {
            let runner = busy(
                &sim,
                number,
                LaunchPlan::new(
                    LaunchOption {
                        spec: spec.clone(),
                        image: ImageId::new("ami-0123456789abcdef0"),
                        root_device: "/dev/sda1".to_owned(),
                        image_gib: None,
                        lifecycle: InstanceLifecycle::Spot,
                    },
                    Vec::new(),
                ),
                number < due,
            );
            table.commit(vec![Change::create(runner)], sim.now(), false);
        }
        table.reads = 0;
    }
    sim.call(Caller::Schedule(Task::Sweep), 0);
    let end = sim.now().after(Duration::from_secs(60));
    while !matches!(sim.engine.step(end), Stepped::Ended) {}
    let reads = sim.table.borrow().reads;
    sim.end_all();
    reads
}

/// A runner in mid-job. A due one has had a heartbeat since.
fn busy(sim: &Rc<Sim>, number: u64, plan: LaunchPlan, due: bool) -> Runner {
    let now = sim.now();
    let event = JobEvent {
        delivery: DeliveryId::new("d"),
        received_at: now,
        created_at: Some(now),
        installation: INSTALLATION,
        repository: hub::repository(0),
        job: JobId(number),
        run: RunId(1),
        attempt: RunAttempt(1),
        name: "job".to_owned(),
        workflow: None,
        actor: None,
        head_sha: "abc".to_owned(),
        labels: hub::labels(),
        runner_name: None,
        runner_id: None,
        conclusion: None,
    };
    let (job, mut runner) = claim::claim(claim::new_job(&event), plan, now, &sim.deadlines);
    runner.launched = Some(Launched {
        instance: InstanceId::new(format!("i-{number:017x}")),
        instance_type: InstanceType::new("g5.xlarge"),
        zone: Zone::new("eu-west-1a"),
        lifecycle: InstanceLifecycle::Spot,
        price_per_hour: None,
        on_demand: None,
        at: now,
        at_by_ec2: false,
    });
    runner.state = RunnerState::Busy;
    runner.job = Some(job.key);
    runner.heartbeat_at = Some(now);
    runner.due_at = runner.next_deadline(&sim.deadlines);
    if due {
        runner.due_at = Some(now);
    }
    runner
}
