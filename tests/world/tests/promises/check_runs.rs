//! A job's report appears on its commit once, even if the reporter dies, is true in the end, and delays
//! nothing else.

use std::time::Duration;

use dayfly_engine::launch::claim;
use dayfly_flows::{ensure_schedule_on, publish_check_run_due};
use dayfly_ports::{ApiErrorKind, Store};
use dayfly_records::CheckConclusion;
use dayfly_records::CheckRunBody;
use dayfly_records::event::{CheckRunDue, Event};
use dayfly_records::{Change, CheckContent, CheckRun, MessengerReport};
use dayfly_types::capacity::{FleetError, FleetErrorKind, InstanceLifecycle, record_failure};

use crate::stage::{Call, RUN, Stage};

const NEUTRAL: Option<CheckConclusion> = Some(CheckConclusion::Neutral);
const FAILURE: Option<CheckConclusion> = Some(CheckConclusion::Failure);

impl Stage {
    /// Writes a check run of job 11 based on what is known of it.
    fn write(&self, content: CheckContent) -> CheckRun {
        let job = claim::new_job(&self.job(11));
        self.world.run(async {
            ensure_schedule_on(
                &self.world,
                &self.world,
                self.now(),
                &dayfly_types::deadlines::Deadlines::default(),
            )
            .await
            .unwrap();
            let known = self.world.check_run(RUN, job.key).await.unwrap();
            let check_run = CheckRun::of(
                known.as_ref().map(|stored| stored.record.clone()),
                &job,
                content,
                self.now(),
            );
            self.world
                .commit(vec![Change::put(known.as_ref(), check_run.clone())])
                .await
                .unwrap();
            check_run
        })
    }

    /// The same, and publishes it.
    fn content(&self, content: CheckContent) {
        let check_run = self.write(content);
        self.world.run(publish_check_run_due(&self.world, &check_run));
        self.deliver();
    }

    fn due(&self) -> Call {
        Call::Report(Event::CheckRunDue(CheckRunDue {
            run: RUN,
            key: self.job(11).key().into(),
        }))
    }

    /// Returns what GitHub shows: the latest of each name.
    fn shown(&self) -> CheckRunBody {
        self.world.hub().checks.values().last().cloned().unwrap()
    }

    fn checks(&self) -> usize {
        self.world.hub().checks.len()
    }
}

fn waiting(stage: &Stage) -> CheckContent {
    let error = FleetError {
        kind: FleetErrorKind::Capacity,
        code: "InsufficientInstanceCapacity".to_owned(),
        message: "none left".to_owned(),
        pool: None,
    };
    let mut tried = Vec::new();
    record_failure(&mut tried, InstanceLifecycle::Spot, &error, stage.now());
    CheckContent::Waiting {
        next_at: stage.now().after(Duration::from_mins(1)),
        tried,
    }
}

fn given_up() -> CheckContent {
    CheckContent::GivenUp {
        reason: "no capacity for 15 minutes".to_owned(),
        tried: Vec::new(),
        messenger: MessengerReport::OnItsWay,
    }
}

