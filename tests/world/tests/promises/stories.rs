//! The story and cost of a run's jobs are reported on its commit by one check run, which ends with the
//! settled cost whichever function dies.

use std::time::Duration;

use dayfly_engine::runner::interruption::Ec2Signal;
use dayfly_ports::ApiErrorKind;
use dayfly_records::CheckConclusion;
use dayfly_records::event::{CheckRunDue, Conclusion, Event, JobEvent};
use dayfly_records::{CheckRunBody, CheckRunKey, CheckSubject};
use dayfly_records::{Cost, JobState, Purpose};
use dayfly_types::ids::{InstanceId, JobId, RunAttempt};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

use crate::comments::for_pull;
use crate::stage::{Call, RUN, Stage};

impl Stage {
    /// Returns the check runs that tell a story.
    fn stories(&self) -> Vec<CheckRunBody> {
        let hub = self.world.hub();
        let all = hub.checks.values();
        let stories = all.filter(|check| check.external_id.starts_with("story-"));
        stories.cloned().collect()
    }

    /// Returns the only one.
    fn story(&self) -> CheckRunBody {
        let stories = self.stories();
        assert_eq!(stories.len(), 1, "{stories:#?}");
        stories.into_iter().next().unwrap()
    }

    /// Returns when a story was created or updated.
    fn story_writes(&self) -> Vec<Timestamp> {
        let hub = self.world.hub();
        let of_stories = hub.check_writes.iter().filter(|(_, id)| id.starts_with("story-"));
        of_stories.map(|(at, _)| *at).collect()
    }

