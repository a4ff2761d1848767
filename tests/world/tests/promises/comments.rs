//! A pull request has at most one comment of ours, which is true in the end whichever function dies,
//! and none where it is not wanted.

use std::time::Duration;

use dayfly_flows::{acquire, ensure_schedule_on};
use dayfly_ports::{ApiErrorKind, Store};
use dayfly_records::event::{CommentDue, Event};
use dayfly_records::origin::{Head, Origin, PullHead};
use dayfly_records::{BucketId, Change, CommentSettings, Job, Ledger, LedgerId, RunSum, TokenRequest};
use dayfly_report::pull_comment::MARKER;
use dayfly_types::budget::Budget;
use dayfly_types::ids::{InstallationId, JobId, RunAttempt, RunId};
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;

use crate::stage::{Call, RUN, Stage};

const PULL: u64 = 12;

/// A run's cost in cents.
fn sum(run: u64, cents: u64, is_final: bool) -> RunSum {
    RunSum {
        run: RunId(run),
        attempt: RunAttempt(1),
        workflow: Some("ci".to_owned()),
        jobs: 1,
        minutes: 9,
        cost: MicroDollars(cents * 10_000),
        saved: None,
        wasted: MicroDollars::default(),
        on_github: None,
        github_charge: None,
        is_final,
    }
}

fn comment_due() -> Call {
    Call::Report(Event::CommentDue(CommentDue {
        repository: "octo/gpu".parse().unwrap(),
        pull: PULL,
    }))
}

impl Stage {
    /// Adds a run's cost to the comment.
    fn cost(&self, sum: RunSum) {
        self.make(self.costs(sum, 0));
    }

    /// The same, for a run with live records, as every run that publishes costs has.
    fn costs(&self, sum: RunSum, above: u64) -> Call {
        let deadlines = dayfly_types::deadlines::Deadlines::default();
        let awake = ensure_schedule_on(&self.world, &self.world, self.now(), &deadlines);
        self.world.run(awake).unwrap();
        let settings = CommentSettings::new(InstallationId(7), MicroDollars(above));
        Call::CountForPull(PULL, Box::new(sum), settings)
    }

    /// Returns the texts of all comments.
    pub fn comments(&self) -> Vec<String> {
        let hub = self.world.hub();
        hub.comments.values().map(|(_, text)| text.clone()).collect()
    }

    /// Returns the text of the only comment.
    pub fn comment(&self) -> String {
        let [comment] = self.comments().try_into().expect("there is one comment");
        comment
    }

    fn comment_says(&self, cost: &str) -> bool {
        self.comment().contains(&format!("cost {cost}\n"))
    }
}

