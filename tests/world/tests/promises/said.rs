//! What is to be said of a job is said on its commit: once, though the reporter dies, at last what
//! is true, and without holding anything else up.

use std::time::Duration;

use dayfly_engine::launch;
use dayfly_flows::{announce, wake_up};
use dayfly_ports::{ApiErrorKind, Store};
use dayfly_records::CheckConclusion;
use dayfly_records::event::{Event, NoticeDue};
use dayfly_records::{Change, MessengerNews, Notice, Say};
use dayfly_report::notice::CheckRun;
use dayfly_types::capacity::{FleetError, FleetErrorKind, InstanceLifecycle, note};

use crate::stage::{Call, RUN, Stage};

const NEUTRAL: Option<CheckConclusion> = Some(CheckConclusion::Neutral);
const FAILURE: Option<CheckConclusion> = Some(CheckConclusion::Failure);

impl Stage {
    /// Whoever decides writes a notice of job 11, on what is known of it.
    fn write(&self, say: Say) -> Notice {
        let job = launch::new_job(&self.job(11));
        self.world.run(async {
            wake_up(
                &self.world,
                &self.world,
                self.now(),
                &dayfly_types::deadlines::Deadlines::default(),
            )
            .await
            .unwrap();
            let known = self.world.notice(RUN, job.key).await.unwrap();
            let notice = Notice::of(
                known.as_ref().map(|stored| stored.record.clone()),
                &job,
                say,
                self.now(),
            );
            self.world
                .commit(vec![Change::put(known.as_ref(), notice.clone())])
                .await
                .unwrap();
            notice
        })
    }

    /// The same, and tells of it.
    fn say(&self, say: Say) {
        let notice = self.write(say);
        self.world.run(announce(&self.world, &notice));
        self.deliver();
    }

    fn due(&self) -> Call {
        Call::Report(Event::NoticeDue(NoticeDue {
            run: RUN,
            key: self.job(11).key(),
        }))
    }

    /// What GitHub shows: of each name the latest.
    fn shown(&self) -> CheckRun {
        self.world.hub().checks.values().last().cloned().unwrap()
    }

    fn checks(&self) -> usize {
        self.world.hub().checks.len()
    }
}

fn waiting(stage: &Stage) -> Say {
    let error = FleetError {
        kind: FleetErrorKind::Capacity,
        code: "InsufficientInstanceCapacity".to_owned(),
        message: "none left".to_owned(),
        pool: None,
    };
    let mut tried = Vec::new();
    note(&mut tried, InstanceLifecycle::Spot, &error, stage.now());
    Say::Waiting {
        next_at: stage.now().after(Duration::from_mins(1)),
        tried,
    }
}

fn given_up() -> Say {
    Say::GivenUp {
        reason: "no capacity for 15 minutes".to_owned(),
        tried: Vec::new(),
        messenger: MessengerNews::OnItsWay,
    }
}

