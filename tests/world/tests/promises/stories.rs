//! What a run's jobs went through and cost is told on its commit: by one check run, which says at last what was
//! settled, whoever dies meanwhile.

use std::time::Duration;

use dayfly_engine::interruption::Word;
use dayfly_ports::ApiErrorKind;
use dayfly_records::CheckConclusion;
use dayfly_records::event::{CheckRunDue, Conclusion, Event, JobEvent};
use dayfly_records::{Cost, Purpose};
use dayfly_report::check_run::CheckRunBody;
use dayfly_types::ids::{InstanceId, JobId, JobKey, RunAttempt};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

use crate::comments::for_pull;
use crate::stage::{Call, RUN, Stage};

impl Stage {
    /// The check runs that tell a story.
    fn stories(&self) -> Vec<CheckRunBody> {
        let hub = self.world.hub();
        let told = hub.checks.values();
        let stories = told.filter(|check| check.external_id.starts_with("story-"));
        stories.cloned().collect()
    }

    /// The one that there is.
    fn story(&self) -> CheckRunBody {
        let stories = self.stories();
        assert_eq!(stories.len(), 1, "{stories:#?}");
        stories.into_iter().next().unwrap()
    }

    /// When somebody asked for one to be made or changed.
    fn told_at(&self) -> Vec<Timestamp> {
        let hub = self.world.hub();
        let of_stories = hub.checks_asked.iter().filter(|(_, id)| id.starts_with("story-"));
        of_stories.map(|(at, _)| *at).collect()
    }

    /// A job that runs.
    fn at_it(&self) -> InstanceId {
        self.queue(11);
        let instance = self.instance();
        let runner = self.boot(&instance);
        self.start(runner, 11);
        instance
    }

    fn work(&self, instance: &InstanceId, minutes: u32) {
        for _ in 0..minutes {
            self.heartbeat(instance, "running");
            self.minute();
        }
    }
}

/// The event that the story is due.
fn messenger_state() -> Call {
    let key = JobKey::story_of(RunAttempt(1));
    Call::Report(Event::CheckRunDue(CheckRunDue { run: RUN, key }))
}