#[test]
fn a_pull_request_has_one_comment_that_is_kept_up_to_date() {
    let stage = Stage::new();
    stage.cost(sum(1, 5, true));
    let comment = stage.comment();
    assert!(comment.starts_with(MARKER) && stage.comment_says("$0.05"), "{comment}");
    stage.cost(sum(2, 7, true));
    stage.cost(sum(2, 7, true));
    stage.make(comment_due());
    assert!(stage.comment_says("$0.12"), "{}", stage.comment());
    assert_eq!(stage.world.hub().comments_written, 2, "what is said is not said again");
    stage.minutes(5);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_comment_is_updated_seldom_and_ends_final() {
    let stage = Stage::new();
    for cents in 1..=12 {
        stage.cost(sum(1, cents, false));
        stage.minute();
    }
    assert!(stage.comment_says("$0.10 so far"), "{}", stage.comment());
    assert_eq!(stage.world.hub().comments_written, 3, "now, and every five minutes");
    stage.cost(sum(1, 13, true));
    assert!(stage.comment_says("$0.13"), "{}", stage.comment());
    stage.minutes(9);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn there_is_no_comment_below_the_repositorys_threshold() {
    let stage = Stage::new();
    let above = 100_000;
    stage.make(stage.costs(sum(1, 6, true), above));
    stage.make(stage.costs(sum(2, 4, true), above));
    stage.minutes(3);
    assert_eq!(stage.comments(), Vec::<String>::new());
    assert_eq!(stage.left(), Vec::<String>::new());
    stage.make(stage.costs(sum(3, 1, true), above));
    assert!(stage.comment_says("$0.11"), "{}", stage.comment());
}

#[test]
fn remaining_caps_are_shown_as_the_stack_wants() {
    for all_caps in [false, true] {
        let stage = Stage::new();
        let month = Month::of(stage.now());
        let ledger = |budget, cap: Option<u64>| Ledger {
            cap: cap.map(MicroDollars),
            spent: MicroDollars(1_000_000),
            ..Ledger::new(LedgerId { budget, month })
        };
        let organization = |name: &str| Budget::Organization { name: name.to_owned() };
        let login = "alice".to_owned();
        let repository = "octo/gpu".parse().unwrap();
        let ledgers = [
            ledger(Budget::Stack, Some(50_000_000)),
            ledger(organization("octo"), None),
            ledger(organization("hexo"), Some(7_000_000)),
            ledger(Budget::Repository { repository }, Some(20_000_000)),
            ledger(Budget::Actor { login }, Some(5_000_000)),
        ];
        let changes = ledgers.into_iter().map(Change::create).collect();
        stage.world.run(stage.world.commit(changes)).unwrap();
        let Call::CountForPull(pull, sum, settings) = stage.costs(sum(1, 5, true), 0) else {
            unreachable!()
        };
        let actor = Some("Alice".to_owned());
        stage.make(Call::CountForPull(
            pull,
            sum,
            CommentSettings {
                all_caps,
                actor,
                ..settings
            },
        ));
        let comment = stage.comment();
        assert!(comment.contains("- octo/gpu: **$19.00** of $20.00"), "{comment}");
        assert!(comment.contains("- &#64;alice: **$4.00** of $5.00"), "{comment}");
        assert!(!comment.contains("hexo") && !comment.contains("- octo:"), "{comment}");
        let told = comment.contains("- the stack: **$49.00** of $50.00");
        assert_eq!(told, all_caps, "{comment}");
    }
}

#[test]
fn a_deleted_comment_is_not_created_again() {
    let stage = Stage::new();
    stage.cost(sum(1, 5, true));
    stage.world.hub().comments.clear();
    stage.cost(sum(2, 7, true));
    stage.cost(sum(3, 9, true));
    stage.minutes(9);
    assert_eq!(stage.comments(), Vec::<String>::new());
    assert_eq!(stage.world.calls("create_comment"), 1);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_temporarily_invisible_comment_does_not_count_as_deleted() {
    let stage = Stage::new();
    stage.cost(sum(1, 5, true));
    stage.world.hub().comment_error = Some(ApiErrorKind::NotFound);
    stage.cost(sum(2, 7, true));
    stage.minutes(3);
    assert_eq!(stage.left(), Vec::<String>::new());
    stage.world.hub().comment_error = None;
    stage.cost(sum(3, 9, true));
    assert!(stage.comment_says("$0.21"), "{}", stage.comment());
    assert_eq!(stage.world.calls("create_comment"), 1);
    stage.minutes(3);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_function_that_dies_anywhere_leaves_one_true_comment() {
    for (first, total) in [(None, "$0.07"), (Some(sum(1, 5, true)), "$0.12")] {
        for fatal in 0..40 {
            let stage = Stage::new();
            if let Some(first) = &first {
                stage.cost(first.clone());
            }
            let call = stage.costs(sum(2, 7, true), 0);
            let died = stage.make_and_die(call.clone(), fatal);
            assert!(stage.comments().len() <= 1, "after a death before call {fatal}");
            // Its event is delivered again.
            stage.make(call);
            stage.minutes(3);
            assert!(
                stage.comment_says(total),
                "after a death before call {fatal}: {}",
                stage.comment()
            );
            assert_eq!(stage.left(), Vec::<String>::new(), "after a death before call {fatal}");
            if !died {
                break;
            }
            assert!(fatal < 39, "the call never came to its end");
        }
    }
}

#[test]
fn a_comment_created_without_an_answer_is_found_again() {
    let stage = Stage::new();
    stage.world.break_down("create_comment");
    stage.cost(sum(1, 5, true));
    assert_eq!(stage.comments().len(), 1, "it was made");
    stage.world.restore();
    stage.cost(sum(2, 7, true));
    stage.minutes(4);
    assert!(stage.comment_says("$0.12"), "{}", stage.comment());
    assert_eq!(stage.world.calls("create_comment"), 1);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_comment_without_a_record_is_found_again() {
    let stage = Stage::new();
    stage.cost(sum(1, 5, true));
    let known = stage.world.run(stage.world.pull(&"octo/gpu".parse().unwrap(), PULL));
    let known = known.unwrap().unwrap();
    let forget = vec![Change::delete(known.version, known.record)];
    stage.world.run(stage.world.commit(forget)).unwrap();
    stage.cost(sum(2, 7, true));
    assert!(stage.comment_says("$0.07"), "{}", stage.comment());
}

#[test]
fn an_app_without_the_permission_comments_once_it_is_granted() {
    let stage = Stage::new();
    stage.world.hub().comment_error = Some(ApiErrorKind::Forbidden);
    stage.cost(sum(1, 5, true));
    stage.minutes(3);
    assert_eq!(stage.left(), Vec::<String>::new());
    stage.world.hub().comment_error = None;
    stage.cost(sum(2, 7, true));
    assert!(stage.comment_says("$0.12"), "{}", stage.comment());
}

#[test]
fn comments_leave_githubs_writes_to_check_runs() {
    let stage = Stage::new();
    let bucket = BucketId::ContentWrites(InstallationId(7));
    for _ in 0..30 {
        let taken = acquire(&stage.world, bucket, TokenRequest::Now { leaving: 0 }, stage.now());
        stage.world.run(taken).unwrap().unwrap();
    }
    stage.cost(sum(1, 5, true));
    assert_eq!(stage.comments(), Vec::<String>::new());
    stage.minutes(9);
    assert!(stage.comment_says("$0.05"), "{}", stage.comment());
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_late_rerun_is_added_to_the_comment() {
    let stage = Stage::new();
    for run in 1..=25 {
        stage.cost(sum(run, 1, true));
    }
    stage.cost(RunSum {
        attempt: RunAttempt(2),
        ..sum(2, 10, true)
    });
    stage.minutes(20);
    assert!(stage.comment_says("$0.35"), "{}", stage.comment());
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn concurrent_reports_of_several_runs_make_one_comment() {
    for seed in 0..40 {
        let stage = Stage::new();
        let calls = (1..=4).map(|run| stage.costs(sum(run, run, true), 0)).collect();
        stage.make_interleaved(calls, crate::stage::dice(seed), || {});
        stage.wait(Duration::from_secs(50));
        stage.minutes(3);
        assert!(stage.comment_says("$0.10"), "seed {seed}: {}", stage.comment());
        assert_eq!(stage.left(), Vec::<String>::new(), "seed {seed}");
    }
}

/// A run of a pull request from a branch of the repository itself.
pub fn for_pull() -> Origin {
    Origin {
        event: "pull_request".to_owned(),
        repository: 1,
        head: Some(Head {
            id: 1,
            owner: "octo".to_owned(),
            name: "octo/gpu".to_owned(),
        }),
        head_sha: "abc".to_owned(),
        head_branch: Some("feature".to_owned()),
        actor: Some("alice".to_owned()),
        triggering_actor: Some("alice".to_owned()),
        pulls: vec![PullHead {
            number: PULL,
            repository: 1,
            sha: "abc".to_owned(),
        }],
    }
}

#[test]
fn a_job_knows_its_pull_request_where_comments_are_on() {
    let file =
        "runners:\n  - {name: gpu, labels: [dayfly-gpu], instance_type: g5.xlarge, machine_image: ami-01234567}\n";
    for (said, pull, comment) in [
        ("", Some(PULL), Some(0)),
        ("comment_above: $0.50\n", Some(PULL), Some(500_000)),
        ("comment: false\n", None, None),
    ] {
        let stage = Stage::new();
        stage.world.hub().config = Some(format!("{said}{file}"));
        stage.world.hub().origins.insert(RUN, for_pull());
        stage.queue(11);
        let table = stage.world.table();
        let jobs = table.records().filter_map(|record| Job::try_from(record.clone()).ok());
        let job = jobs.into_iter().find(|job| job.key.job == JobId(11)).unwrap();
        assert_eq!(job.attribution.pull, pull, "{said}");
        assert_eq!(job.reporting.comment, comment.map(MicroDollars), "{said}");
        assert!(!job.reporting.all_caps, "{said}");
        assert!(job.runner.is_some(), "{said}");
    }
}