#[test]
fn what_is_written_is_said_at_once_and_then_nothing_is_left() {
    let stage = Stage::new();
    stage.say(waiting(&stage));
    let shown = stage.shown();
    assert_eq!((shown.conclusion, shown.external_id.as_str()), (None, "11/1"));
    assert!(shown.text.unwrap().contains("InsufficientInstanceCapacity: none left"));
    // Again does nothing.
    stage.make(stage.due());
    assert_eq!(stage.world.calls("create_check") + stage.world.calls("update_check"), 1);
    stage.minutes(5);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn what_nobody_told_the_reporter_of_is_said_by_the_next_sweep() {
    let stage = Stage::new();
    stage.world.break_down("publish");
    stage.say(given_up());
    assert_eq!(stage.checks(), 0);
    stage.world.mend();
    stage.minute();
    assert_eq!((stage.checks(), stage.shown().conclusion), (1, FAILURE));
}

#[test]
fn what_changes_is_corrected_in_its_place() {
    let stage = Stage::new();
    stage.say(waiting(&stage));
    stage.say(waiting(&stage));
    stage.say(given_up());
    assert_eq!((stage.checks(), stage.shown().conclusion), (1, FAILURE));
    assert_eq!(stage.world.calls("find_check"), 0);
}

#[test]
fn what_is_concluded_is_taken_over_by_another_check_run_of_the_same_name() {
    let stage = Stage::new();
    stage.say(given_up());
    let first = stage.shown();
    stage.say(waiting(&stage));
    let second = stage.shown();
    assert_eq!((stage.checks(), second.conclusion), (2, None));
    assert_eq!((&first.name, "11/1/2"), (&second.name, second.external_id.as_str()));
    stage.say(Say::Over { tried: Vec::new() });
    assert_eq!((stage.checks(), stage.shown().conclusion), (2, NEUTRAL));
}

/// Sets the stage, lets the reporter die before each of its calls in turn, and looks at the stage
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
        // Its event comes again, and the sweeper finds what is due.
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
fn a_notice_is_said_once_though_the_reporter_dies() {
    dies_anywhere(
        |stage| drop(stage.write(given_up())),
        |_| {},
        |stage| assert_eq!((stage.checks(), stage.shown().conclusion), (1, FAILURE)),
    );
}

#[test]
fn what_is_true_is_said_last_though_the_reporter_dies_and_the_notice_changes() {
    dies_anywhere(
        |stage| drop(stage.write(waiting(stage))),
        |stage| stage.say(given_up()),
        |stage| assert_eq!((stage.checks(), stage.shown().conclusion), (1, FAILURE)),
    );
}

#[test]
fn a_check_run_takes_the_place_of_another_once_though_the_reporter_dies() {
    dies_anywhere(
        |stage| {
            stage.say(given_up());
            drop(stage.write(waiting(stage)));
        },
        |_| {},
        |stage| assert_eq!((stage.checks(), stage.shown().conclusion), (2, None)),
    );
}

#[test]
fn a_check_run_that_was_made_although_the_call_failed_is_not_made_again() {
    let stage = Stage::new();
    stage.world.break_down("create_check");
    stage.say(waiting(&stage));
    stage.world.mend();
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
fn what_github_cannot_take_now_is_said_when_it_can() {
    for kind in [
        ApiErrorKind::Unavailable,
        ApiErrorKind::RateLimited(Some(Duration::from_mins(10))),
        ApiErrorKind::RateLimited(None),
    ] {
        let stage = Stage::new();
        stage.world.hub().checks_refused = Some(kind);
        stage.say(given_up());
        stage.minutes(8);
        assert_eq!(stage.checks(), 0);
        if let ApiErrorKind::RateLimited(Some(_)) = kind {
            assert_eq!(stage.world.calls("create_check"), 1, "it was told to wait");
        }
        stage.world.hub().checks_refused = None;
        stage.minutes(15);
        assert_eq!((stage.checks(), stage.shown().conclusion), (1, FAILURE), "{kind:?}");
        stage.minutes(5);
        assert_eq!(stage.left(), Vec::<String>::new());
    }
}

#[test]
fn an_app_that_may_not_make_check_runs_is_left_in_peace_and_nothing_stays_awake() {
    for kind in [
        ApiErrorKind::Forbidden,
        ApiErrorKind::NotFound,
        ApiErrorKind::BadRequest,
    ] {
        let stage = Stage::new();
        stage.world.hub().checks_refused = Some(kind);
        stage.say(waiting(&stage));
        stage.minutes(10);
        assert_eq!(stage.world.calls("create_check"), 1, "{kind:?}");
        assert_eq!(stage.left(), Vec::<String>::new());
        // The permission was given by the time there is something else to say.
        stage.world.hub().checks_refused = None;
        stage.say(given_up());
        assert_eq!((stage.checks(), stage.shown().conclusion), (1, FAILURE));
    }
}

#[test]
fn what_is_written_while_the_reporter_speaks_is_said_by_it_afterwards() {
    let stage = Stage::new();
    stage.write(waiting(&stage));
    // It dies just before it would record that it has said it: GitHub has heard.
    assert!(stage.make_and_die(stage.due(), 5));
    assert_eq!(stage.checks(), 1);
    stage.say(given_up());
    assert_eq!(stage.shown().conclusion, None, "nobody speaks in between");
    stage.minute();
    assert_eq!((stage.checks(), stage.shown().conclusion), (1, FAILURE));
}

#[test]
fn notices_that_nobody_says_keep_no_lost_runner_from_being_ended() {
    let stage = Stage::new();
    stage.queue(11);
    let instance = stage.instance();
    let runner = stage.boot(&instance);
    stage.start(runner, 11);
    let notices = (1000..1400).map(|job| {
        let job = launch::new_job(&stage.job(job));
        Change::create(Notice::of(None, &job, given_up(), stage.now()))
    });
    let notices: Vec<Change> = notices.collect();
    for some in notices.chunks(100) {
        stage.world.run(stage.world.commit(some.to_vec())).unwrap();
    }
    stage.world.break_down("publish");
    stage.minutes(9);
    assert_eq!(stage.instances(), []);
}