#[test]
fn a_job_is_told_with_its_cost_so_far_and_at_last_with_what_it_cost() {
    let stage = Stage::new();
    let instance = stage.at_it();
    assert_eq!(
        stage.stories(),
        [],
        "nothing is told while it may yet change in a moment"
    );
    stage.work(&instance, 2);
    let so_far = stage.story();
    assert_eq!(so_far.conclusion, Some(CheckConclusion::Neutral), "it stops nobody");
    assert!(so_far.title.contains(" so far for 1 job, "), "{}", so_far.title);
    let text = so_far.text.unwrap();
    assert!(text.contains("| job started | webhook |"), "{text}");
    assert!(
        text.contains(&format!("[{instance}](<https://eu-west-1.console.aws")),
        "{text}"
    );

    stage.complete(11, Conclusion::Success);
    stage.minutes(5);
    let last = stage.story();
    assert!(last.title.contains(" for 1 job, 2 minutes: "), "{}", last.title);
    let cost = stage.world.run(async {
        let month = dayfly_types::month::Month::of(stage.now());
        dayfly_ports::Store::costs(&stage.world, month).await.unwrap()
    });
    let total = cost[0].total().in_cents();
    assert!(last.title.starts_with(&total), "{total}: {}", last.title);
    assert!(last.text.unwrap().contains("| gone | dayfly |"));
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_long_job_takes_few_of_githubs_writes() {
    let stage = Stage::new();
    let instance = stage.at_it();
    stage.work(&instance, 180);
    let told = stage.told_at();
    assert!((4..=6).contains(&told.len()), "{told:?}");
    let longest = told.windows(2).map(|two| two[1].since(two[0])).max().unwrap();
    assert!(longest <= Duration::from_mins(100), "{told:?}");
}

#[test]
fn a_matrix_is_told_by_one_check_run() {
    let stage = Stage::new();
    for job in 11..=30 {
        stage.queue(job);
    }
    for (instance, job) in stage.instances().into_iter().zip(11..) {
        let runner = stage.boot(&instance);
        stage.start(runner, job);
    }
    stage.minute();
    for job in 11..=30 {
        stage.complete(job, Conclusion::Success);
    }
    stage.minutes(6);
    let story = stage.story();
    assert!(story.title.contains(" for 20 jobs, "), "{}", story.title);
    assert!(!story.title.contains("so far"), "{}", story.title);
    assert!(stage.told_at().len() <= 4, "{:?}", stage.told_at());
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_story_is_told_by_one_check_run_though_the_reporter_dies() {
    for fatal in 0..30 {
        let stage = Stage::new();
        let instance = stage.at_it();
        stage.wait(Duration::from_secs(20));
        if !stage.make_and_die(messenger_state(), fatal) {
            assert!(fatal > 5, "the reporter made no call of its own");
            return;
        }
        stage.work(&instance, 3);
        let _ = stage.story();
        stage.complete(11, Conclusion::Success);
        stage.minutes(6);
        assert!(!stage.story().title.contains("so far"), "before call {fatal}");
        assert_eq!(stage.left(), Vec::<String>::new(), "after a death before call {fatal}");
    }
    panic!("the reporter never came to its end");
}

#[test]
fn what_a_job_cost_is_told_though_whoever_settled_it_died() {
    for fatal in 0..60 {
        let stage = Stage::new();
        let instance = stage.at_it();
        stage.work(&instance, 2);
        let over = stage.completed(11, Conclusion::Success);
        if !stage.make_and_die(Call::JobEvents(over.clone()), fatal) {
            assert!(fatal > 5, "settle made no call of its own");
            return;
        }
        stage.make(Call::JobEvents(over));
        stage.deliver();
        stage.minutes(7);
        let story = stage.story();
        assert!(!story.title.contains("so far"), "before call {fatal}: {}", story.title);
        assert_eq!(stage.left(), Vec::<String>::new(), "after a death before call {fatal}");
    }
    panic!("settle never came to its end");
}

/// The first of several calls makes so many of its own; then the others are made, then the rest of it.
fn others_after(steps: usize) -> impl FnMut(usize) -> usize {
    let mut left = steps;
    move |open| {
        let is_firsts = left > 0;
        left = left.saturating_sub(1);
        usize::from(!is_firsts && open > 1)
    }
}

impl Stage {
    /// A minute passes, in whose sweep something else is done as well.
    fn minute_with(&self, calls: impl Fn(Call) -> Vec<Call>, steps: usize) {
        self.wait(Duration::from_mins(1));
        self.make_at_once(calls(Call::Sweep), others_after(steps), || {});
        self.deliver();
    }

    /// What was settled.
    fn settled(&self) -> String {
        let month = dayfly_types::month::Month::of(self.now());
        let costs = self.world.run(dayfly_ports::Store::costs(&self.world, month)).unwrap();
        costs.iter().map(Cost::total).sum::<MicroDollars>().in_cents()
    }
}

#[test]
fn what_a_job_cost_is_told_at_last_though_it_was_told_between_its_announcement_and_its_count() {
    for steps in 0..60 {
        let stage = Stage::new();
        stage.world.hub().origins.insert(RUN, for_pull());
        let instance = stage.at_it();
        stage.work(&instance, 2);
        stage.complete(11, Conclusion::Success);
        for _ in 0..4 {
            stage.minute_with(|sweep| vec![sweep, messenger_state()], steps);
        }
        stage.minutes(6);
        let (title, comment) = (stage.story().title, stage.comment());
        assert!(
            title.starts_with(&format!("{} for", stage.settled())),
            "after {steps} calls: {title}"
        );
        assert!(!comment.contains("so far"), "after {steps} calls: {comment}");
        assert_eq!(stage.left(), Vec::<String>::new(), "after {steps} calls");
    }
}

#[test]
fn where_only_the_comment_tells_it_an_old_sum_is_not_the_last() {
    let file = "report: false\nrunners:\n  - {name: gpu, labels: [dayfly-gpu], instance_type: g5.xlarge, machine_image: ami-01234567}\n";
    for steps in 0..30 {
        let stage = Stage::new();
        stage.world.hub().config = Some(file.to_owned());
        stage.world.hub().origins.insert(RUN, for_pull());
        let instance = stage.at_it();
        stage.work(&instance, 2);
        stage.complete(11, Conclusion::Success);
        for _ in 0..3 {
            stage.minute_with(|sweep| vec![messenger_state(), sweep, messenger_state()], steps);
        }
        stage.minutes(6);
        assert_eq!(stage.stories(), []);
        let comment = stage.comment();
        assert!(
            comment.contains(&format!("cost {}\n", stage.settled())),
            "after {steps} calls: {comment}"
        );
        assert_eq!(stage.left(), Vec::<String>::new(), "after {steps} calls");
    }
}

/// One makes two calls whenever another has come to its end, so that it loses to each; `ahead` calls before that.
fn always_losing(ahead: usize) -> impl FnMut(usize) -> usize {
    let (mut left, mut known) = (ahead, usize::MAX);
    move |open| {
        if open < known {
            known = open;
            left += 2;
        }
        if left > 0 {
            left -= 1;
            0
        } else {
            open - 1
        }
    }
}

#[test]
fn all_jobs_of_a_matrix_that_begin_at_the_same_moment_are_told_of() {
    for ahead in 0..6 {
        let stage = Stage::new();
        for job in 11..=30 {
            stage.queue(job);
        }
        let begun = stage.instances().into_iter().zip(11..).map(|(instance, job)| {
            let runner = stage.boot(&instance);
            stage.world.hub().assign(runner, JobId(job));
            Call::JobEvents(Event::JobInProgress(stage.job(job)))
        });
        let begun = begun.collect();
        stage.make_at_once(begun, always_losing(ahead), || {});
        stage.deliver();
        stage.minute();
        let story = stage.story();
        assert!(
            story.title.contains(" for 20 jobs"),
            "{ahead} calls ahead: {}",
            story.title
        );
    }
}

#[test]
fn a_job_that_ends_well_after_a_check_run_has_wasted_nothing() {
    for (conclusion, purpose) in [
        (Conclusion::Success, Purpose::Job),
        (Conclusion::Failure, Purpose::Interrupted),
    ] {
        let stage = Stage::new();
        let instance = stage.at_it();
        stage.work(&instance, 2);
        stage.make(Call::Ec2(instance, Word::Warning));
        stage.complete(11, conclusion);
        stage.minutes(8);
        let story = stage.story();
        let wasted = story.summary.contains("- **Wasted:** ") && story.summary.contains(" by 1 interruption\n");
        assert_eq!(wasted, purpose == Purpose::Interrupted, "{}", story.summary);
        let month = dayfly_types::month::Month::of(stage.now());
        let costs = stage
            .world
            .run(dayfly_ports::Store::costs(&stage.world, month))
            .unwrap();
        assert_eq!(costs[0].purpose, purpose);
        assert_eq!(stage.left(), Vec::<String>::new(), "{conclusion:?}");
    }
}

#[test]
fn an_app_that_may_not_make_check_runs_runs_its_jobs_and_nothing_stays_awake() {
    let stage = Stage::new();
    stage.world.hub().checks_refused = Some(ApiErrorKind::Forbidden);
    let instance = stage.at_it();
    stage.work(&instance, 2);
    stage.complete(11, Conclusion::Success);
    stage.minutes(5);
    assert_eq!(stage.stories(), []);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_story_is_told_though_news_of_its_jobs_come_while_they_are_read() {
    for steps in 0..30 {
        let stage = Stage::new();
        stage.queue(11);
        stage.queue(12);
        let begun = stage.instances().into_iter().zip(11..).map(|(instance, job)| {
            let runner = stage.boot(&instance);
            stage.world.hub().assign(runner, JobId(job));
            Call::JobEvents(Event::JobInProgress(stage.job(job)))
        });
        let mut begun: Vec<Call> = begun.collect();
        let news = begun.remove(1);
        stage.make(begun.remove(0));
        stage.wait(Duration::from_mins(1));
        stage.make_at_once(vec![messenger_state(), news], others_after(steps), || {});
        assert_eq!(stage.stories().len(), 1, "after {steps} calls");
        stage.deliver();
        stage.minute();
        assert!(stage.story().title.contains(" for 2 jobs"), "after {steps} calls");
    }
}

#[test]
fn a_sweep_has_a_story_told_though_news_of_its_jobs_come_while_it_sees_to_the_rest() {
    // As soon as it has read what is due, has written that it tells it, and has told it.
    for steps in 3..40 {
        let stage = Stage::new();
        for job in 11..=13 {
            stage.queue(job);
        }
        let instances = stage.instances();
        let runners: Vec<_> = instances.iter().map(|instance| stage.boot(instance)).collect();
        stage.start(runners[0], 11);
        stage.minute();
        stage.wait(Duration::from_mins(4));
        stage.start(runners[1], 12);
        let told = stage.told_at().len();
        // The first is silent for so long now that it is given up, and that is due earlier.
        stage.wait(Duration::from_mins(1));
        stage.world.hub().assign(runners[2], JobId(13));
        let news = Call::JobEvents(Event::JobInProgress(stage.job(13)));
        stage.make_at_once(vec![Call::Sweep, news], others_after(steps), || {});
        stage.deliver();
        assert!(stage.told_at().len() > told, "after {steps} calls");
    }
}

#[test]
fn a_job_that_github_lists_again_in_the_next_attempt_costs_nothing_there() {
    let stage = Stage::new();
    stage.world.hub().origins.insert(RUN, for_pull());
    let instance = stage.at_it();
    stage.work(&instance, 2);
    stage.complete(11, Conclusion::Success);
    stage.minutes(3);
    let told = (stage.story(), stage.comment());
    let again = JobEvent {
        job: JobId(12),
        attempt: RunAttempt(2),
        conclusion: Some(Conclusion::Success),
        ..stage.job(11)
    };
    assert!(again.runner_name.is_some());
    stage.make(Call::JobEvents(Event::JobCompleted(again)));
    stage.minutes(3);
    assert_eq!(stage.runners()[0].job, Some(stage.job(11).key()));
    assert_eq!((stage.story(), stage.comment()), told);
    assert_eq!(stage.left(), Vec::<String>::new());
}
