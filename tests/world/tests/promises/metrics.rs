//! The metrics published while jobs run, as CloudWatch reads them from the log.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use dayfly_engine::runner::interruption::Ec2Signal;
use dayfly_ports::{FleetErrorKind, Store as _};
use dayfly_records::event::{Conclusion, Event};
use dayfly_records::{Bucket, BucketId, Change, Ledger, Record, RecordId};
use dayfly_types::budget::Budget;
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;
use serde_json::Value;
use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

use crate::capacity::queued_while_held;
use crate::caps::{asked_by, capped};
use crate::lifecycle::fail_by_messenger;
use crate::stage::{Call, POLICY, RUN, Stage};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// With only one subscriber, `tracing` caches its interest from whichever thread reaches a line first,
/// which may be another test's without a subscriber. A second one prevents that.
static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));

/// Returns everything logged meanwhile, as the functions log it.
pub fn logged(happens: impl FnOnce()) -> Vec<Value> {
    LazyLock::force(&ANOTHER);
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = dayfly_runtime::telemetry::writing_to("gpu", move || writer.clone());
    tracing::subscriber::with_default(subscriber, happens);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The published values of each metric, with the value of its dimension.
#[derive(Debug, Default, PartialEq)]
struct Published(BTreeMap<String, Vec<f64>>);

impl Published {
    fn during(happens: impl FnOnce()) -> Self {
        let mut published = Self::default();
        for line in logged(happens) {
            for directive in line["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten() {
                let dimension = directive["Dimensions"][0][1]
                    .as_str()
                    .map(|name| line[name].as_str().unwrap());
                let name = directive["Metrics"][0]["Name"].as_str().unwrap();
                let key = dimension.map_or(name.to_owned(), |value| format!("{name} {value}"));
                published.0.entry(key).or_default().push(line[name].as_f64().unwrap());
                if name == "QueueTime" {
                    assert!(line["Record"].as_str().unwrap().contains("11"), "{line}");
                }
            }
        }
        published
    }

    fn of(&self, metric: &str) -> &[f64] {
        self.0.get(metric).map_or(&[], Vec::as_slice)
    }

    fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

/// A job from its webhook to the end of its instance.
fn job(stage: &Stage) {
    stage.queue(11);
    let instance = stage.instance();
    stage.wait(Duration::from_secs(50));
    let runner = stage.boot(&instance);
    stage.wait(Duration::from_secs(10));
    stage.heartbeat(&instance, "listening");
    stage.start(runner, 11);
    stage.wait(Duration::from_secs(30));
    stage.heartbeat(&instance, "running");
    stage.wait(Duration::from_secs(30));
    stage.complete(11, Conclusion::Success);
    stage.minutes(10);
    assert_eq!(stage.left(), [""; 0]);
}

#[test]
fn a_job_publishes_its_stages_and_end_and_nothing_else() {
    let published = Published::during(|| job(&Stage::new()));
    let expected = [
        ("Jobs succeeded", vec![1.0]),
        ("Launches spot", vec![1.0]),
        ("QueueTime boot", vec![50_000.0]),
        ("QueueTime claim", vec![0.0]),
        ("QueueTime launch", vec![0.0]),
        ("QueueTime start", vec![10_000.0]),
        ("QueueTime whole", vec![60_000.0]),
        // The minutes after it found none, and reported that once.
        ("Runners launching", vec![0.0]),
        ("Runners live", vec![0.0]),
        // At the pool's price, against on-demand. EC2 did not say when the instance ended: the longest
        // possible time is counted.
        ("Saved", vec![0.024_547]),
        ("Spend", vec![0.011_643]),
    ];
    let expected = expected.map(|(name, values)| (name.to_owned(), values));
    assert_eq!(published.0, BTreeMap::from(expected));
    // Each of them is billed in the hour in which it is published.
    assert_eq!(crate::usage::written("job")["metrics"], published.0.len());
}

#[test]
fn runner_counts_are_published_each_minute_and_once_as_zero() {
    let stage = Stage::new();
    let each = Published::during(|| {
        stage.queue(11);
        stage.minute();
        let instance = stage.instance();
        let runner = stage.boot(&instance);
        stage.start(runner, 11);
        stage.minutes(2);
        stage.complete(11, Conclusion::Success);
        stage.minutes(20);
    });
    assert_eq!(stage.left(), [""; 0]);
    let (launching, live) = (each.of("Runners launching"), each.of("Runners live"));
    assert_eq!(
        (&launching[..3], &live[..3]),
        (&[1.0, 0.0, 0.0][..], &[0.0, 1.0, 1.0][..])
    );
    assert_eq!((launching.last(), live.last()), (Some(&0.0), Some(&0.0)));
    let none = launching.iter().zip(live).filter(|both| *both == (&0.0, &0.0)).count();
    assert_eq!(none, 1, "{each:?}");
}

#[test]
fn an_instance_that_never_boots_counts_as_launching() {
    let stage = Stage::new();
    let published = Published::during(|| {
        stage.queue(11);
        stage.minutes(8);
    });
    assert_eq!(published.of("Runners launching"), [1.0; 8]);
    assert_eq!(published.of("QueueTime boot"), [0.0; 0]);
}

#[test]
fn a_patrol_that_finds_nothing_left_publishes_zero_runners() {
    let stage = Stage::new();
    job(&stage);
    stage.queue(12);
    let instance = stage.instance();
    let runner = stage.boot(&instance);
    stage.start(runner, 12);
    stage.complete(12, Conclusion::Success);
    // Everything due is done, while the schedule stays on.
    for _ in 0..10 {
        stage.wait(Duration::from_mins(1));
        stage.make(Call::Sweep);
        stage.deliver();
        if stage.world.table().live().next().is_none() {
            break;
        }
    }
    assert!(stage.world.schedule_is_on());
    stage.wait(Duration::from_mins(3));
    stage.make(Call::Sweep);
    stage.wait(Duration::from_mins(1));
    let published = Published::during(|| {
        stage.make(Call::Patrol);
    });
    assert_eq!(
        (published.of("Runners launching"), published.of("Runners live")),
        (&[0.0][..], &[0.0][..])
    );
    assert!(!stage.world.schedule_is_on());
}

#[test]
fn nothing_is_published_at_rest() {
    let stage = Stage::new();
    job(&stage);
    let published = Published::during(|| {
        for _ in 0..4 {
            stage.wait(Duration::from_mins(15));
            stage.make(Call::Patrol);
            stage.minute();
        }
    });
    assert!(!stage.world.schedule_is_on());
    assert_eq!(published, Published::default());
}

#[test]
fn duplicate_events_are_counted_once() {
    let stage = Stage::new();
    let published = Published::during(|| {
        stage.queue(11);
        stage.make(Call::Launch(Event::JobQueued(stage.job(11))));
        let instance = stage.instance();
        let runner = stage.boot(&instance);
        stage.start(runner, 11);
        stage.make(Call::JobEvents(Event::JobInProgress(stage.job(11))));
        let over = stage.completed(11, Conclusion::Failure);
        for _ in 0..3 {
            stage.make(Call::JobEvents(over.clone()));
            stage.deliver();
        }
    });
    for metric in [
        "Jobs failed",
        "Launches spot",
        "QueueTime whole",
        "QueueTime boot",
        "QueueTime start",
    ] {
        assert_eq!(published.of(metric).len(), 1, "{metric}: {published:?}");
    }
}

#[test]
fn a_failed_write_publishes_nothing() {
    let stage = Stage::new();
    stage.queue(11);
    let runner = stage.boot(&stage.instance());
    stage.start(runner, 11);
    let over = stage.completed(11, Conclusion::Success);
    stage.world.break_down("commit");
    let published = Published::during(|| {
        stage.make_fallible(Call::JobEvents(over.clone()));
    });
    assert_eq!(published, Published::default());
    stage.world.restore();
    let published = Published::during(|| {
        stage.make(Call::JobEvents(over));
    });
    assert_eq!(published.of("Jobs succeeded"), [1.0]);
}

#[test]
fn an_interrupted_job_and_its_rerun_are_counted() {
    let stage = Stage::new();
    let published = Published::during(|| {
        stage.queue(11);
        let instance = stage.instance();
        let runner = stage.boot(&instance);
        stage.start(runner, 11);
        stage.make(Call::Ec2(instance.clone(), Ec2Signal::Warning));
        stage.make(Call::Ec2(instance.clone(), Ec2Signal::Warning));
        stage.complete(11, Conclusion::Failure);
        stage.world.cloud().end(&instance);
        stage.make(Call::Ec2(instance, Ec2Signal::Ended));
        stage.make(Call::JobEvents(stage.run_completed()));
        stage.make(Call::JobEvents(stage.run_completed()));
        stage.minutes(10);
    });
    for metric in ["Interruptions", "Jobs interrupted", "Reruns"] {
        assert_eq!(published.of(metric), [1.0], "{metric}: {published:?}");
    }
    assert_eq!(published.of("Jobs failed"), [0.0; 0]);
}

#[test]
fn launch_errors_are_counted_by_class_and_lifecycle() {
    let stage = Stage::new();
    stage.world.hub().config = Some(
        "runners:\n  - {name: gpu, labels: [dayfly-gpu], instance_type: g5.xlarge, machine_image: ami-01234567, \
         fallback: on-demand}\n"
            .to_owned(),
    );
    stage
        .world
        .cloud()
        .empty("g5.xlarge", "eu-west-1a", InstanceLifecycle::Spot);
    let published = Published::during(|| stage.queue(11));
    assert_eq!(published.of("LaunchErrors capacity"), [1.0], "{published:?}");
    assert_eq!(published.of("PoolFailures spot"), [1.0], "{published:?}");
    assert_eq!(published.of("PoolFailures on-demand"), [0.0; 0]);
    assert_eq!(published.of("Launches on-demand"), [1.0]);
}

#[test]
fn a_given_up_job_is_counted_once_despite_its_messenger() {
    let stage = Stage::new();
    stage
        .world
        .cloud()
        .refuse([(FleetErrorKind::BadRequest, "InvalidParameterValue")]);
    let published = Published::during(|| {
        stage.queue(11);
        fail_by_messenger(&stage, 11);
    });
    assert_eq!(published.of("LaunchErrors bad-request"), [1.0], "{published:?}");
    let jobs: Vec<_> = published
        .names()
        .into_iter()
        .filter(|name| name.starts_with("Jobs"))
        .collect();
    assert_eq!(jobs, ["Jobs given-up"], "{published:?}");
    assert_eq!(published.of("Jobs given-up"), [1.0]);
    assert_eq!(published.of("Launches messenger"), [1.0], "{published:?}");
    assert_eq!(published.of("QueueTime whole"), [0.0; 0], "{published:?}");
}

#[test]
fn a_refused_job_is_counted() {
    let stage = Stage::new();
    stage.world.hub().config = Some("runners: [{name: gpu, labels: [dayfly-gpu], instance_type: nonsense}]".to_owned());
    let published = Published::during(|| stage.queue(11));
    assert_eq!(published.of("Jobs refused"), [1.0], "{published:?}");
}

#[test]
fn a_refusal_is_counted_once_however_often_its_batch_is_delayed() {
    let stage = capped(1);
    let policy = "version: 1\nforks: always\ncaps: {actor: $0.60}\n";
    stage.world.set_parameter(POLICY, policy);
    // Of two concurrent jobs, one belongs to another requester, who has spent nothing; and EC2 is
    // throttled for some seconds.
    let asked_for = |actor| stage.world.hub().origins.insert(RUN, asked_by(actor, 12));
    asked_for("alice");
    let jobs = [(11, "bob"), (12, "alice")].into_iter();
    let due = queued_while_held(
        &stage,
        jobs.inspect(|(_, actor)| drop(asked_for(actor))).map(|(job, _)| job),
    );
    let bucket = RecordId::Bucket(BucketId::CreateFleet);
    let known = stage.world.run(stage.world.load(&bucket)).unwrap();
    let empty = Bucket::full(BucketId::CreateFleet, stage.now().after(Duration::from_secs(5)));
    let change = Change {
        expected: known.map(|stored| stored.version),
        ..Change::create(empty)
    };
    stage.world.run(stage.world.commit(vec![change])).unwrap();
    let published = Published::during(|| {
        stage.make(Call::Launch(Event::QueueDue(due)));
        stage.deliver();
    });
    assert!(
        stage.world.cloud().time() > stage.now().after(Duration::from_secs(1)),
        "it was put off"
    );
    assert_eq!(stage.instances().len(), 2);
    assert_eq!(published.of("CapsRefused"), [1.0]);
}

/// Returns the used part of the stack's cap in a month, in percent to two digits.
#[expect(clippy::cast_precision_loss, reason = "an amount of a test")]
fn cap_used(stage: &Stage, month: Month) -> f64 {
    let of_stack = |record: &Record| match record {
        Record::Ledger(ledger) if ledger.budget == Budget::Stack && ledger.month == month => Some(ledger.clone()),
        _ => None,
    };
    let found: Option<Ledger> = stage.world.table().records().find_map(of_stack);
    let ledger = found.expect("something is written of the month");
    let cap = ledger.cap.map_or(u64::MAX, |cap| cap.0);
    (ledger.committed().0 * 10_000 / cap) as f64 / 100.0
}

#[test]
fn cap_use_is_published_for_the_current_month_only() {
    let stage = Stage::new();
    let cap = MicroDollars(40_000_000);
    stage
        .world
        .set_parameter(POLICY, &format!("version: 1\ncaps: {{stack: {cap}}}\n"));
    let (before, turn) = (Month::of(stage.now()), Month::of(stage.now()).ends());
    stage.wait(turn.since(stage.now()).saturating_sub(Duration::from_mins(20)));
    let published = Published::during(|| stage.queue(11));
    assert_eq!(
        published.of("CapUsed"),
        [cap_used(&stage, before)],
        "it may run into the next"
    );

    let instance = stage.instance();
    let runner = stage.boot(&instance);
    stage.start(runner, 11);
    for _ in 0..30 {
        stage.minute();
        stage.heartbeat(&instance, "running");
    }
    let published = Published::during(|| {
        stage.complete(11, Conclusion::Success);
        stage.minutes(10);
    });
    assert_eq!(stage.left(), [""; 0]);
    let (old, new) = (cap_used(&stage, before), cap_used(&stage, Month::of(stage.now())));
    assert!(
        old > 0.0 && new > 0.0 && (old - new).abs() > 0.01,
        "both months have paid: {old} and {new}"
    );
    assert_eq!(published.of("CapUsed"), [new]);
}
