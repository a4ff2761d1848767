//! A pull request has one comment of ours at most, which says at last what is true, whoever dies; and none
//! where nobody wants one.

use std::time::Duration;

use dayfly_engine::admission::{Head, Origin, PullHead};
use dayfly_flows::{acquire, wake_up};
use dayfly_ports::{ApiErrorKind, Store};
use dayfly_records::event::{CommentDue, Event};
use dayfly_records::{BucketId, Change, Job, Ledger, LedgerId, RunSum, TokenTerms, Wish};
use dayfly_report::check_run::COMMENT_MARKER;
use dayfly_types::budget::Budget;
use dayfly_types::ids::{InstallationId, JobId, RunAttempt, RunId};
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;

use crate::stage::{Call, RUN, Stage};

const PULL: u64 = 12;

/// What a run has cost, in cents.
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
    /// A run's jobs are told of.
    fn cost(&self, sum: RunSum) {
        self.make(self.costs(sum, 0));
    }

    /// The same, of which something lives still, as of each whose cost is told.
    fn costs(&self, sum: RunSum, above: u64) -> Call {
        let deadlines = dayfly_types::deadlines::Deadlines::default();
        let awake = wake_up(&self.world, &self.world, self.now(), &deadlines);
        self.world.run(awake).unwrap();
        let wish = Wish::new(InstallationId(7), MicroDollars(above));
        Call::CountForPull(PULL, Box::new(sum), wish)
    }

    /// What all comments say.
    pub fn comments(&self) -> Vec<String> {
        let hub = self.world.hub();
        hub.comments.values().map(|(_, text)| text.clone()).collect()
    }

    /// What the one comment says.
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
    assert!(
        comment.starts_with(COMMENT_MARKER) && stage.comment_says("$0.05"),
        "{comment}"
    );
    stage.cost(sum(2, 7, true));
    stage.cost(sum(2, 7, true));
    stage.make(comment_due());
    assert!(stage.comment_says("$0.12"), "{}", stage.comment());
    assert_eq!(stage.world.hub().comments_written, 2, "what is said is not said again");
    stage.minutes(5);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_comment_is_no_ticker_and_its_last_word_is_final() {
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
fn there_is_no_comment_until_the_runs_have_cost_more_than_the_repository_says() {
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
fn what_is_left_of_the_caps_is_told_of_those_that_hold_and_of_others_only_where_the_stack_wants_it() {
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
        let Call::CountForPull(pull, sum, wish) = stage.costs(sum(1, 5, true), 0) else {
            unreachable!()
        };
        let actor = Some("Alice".to_owned());
        stage.make(Call::CountForPull(
            pull,
            sum,
            Wish {
                all_caps,
                actor,
                ..wish
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
fn a_comment_that_a_person_deleted_is_not_made_again() {
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
fn a_comment_that_the_app_does_not_see_for_a_while_was_not_deleted() {
    let stage = Stage::new();
    stage.cost(sum(1, 5, true));
    stage.world.hub().comments_refused = Some(ApiErrorKind::NotFound);
    stage.cost(sum(2, 7, true));
    stage.minutes(3);
    assert_eq!(stage.left(), Vec::<String>::new());
    stage.world.hub().comments_refused = None;
    stage.cost(sum(3, 9, true));
    assert!(stage.comment_says("$0.21"), "{}", stage.comment());
    assert_eq!(stage.world.calls("create_comment"), 1);
    stage.minutes(3);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_function_that_dies_anywhere_leaves_one_comment_that_says_what_is_true() {
    for (first, total) in [(None, "$0.07"), (Some(sum(1, 5, true)), "$0.12")] {
        for fatal in 0..40 {
            let stage = Stage::new();
            if let Some(first) = &first {
                stage.cost(first.clone());
            }
            let call = stage.costs(sum(2, 7, true), 0);
            let died = stage.make_and_die(call.clone(), fatal);
            assert!(stage.comments().len() <= 1, "after a death before call {fatal}");
            // Its event comes again.
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
fn a_comment_that_was_made_though_github_did_not_answer_is_found_again() {
    let stage = Stage::new();
    stage.world.break_down("create_comment");
    stage.cost(sum(1, 5, true));
    assert_eq!(stage.comments().len(), 1, "it was made");
    stage.world.mend();
    stage.cost(sum(2, 7, true));
    stage.minutes(3);
    assert!(stage.comment_says("$0.12"), "{}", stage.comment());
    assert_eq!(stage.world.calls("create_comment"), 1);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_table_that_has_forgotten_its_comment_finds_it() {
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
fn an_app_that_may_not_comment_holds_nothing_up_and_does_once_it_may() {
    let stage = Stage::new();
    stage.world.hub().comments_refused = Some(ApiErrorKind::Forbidden);
    stage.cost(sum(1, 5, true));
    stage.minutes(3);
    assert_eq!(stage.left(), Vec::<String>::new());
    stage.world.hub().comments_refused = None;
    stage.cost(sum(2, 7, true));
    assert!(stage.comment_says("$0.12"), "{}", stage.comment());
}

#[test]
fn a_comment_leaves_the_writes_that_github_takes_to_check_runs() {
    let stage = Stage::new();
    let bucket = BucketId::ContentWrites(InstallationId(7));
    for _ in 0..30 {
        let taken = acquire(&stage.world, bucket, TokenTerms::Now { leaving: 0 }, stage.now());
        stage.world.run(taken).unwrap().unwrap();
    }
    stage.cost(sum(1, 5, true));
    assert_eq!(stage.comments(), Vec::<String>::new());
    stage.minutes(9);
    assert!(stage.comment_says("$0.05"), "{}", stage.comment());
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_run_that_is_run_again_long_after_it_was_told_of_is_counted() {
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
fn those_who_tell_of_several_runs_at_once_make_one_comment() {
    for seed in 0..40 {
        let stage = Stage::new();
        let calls = (1..=4).map(|run| stage.costs(sum(run, run, true), 0)).collect();
        stage.make_at_once(calls, crate::stage::dice(seed), || {});
        stage.wait(Duration::from_secs(50));
        stage.minutes(3);
        assert!(stage.comment_says("$0.10"), "seed {seed}: {}", stage.comment());
        assert_eq!(stage.left(), Vec::<String>::new(), "seed {seed}");
    }
}

/// A run of a pull request from a branch of the repository's own.
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
fn a_job_knows_its_pull_request_where_that_gets_a_comment() {
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