#[test]
fn a_check_run_is_published_at_once_and_nothing_is_left() {
    let stage = Stage::new();
    stage.content(waiting(&stage));
    let shown = stage.shown();
    assert_eq!((shown.conclusion, shown.external_id.as_str()), (None, "11/1"));
    assert!(shown.text.unwrap().contains("InsufficientInstanceCapacity: none left"));
    // A repetition does nothing.
    stage.make(stage.due());
    assert_eq!(stage.world.calls("create_check") + stage.world.calls("update_check"), 1);
    stage.minutes(5);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn an_unannounced_check_run_is_published_by_the_next_sweep() {
    let stage = Stage::new();
    stage.world.break_down("publish");
    stage.content(given_up());
    assert_eq!(stage.checks(), 0);
    stage.world.restore();
    stage.minute();
    assert_eq!((stage.checks(), stage.shown().conclusion), (1, FAILURE));
}

#[test]
fn a_changed_check_run_is_updated_in_place() {
    let stage = Stage::new();
    stage.content(waiting(&stage));
    stage.content(waiting(&stage));
    stage.content(given_up());
    assert_eq!((stage.checks(), stage.shown().conclusion), (1, FAILURE));
    assert_eq!(stage.world.calls("find_check"), 0);
}

#[test]
fn a_concluded_check_run_is_replaced_by_another_of_its_name() {
    let stage = Stage::new();
    stage.content(given_up());
    let first = stage.shown();
    stage.content(waiting(&stage));
    let second = stage.shown();
    assert_eq!((stage.checks(), second.conclusion), (2, None));
    assert_eq!((&first.name, "11/1/2"), (&second.name, second.external_id.as_str()));
    stage.content(CheckContent::Ended { tried: Vec::new() });
    assert_eq!((stage.checks(), stage.shown().conclusion), (2, NEUTRAL));
}

/// Prepares the stage, lets the reporter die before each of its calls in turn, and checks the stage
/// some minutes later.
fn dies_anywhere(set: impl Fn(&Stage), and_then: impl Fn(&Stage), look: impl Fn(&Stage)) {
    for fatal in 0..20 {
        let stage = Stage::new();
        set(&stage);
        if !stage.make_and_die(stage.due(), fatal) {
            assert!(fatal > 2, "the reporter made no call of its own");
            return;
        }
        and_then(&stage);
        // Its event is redelivered, and the sweeper finds what is due.
        stage.make(stage.due());
        stage.deliver();
        stage.minutes(2);
        look(&stage);
        stage.minutes(5);
        assert_eq!(stage.left(), Vec::<String>::new(), "after a death before call {fatal}");
    }
    panic!("the reporter never came to its end");
}

#[test]
fn a_check_run_is_created_once_though_the_reporter_dies() {
    dies_anywhere(
        |stage| drop(stage.write(given_up())),
        |_| {},
        |stage| assert_eq!((stage.checks(), stage.shown().conclusion), (1, FAILURE)),
    );
}

#[test]
fn the_final_content_is_true_though_the_reporter_dies() {
    dies_anywhere(
        |stage| drop(stage.write(waiting(stage))),
        |stage| stage.content(given_up()),
        |stage| assert_eq!((stage.checks(), stage.shown().conclusion), (1, FAILURE)),
    );
}

#[test]
fn a_check_run_is_replaced_once_though_the_reporter_dies() {
    dies_anywhere(
        |stage| {
            stage.content(given_up());
            drop(stage.write(waiting(stage)));
        },
        |_| {},
        |stage| assert_eq!((stage.checks(), stage.shown().conclusion), (2, None)),
    );
}

#[test]
fn a_check_run_created_by_a_failed_call_is_not_created_again() {
    let stage = Stage::new();
    stage.world.break_down("create_check");
    stage.content(waiting(&stage));
    stage.world.restore();
    assert_eq!(stage.checks(), 1);
    stage.minutes(3);
    assert_eq!((stage.checks(), stage.world.calls("create_check")), (1, 1));
    assert_eq!(
        (stage.world.calls("find_check"), stage.world.calls("update_check")),
        (1, 1)
    );
    stage.minutes(5);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn check_runs_wait_for_githubs_rate_limit() {
    for kind in [
        ApiErrorKind::Unavailable,
        ApiErrorKind::RateLimited(Some(Duration::from_mins(10))),
        ApiErrorKind::RateLimited(None),
    ] {
        let stage = Stage::new();
        stage.world.hub().check_error = Some(kind);
        stage.content(given_up());
        stage.minutes(8);
        assert_eq!(stage.checks(), 0);
        if let ApiErrorKind::RateLimited(Some(_)) = kind {
            assert_eq!(stage.world.calls("create_check"), 1, "it must wait");
        }
        stage.world.hub().check_error = None;
        stage.minutes(15);
        assert_eq!((stage.checks(), stage.shown().conclusion), (1, FAILURE), "{kind:?}");
        stage.minutes(5);
        assert_eq!(stage.left(), Vec::<String>::new());
    }
}

#[test]
fn without_permission_no_check_run_keeps_the_stack_awake() {
    for kind in [
        ApiErrorKind::Forbidden,
        ApiErrorKind::NotFound,
        ApiErrorKind::BadRequest,
    ] {
        let stage = Stage::new();
        stage.world.hub().check_error = Some(kind);
        stage.content(waiting(&stage));
        stage.minutes(10);
        assert_eq!(stage.world.calls("create_check"), 1, "{kind:?}");
        assert_eq!(stage.left(), Vec::<String>::new());
        // The permission is granted by the time of the next content.
        stage.world.hub().check_error = None;
        stage.content(given_up());
        assert_eq!((stage.checks(), stage.shown().conclusion), (1, FAILURE));
    }
}

#[test]
fn content_written_during_a_report_is_published_afterwards() {
    let stage = Stage::new();
    stage.write(waiting(&stage));
    // It dies just before it would record the publication: GitHub has it.
    assert!(stage.make_and_die(stage.due(), 5));
    assert_eq!(stage.checks(), 1);
    stage.content(given_up());
    assert_eq!(stage.shown().conclusion, None, "no other report comes in between");
    stage.minute();
    assert_eq!((stage.checks(), stage.shown().conclusion), (1, FAILURE));
}

#[test]
fn unpublished_check_runs_do_not_keep_lost_runners() {
    let stage = Stage::new();
    stage.queue(11);
    let instance = stage.instance();
    let runner = stage.boot(&instance);
    stage.start(runner, 11);
    let check_runs = (1000..1400).map(|job| {
        let job = claim::new_job(&stage.job(job));
        Change::create(CheckRun::of(None, &job, given_up(), stage.now()))
    });
    let check_runs: Vec<Change> = check_runs.collect();
    for some in check_runs.chunks(100) {
        stage.world.run(stage.world.commit(some.to_vec())).unwrap();
    }
    stage.world.break_down("publish");
    stage.minutes(9);
    assert_eq!(stage.instances(), []);
}