    /// Starts a job.
    fn start_first_job(&self) -> InstanceId {
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
fn story_due() -> Call {
    let key = CheckRunKey::new(CheckSubject::Story, RunAttempt(1));
    Call::Report(Event::CheckRunDue(CheckRunDue { run: RUN, key }))
}

#[test]
fn a_story_shows_the_cost_so_far_and_then_the_settled_cost() {
    let stage = Stage::new();
    let instance = stage.start_first_job();
    assert_eq!(stage.stories(), [], "nothing is reported while it may soon change");
    stage.work(&instance, 2);
    let so_far = stage.story();
    assert_eq!(so_far.conclusion, Some(CheckConclusion::Neutral), "it blocks nothing");
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
    let instance = stage.start_first_job();
    stage.work(&instance, 180);
    let writes = stage.story_writes();
    assert!((4..=6).contains(&writes.len()), "{writes:?}");
    let longest = writes.windows(2).map(|two| two[1].since(two[0])).max().unwrap();
    assert!(longest <= Duration::from_mins(100), "{writes:?}");
}

#[test]
fn a_matrix_has_one_story() {
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
    assert!(stage.story_writes().len() <= 4, "{:?}", stage.story_writes());
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_story_is_one_check_run_though_the_reporter_dies() {
    for fatal in 0..30 {
        let stage = Stage::new();
        let instance = stage.start_first_job();
        stage.wait(Duration::from_secs(20));
        if !stage.make_and_die(story_due(), fatal) {
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
fn a_cost_is_reported_though_the_costing_died() {
    for fatal in 0..60 {
        let stage = Stage::new();
        let instance = stage.start_first_job();
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

#[test]
fn a_late_end_is_reported_though_the_function_dies_after_recording_it() {
    for fatal in 0..60 {
        let stage = Stage::new();
        stage.queue(11);
        let instance = stage.instance();
        let runner = stage.boot(&instance);
        // GitHub's events of the job's start are lost, and of its end late.
        stage.world.hub().assign(runner, JobId(11));
        stage.work(&instance, 2);
        let over = stage.completed(11, Conclusion::Success);
        let goodbye = serde_json::json!({ "instance": instance, "reason": "finished" });
        stage.make(Call::CheckIn(instance, "goodbye", goodbye));
        stage.minutes(3);
        let died = stage.make_and_die(Call::JobEvents(over), fatal);
        let recorded = matches!(stage.job_state(11), Some(JobState::Finished { .. }));
        // Nothing else comes, not even the event again.
        while stage.world.next_event().is_some() {}
        stage.make(Call::Patrol);
        stage.minutes(10);
        if recorded {
            let story = stage.story();
            assert!(!story.title.contains("so far"), "before call {fatal}: {}", story.title);
        }
        if !died {
            assert!(fatal > 5);
            return;
        }
    }
    panic!("it never came to its end");
}

/// Makes some steps of the first call, then all other calls, then the rest of the first.
fn others_after(steps: usize) -> impl FnMut(usize) -> usize {
    let mut left = steps;
    move |open| {
        let is_firsts = left > 0;
        left = left.saturating_sub(1);
        usize::from(!is_firsts && open > 1)
    }
}

impl Stage {
    /// Lets a minute pass, with other calls made during its sweep.
    fn minute_with(&self, calls: impl Fn(Call) -> Vec<Call>, steps: usize) {
        self.wait(Duration::from_mins(1));
        self.make_interleaved(calls(Call::Sweep), others_after(steps), || {});
        self.deliver();
    }

    /// The settled cost.
    fn settled(&self) -> String {
        let month = dayfly_types::month::Month::of(self.now());
        let costs = self.world.run(dayfly_ports::Store::costs(&self.world, month)).unwrap();
        costs.iter().map(Cost::total).sum::<MicroDollars>().in_cents()
    }
}

#[test]
fn a_story_reported_before_the_cost_is_counted_ends_settled() {
    for steps in 0..60 {
        let stage = Stage::new();
        stage.world.hub().origins.insert(RUN, for_pull());
        let instance = stage.start_first_job();
        stage.work(&instance, 2);
        stage.complete(11, Conclusion::Success);
        for _ in 0..4 {
            stage.minute_with(|sweep| vec![sweep, story_due()], steps);
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
fn an_old_sum_is_not_final_in_the_comment_alone() {
    let file = "report: false\nrunners:\n  - {name: gpu, labels: [dayfly-gpu], instance_type: g5.xlarge, machine_image: ami-01234567}\n";
    for steps in 0..30 {
        let stage = Stage::new();
        stage.world.hub().config = Some(file.to_owned());
        stage.world.hub().origins.insert(RUN, for_pull());
        let instance = stage.start_first_job();
        stage.work(&instance, 2);
        stage.complete(11, Conclusion::Success);
        for _ in 0..3 {
            stage.minute_with(|sweep| vec![story_due(), sweep, story_due()], steps);
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

/// Makes two calls whenever another one ends, so that it loses to each; `ahead` calls before that.
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
fn all_jobs_of_a_matrix_that_start_together_are_in_the_story() {
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
        stage.make_interleaved(begun, always_losing(ahead), || {});
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
fn a_job_that_succeeds_despite_a_notice_has_wasted_nothing() {
    for (conclusion, purpose) in [
        (Conclusion::Success, Purpose::Job),
        (Conclusion::Failure, Purpose::Interrupted),
    ] {
        let stage = Stage::new();
        let instance = stage.start_first_job();
        stage.work(&instance, 2);
        stage.make(Call::Ec2(instance, Ec2Signal::Warning));
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
fn jobs_run_without_the_check_run_permission() {
    let stage = Stage::new();
    stage.world.hub().check_error = Some(ApiErrorKind::Forbidden);
    let instance = stage.start_first_job();
    stage.work(&instance, 2);
    stage.complete(11, Conclusion::Success);
    stage.minutes(5);
    assert_eq!(stage.stories(), []);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_story_is_published_though_its_jobs_change_meanwhile() {
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
        stage.make_interleaved(vec![story_due(), news], others_after(steps), || {});
        assert_eq!(stage.stories().len(), 1, "after {steps} calls");
        stage.deliver();
        stage.minute();
        assert!(stage.story().title.contains(" for 2 jobs"), "after {steps} calls");
    }
}

#[test]
fn a_sweep_publishes_a_story_though_its_jobs_change_meanwhile() {
    // From having read what is due to having published the story.
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
        let before = stage.story_writes().len();
        // The first runner has been silent long enough to be given up, which is due earlier.
        stage.wait(Duration::from_mins(1));
        stage.world.hub().assign(runners[2], JobId(13));
        let news = Call::JobEvents(Event::JobInProgress(stage.job(13)));
        stage.make_interleaved(vec![Call::Sweep, news], others_after(steps), || {});
        stage.deliver();
        assert!(stage.story_writes().len() > before, "after {steps} calls");
    }
}

#[test]
fn a_job_carried_over_to_the_next_attempt_costs_nothing_there() {
    let stage = Stage::new();
    stage.world.hub().origins.insert(RUN, for_pull());
    let instance = stage.start_first_job();
    stage.work(&instance, 2);
    stage.complete(11, Conclusion::Success);
    stage.minutes(3);
    let before = (stage.story(), stage.comment());
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
    assert_eq!((stage.story(), stage.comment()), before);
    assert_eq!(stage.left(), Vec::<String>::new());
}
