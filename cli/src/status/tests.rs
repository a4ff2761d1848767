use std::time::Duration;

use dayfly_config::Config;
use dayfly_engine::launch::claim;
use dayfly_records::costs::Tariff;
use dayfly_records::event::JobEvent;
use dayfly_records::prices::PriceSource;
use dayfly_records::{GateState, Job, LaunchOption, LaunchPlan, Launched, Reservation};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::{DeliveryId, ImageId, InstallationId, JobId, RunAttempt, RunId};

use super::*;

const NOON: Timestamp = Timestamp::from_seconds(43_200);

fn job(id: u64) -> Job {
    claim::new_job(&JobEvent {
        delivery: DeliveryId::new("1"),
        received_at: NOON,
        created_at: Some(NOON),
        installation: InstallationId(7),
        repository: "octo/gpu".parse().unwrap(),
        job: JobId(id),
        run: RunId(22),
        attempt: RunAttempt(1),
        name: "train".to_owned(),
        workflow: None,
        actor: None,
        head_sha: "abc".to_owned(),
        labels: Vec::new(),
        runner_name: None,
        runner_id: None,
        conclusion: None,
    })
}

/// A runner on an instance with this capacity and price, as launch and check-in record it.
fn runner(id: u64, lifecycle: InstanceLifecycle, price: Option<u64>) -> Record {
    let spec = Config::built_in().unwrap().runners.remove(0);
    let option = LaunchOption {
        spec,
        image: ImageId::new("ami-01234567"),
        root_device: "/dev/sda1".to_owned(),
        image_gib: None,
        lifecycle,
    };
    let plan = LaunchPlan::new(option, Vec::new());
    let (_, mut runner) = claim::claim(job(id), plan, NOON, &Deadlines::default());
    runner.state = RunnerState::Busy;
    runner.launched = Some(Launched {
        instance: InstanceId::new(format!("i-{id}")),
        instance_type: InstanceType::new("g4dn.xlarge"),
        zone: Zone::new("eu-west-1a"),
        lifecycle,
        price_per_hour: price.map(MicroDollars),
        on_demand: None,
        at: NOON,
        at_by_ec2: false,
    });
    runner.reserved = Some(Reservation {
        tariff: Tariff {
            compute: MicroDollars(526_000),
            disk_month: MicroDollars(8_000_000),
            address: MicroDollars(5_000),
            source: PriceSource::Aws,
        },
        budgets: Vec::new(),
        shares: Vec::new(),
    });
    runner.into()
}

fn rendered(records: &[Record]) -> String {
    let now = NOON.after(Duration::from_secs(3725));
    Report::of(records, Machines::embedded().unwrap(), now).render(now, None)
}

#[test]
fn runners_and_waiting_jobs_are_shown_with_their_price() {
    let records = [
        runner(12, InstanceLifecycle::OnDemand, None),
        runner(11, InstanceLifecycle::Spot, Some(158_000)),
        job(13).into(),
    ];
    insta::assert_snapshot!(rendered(&records));
}

#[test]
fn runner_that_waits_for_a_slot_is_not_live() {
    let Record::Runner(mut held_back) = runner(11, InstanceLifecycle::Spot, None) else {
        unreachable!()
    };
    held_back.state = RunnerState::Requested;
    held_back.launched = None;
    held_back.gate = Some(GateState::Waiting);
    let records = [Record::Runner(held_back), job(13).into()];
    let now = NOON.after(Duration::from_secs(3725));
    let report = Report::of(&records, Machines::embedded().unwrap(), now);
    assert_eq!(
        report.render(now, None),
        "no live runners, $0.00/h\n2 waiting jobs:\n  octo/gpu job 11, for 1h02m, for a slot\n  octo/gpu `train`, for 1h02m"
    );
    let report = serde_json::to_value(report).unwrap();
    assert_eq!(report["waiting"][0]["for_its_turn"], true);
    assert_eq!(report["runners"], serde_json::json!([]));
}

#[test]
fn runners_fit_the_terminal_with_whole_ids() {
    let long = |job: u64, lifecycle, price| {
        let Record::Runner(mut runner) = runner(job, lifecycle, price) else {
            unreachable!()
        };
        runner.repository = "octo-organisation/a-repository-of-theirs".parse().unwrap();
        runner.launched.as_mut().unwrap().instance = InstanceId::new("i-0123456789abcdef0");
        Record::from(*runner)
    };
    let records = [
        long(45_678_901_234, InstanceLifecycle::OnDemand, None),
        long(45_678_901_235, InstanceLifecycle::Spot, Some(158_000)),
    ];
    let now = NOON.after(Duration::from_secs(3725));
    let report = Report::of(&records, Machines::embedded().unwrap(), now);
    for width in [80, 100, 120, 200] {
        let text = report.render(now, Some(width));
        assert!(
            text.lines().all(|line| line.chars().count() <= usize::from(width)),
            "{width}:\n{text}"
        );
        for id in ["dayfly-45678901234-1-1", "i-0123456789abcdef0", "$0.56"] {
            assert!(text.contains(id), "{id}, {width}:\n{text}");
        }
    }
    let all = report.render(now, Some(200));
    assert!(all.contains("octo-organisation/a-repository-of-theirs"), "{all}");
}

#[test]
fn absence_of_runners_is_reported() {
    assert_eq!(rendered(&[]), "no live runners, $0.00/h");
}

#[test]
fn json_prices_are_in_micro_dollars() {
    let records = [runner(11, InstanceLifecycle::Spot, Some(158_000))];
    let report = serde_json::to_value(Report::of(&records, Machines::embedded().unwrap(), NOON)).unwrap();
    assert_eq!(report["per_hour"], 158_000);
    assert_eq!(report["runners"][0]["instance"]["price_per_hour"], 158_000);
    assert_eq!(report["runners"][0]["state"], "busy");
}

#[test]
fn gone_runner_that_awaits_its_costing_is_not_live() {
    let Record::Runner(mut gone) = runner(11, InstanceLifecycle::Spot, Some(158_000)) else {
        unreachable!()
    };
    gone.state = RunnerState::Gone;
    assert_eq!(rendered(&[Record::Runner(gone)]), "no live runners, $0.00/h");
}
