//! Many concurrent claims against a cap with room for some.

use std::collections::BTreeSet;
use std::time::Duration;

use dayfly_config::Volume;
use dayfly_lab::lab::Lab;
use dayfly_records::costs::Tariff;
use dayfly_records::prices::{PriceSource, Rates, VolumeRate};
use dayfly_twin::Status;
use dayfly_types::deadlines::MAX_OVERRUN;
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;
use serde_json::Value;

use crate::whole::{PATIENCE, POLL, assert_nothing_left_within, function_logs, start_with};

const JOBS: usize = 200;
const FIT: usize = 37;

const CONFIG: &str = "\
messenger: false
runners:
  - name: gpu
    labels: [dayfly-gpu]
    instance_type: g4dn.xlarge
    machine_image: ami-0123456789abcdef0
    max_price: $0.40/h
    max_lifetime: 14m
    disk_size: 8GB
";

/// Returns the most that one of the jobs can cost at this volume price.
fn worst(gib_month: &str) -> MicroDollars {
    let rates = Rates::embedded().unwrap();
    let dollars = |text: &str| MicroDollars::from_decimal(text).unwrap();
    let gp3 = VolumeRate {
        gib_month: dollars(gib_month),
        ..VolumeRate::default()
    };
    let tariff = Tariff {
        compute: dollars("0.40"),
        disk_month: rates.month_of(Volume::default(), 8, &gp3),
        address: rates.address(),
        source: PriceSource::Aws,
    };
    let now = Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
    let worst = tariff.worst(now, now.after(Duration::from_mins(14) + MAX_OVERRUN));
    worst.iter().map(|(_, amount)| *amount).sum()
}

async fn of_kind(lab: &Lab, kind: &str) -> Vec<Value> {
    let mut items = lab.cloud().table_items().await.unwrap();
    items.retain(|item| item["pk"]["S"].as_str().unwrap().starts_with(kind));
    items
}

fn number(item: &Value, field: &str) -> u64 {
    item[field]["N"].as_str().unwrap().parse().unwrap()
}

/// Returns the reservation of a runner.
fn held(runner: &Value) -> u64 {
    let shares = runner["reserved"]["M"]["shares"]["L"].as_array();
    let share = |one: &Value| one["L"][1]["N"].as_str().unwrap().parse::<u64>().unwrap();
    shares.map_or(0, |shares| shares.iter().map(share).sum())
}

fn state(job: &Value) -> &str {
    job["state"]["M"]["is"]["S"].as_str().unwrap()
}

#[tokio::test]
async fn of_two_hundred_claims_as_many_are_launched_as_the_cap_allows() {
    // A process whose first price request times out calculates with twice the built-in rate. Between
    // the two there is no room for another job.
    let (listed, shipped) = (worst("0.088"), worst("0.16"));
    let cap = shipped.times(FIT as u64);
    assert!(cap.0 < listed.times(FIT as u64 + 1).0);
    // No runner ends before all are decided on, even on a slow machine: a given-up runner's job would
    // be queued again while its money is still reserved.
    let lab = start_with(|config| {
        config.minute = Duration::from_secs(10);
        let deadlines = &mut config.deadlines;
        deadlines.idle = 840;
        deadlines.lifetime = 840;
        deadlines.boot = 600;
        deadlines.heartbeat = 600;
        deadlines.unreachable = 600;
        deadlines.launch_give_up = 600;
        // Nor do other instances keep the functions busy: waits are longer than elsewhere in the lab,
        // and heartbeats rarer.
        deadlines.retry = 10;
        deadlines.webhook = 120;
        deadlines.heartbeat_every = 15;
    })
    .await;
    let policy = format!("version: 1\ncaps: {{repository: {cap}}}\n");
    lab.aws()
        .put_parameter("/dayfly/policy", "String", &policy)
        .await
        .unwrap();
    let seeds: Vec<String> = (1..=JOBS).map(|seed| seed.to_string()).collect();
    let workflow = format!(
        "on: push\njobs:\n  train:\n    strategy:\n      matrix:\n        seed: [{}]\n    runs-on: dayfly-gpu\n    steps:\n      - run: sleep 800\n",
        seeds.join(", ")
    );
    let repository = lab.twin().create_repo("octo-org/many");
    let files = [(".github/workflows/train.yml", &*workflow), (".dayfly.yml", CONFIG)];
    let run = lab.twin().push(repository, "Train", &files).unwrap()[0];
    let decided = async {
        loop {
            let jobs = of_kind(&lab, "JOB#").await;
            let refused = jobs.iter().filter(|job| state(job) == "refused").count();
            let launched = lab.cloud().instances().await.unwrap().len();
            if refused + launched >= JOBS {
                return (refused, launched);
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let Ok(decided) = tokio::time::timeout(5 * PATIENCE, decided).await else {
        panic!("{}", function_logs(&lab).await);
    };
    assert_eq!(decided, (JOBS - FIT, FIT), "{}", function_logs(&lab).await);
    let ledgers = of_kind(&lab, "LEDGER#").await;
    let repository = ledgers
        .iter()
        .find(|item| item["sk"]["S"] == "REPOSITORY#octo-org/many")
        .unwrap();
    let committed = number(repository, "spent") + number(repository, "reserved");
    let runners = of_kind(&lab, "RUNNER#").await;
    assert_eq!(
        committed,
        runners.iter().map(held).sum::<u64>(),
        "what they hold, to the micro-dollar"
    );
    assert!(
        committed <= cap.0 && committed + listed.0 > cap.0,
        "{committed} of {cap}"
    );

    lab.twin().cancel(run).unwrap();
    let over = lab.twin().wait_for("the end of the run", 2 * PATIENCE, |state| {
        (state.run(run)?.status == Status::Completed).then_some(())
    });
    over.await.unwrap();
    assert_nothing_left_within(&lab, 5 * PATIENCE).await;
    let costs = of_kind(&lab, "COST#").await;
    let instances: BTreeSet<&str> = costs.iter().filter_map(|cost| cost["instance"]["S"].as_str()).collect();
    let amount = |cost: &Value| -> u64 {
        let amounts = cost["amounts"]["L"].as_array().unwrap();
        let of_month = |part: &Value| -> u64 {
            let parts = &part["L"][1]["M"];
            ["compute", "disk", "address"]
                .map(|name| number(parts, name))
                .into_iter()
                .sum()
        };
        amounts.iter().map(of_month).sum()
    };
    let total: u64 = costs.iter().map(amount).sum();
    assert_eq!((costs.len(), instances.len()), (FIT, FIT));
    for ledger in of_kind(&lab, "LEDGER#").await {
        assert_eq!(
            (number(&ledger, "spent"), number(&ledger, "reserved")),
            (total, 0),
            "{ledger}"
        );
    }
    lab.shutdown().await.unwrap();
}
