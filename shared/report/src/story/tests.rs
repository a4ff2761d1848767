use std::time::Duration;

use dayfly_engine::cost::costing::{self, Ec2Answers};
use dayfly_records::costs::Tariff;
use dayfly_records::event::Conclusion;
use dayfly_records::prices::{Price, PriceSource};
use dayfly_records::{Ending, MessengerTask, Purpose, Reservation, RunnerState};
use dayfly_types::capacity::{FleetErrorKind, InstanceLifecycle, LaunchFailure};
use dayfly_types::checkin::{START_UNANSWERED, Stage as Reported};
use dayfly_types::ids::JobId;

use super::*;
use crate::fixtures::{claimed, deadlines, now, runner};

/// Seconds after the webhook arrived.
pub(crate) fn at(seconds: u64) -> Timestamp {
    now().after(Duration::from_secs(seconds))
}

/// A reservation at $1.00 an hour, with nothing for disk and address.
fn reserved() -> Reservation {
    Reservation {
        tariff: Tariff {
            compute: MicroDollars(1_000_000),
            disk_month: MicroDollars(0),
            address: MicroDollars(0),
            source: PriceSource::Aws,
        },
        budgets: Vec::new(),
        shares: Vec::new(),
    }
}

/// A job that ran on spot from second 90 to second 690, and its runner, before the cost is recorded. An hour costs
/// $0.36, and $1.00 on demand.
pub(crate) fn ran() -> (Job, Runner) {
    let (mut job, mut runner) = claimed(11);
    job.created_at = Some(Timestamp::from_millis(now().millis() - 1_500));
    job.state = JobState::Finished {
        conclusion: Conclusion::Success,
    };
    job.ran_on = Some(runner.name.clone());
    (job.started_at, job.ended_at) = (Some(at(92)), Some(at(693)));
    runner.requested_at = at(1);
    runner.launched = crate::fixtures::runner(RunnerState::Launched).launched;
    let launched = runner.launched.as_mut().unwrap();
    launched.at = at(3);
    launched.price_per_hour = Some(MicroDollars(360_000));
    launched.on_demand = Some(Price {
        per_hour: MicroDollars(1_000_000),
        source: PriceSource::Aws,
    });
    runner.running_at = Some(at(20));
    runner.enrolled_at = Some(at(61));
    runner.stages = vec![
        (Reported::AgentUp, at(60)),
        (Reported::JobStarted, at(90)),
        (Reported::JobFinished, at(690)),
    ];
    runner.job = Some(job.key);
    runner.state = RunnerState::Gone;
    runner.ending = Some(Ending::JobOver);
    runner.reserved = Some(reserved());
    runner.instance_ended_at = Some(at(720));
    runner.ended_at = Some(at(700));
    (job, runner)
}

pub(crate) fn settled(job: &Job, mut runner: Runner) -> (Runner, Cost) {
    let cost = costing::cost(&runner, Some(job), &Ec2Answers::default(), at(800)).unwrap();
    runner.reserved = None;
    (runner, cost)
}

pub(crate) fn story_of(job: &Job, runners: &[Runner], costs: &[Cost], seconds: u64) -> JobStory {
    JobStory::of(JobRecords { job, runners, costs }, MicroDollars(2_000), at(seconds))
}

fn shown(story: &JobStory) -> Vec<(&'static str, i64, &'static str)> {
    let stages = story.stages.iter();
    stages
        .map(|one| {
            (
                one.stage.words(),
                one.at.seconds() - now().seconds(),
                one.source.words(),
            )
        })
        .collect()
}

#[test]
fn story_lists_each_stage_with_its_source() {
    let (job, runner) = ran();
    let story = story_of(&job, &[runner], &[], 1_000);
    assert_eq!(
        shown(&story),
        [
            ("queued", -2, "GitHub"),
            ("seen", 0, "webhook"),
            ("decided", 1, "dayfly"),
            ("launched", 3, "dayfly"),
            ("running instance", 20, "EC2"),
            ("agent up", 60, "agent"),
            ("enrolled", 61, "dayfly"),
            ("job started", 90, "agent"),
            ("job finished", 690, "agent"),
            ("gone", 700, "dayfly"),
        ]
    );
    let after: Vec<Option<u128>> = story
        .stages
        .iter()
        .map(|one| one.after.map(|span| span.as_millis()))
        .collect();
    assert_eq!(after[..3], [None, Some(1_500), Some(1_000)]);
    assert_eq!(
        story.url("https://github.com"),
        "https://github.com/octo/gpu/actions/runs/22/job/11"
    );
}

#[test]
fn launch_time_is_ec2s_only_if_ec2_reported_it() {
    let (job, mut runner) = ran();
    runner.launched.as_mut().unwrap().at_by_ec2 = true;
    let story = story_of(&job, &[runner], &[], 1_000);
    assert_eq!(shown(&story)[3], ("launched", 3, "EC2"));
}

#[test]
fn unknown_stages_are_left_out() {
    let (mut job, mut runner) = ran();
    job.created_at = None;
    runner.running_at = None;
    runner.stages = Vec::new();
    let stages = shown(&story_of(&job, &[runner], &[], 1_000));
    let names: Vec<&str> = stages.iter().map(|(name, ..)| *name).collect();
    let expected = [
        "seen",
        "decided",
        "launched",
        "enrolled",
        "job started",
        "job finished",
        "gone",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        stages[4..6],
        [("job started", 92, "webhook"), ("job finished", 693, "webhook")]
    );

    let story = story_of(&job, &[], &[], 1_000);
    assert_eq!(shown(&story).len(), 3, "{story:?}");
    assert_eq!(story.money.total, MicroDollars::default());
    assert_eq!(story.money.minutes, Some(11), "from the webhooks alone");
}

#[test]
fn times_outside_an_instances_life_are_dropped() {
    let (job, runner) = ran();
    for (seconds, is_shown) in [(-400, false), (-200, true), (60, true), (900, true), (1_100, false)] {
        let mut runner = runner.clone();
        let reported = Timestamp::from_seconds(now().seconds() + seconds);
        runner.stages[0] = (Reported::AgentUp, reported);
        let story = story_of(&job, &[runner], &[], 10_000);
        assert_eq!(story.reached(Stage::AgentUp), is_shown.then_some(reported), "{seconds}");
    }
    let mut kept = runner.clone();
    kept.stage_details = vec![(Reported::JobStarted, START_UNANSWERED.to_owned())];
    let story = story_of(&job, &[kept], &[], 1_000);
    assert_eq!(story.reached(Stage::JobStarted), job.started_at);
}

#[test]
fn waiting_and_given_up_jobs_have_the_stages_they_reached() {
    let (job, runner) = claimed(11);
    let waiting = story_of(&job, std::slice::from_ref(&runner), &[], 30);
    assert_eq!(shown(&waiting).last(), Some(&("decided", 0, "dayfly")));
    assert_eq!(
        (waiting.money.total.0, waiting.money.is_final, waiting.money.minutes),
        (0, false, None)
    );

    let mut refused = job;
    refused.state = JobState::Refused {
        reason: "no".to_owned(),
    };
    refused.ended_at = Some(at(5));
    let story = story_of(&refused, &[], &[], 30);
    assert_eq!(shown(&story).last(), Some(&("given up", 5, "dayfly")));
    assert!(story.money.is_final && story.main_try().is_none());
    assert_eq!(story.given_up.as_deref(), Some("no"));
}

#[test]
fn cost_so_far_becomes_the_final_cost() {
    let (mut job, mut runner) = ran();
    let (gone, cost) = settled(&job, runner.clone());
    job.state = JobState::Running {
        runner: "dayfly-11-1-1-i1".to_owned(),
    };
    job.ended_at = None;
    runner.state = RunnerState::Busy;
    (runner.ended_at, runner.instance_ended_at, runner.ending) = (None, None, None);
    runner.stages.truncate(2);
    // The instance runs since second 20, the job since second 90.
    for (seconds, total, saved, minutes) in [(320, 30_000, 53_334, 4), (620, 60_000, 106_667, 9)] {
        let money = story_of(&job, &[runner.clone()], &[], seconds).money;
        assert_eq!(
            (
                money.total.0,
                money.saved.map(|saved| saved.0),
                money.minutes,
                money.is_final
            ),
            (total, Some(saved), Some(minutes), false),
            "after {seconds} s"
        );
    }
    let (job, _) = ran();
    let money = story_of(&job, &[gone], &[cost], 9_000).money;
    assert_eq!((money.total.0, money.is_final, money.unknown), (70_000, true, 0));
    assert_eq!(
        (money.amounts.total(), money.amounts.compute),
        (money.total, money.total)
    );
    assert_eq!(money.on_github, Some(MicroDollars(520_000)), "10 minutes");
    assert_eq!(money.github_charge, Some(MicroDollars(20_000)));
}

#[test]
fn minutes_are_rounded_up_as_github_bills_them() {
    for (seconds, billed) in [(0, 0), (1, 1), (60, 1), (61, 2), (3_600, 60)] {
        assert_eq!(minutes(Duration::from_secs(seconds)), billed, "{seconds} s");
    }
    assert_eq!(minutes(Duration::from_millis(60_001)), 2);
}

#[test]
fn interruption_shows_its_waste_and_saves_nothing() {
    let (mut job, mut runner) = ran();
    job.state = JobState::Finished {
        conclusion: Conclusion::Failure,
    };
    runner.interrupted_at = Some(at(600));
    runner.ending = Some(Ending::Interrupted);
    let (runner, cost) = settled(&job, runner);
    let story = story_of(&job, &[runner], &[cost], 1_000);
    assert_eq!(story.interruptions(), 1);
    let money = &story.money;
    assert_eq!(
        (money.wasted, money.saved),
        (money.total, Some(MicroDollars::default()))
    );
    let attempt = story.main_try().unwrap();
    assert_eq!(attempt.bill.as_ref().unwrap().purpose, Purpose::Interrupted);
    assert_eq!(attempt.ending.as_deref(), Some("EC2 takes the instance back"));
}

#[test]
fn interruptions_are_counted_where_their_waste_is() {
    let count = |ending, conclusion, settle: bool| {
        let (mut job, mut runner) = ran();
        job.state = JobState::Finished { conclusion };
        runner.ending = Some(ending);
        let (runner, costs) = if settle {
            let (runner, cost) = settled(&job, runner);
            (runner, vec![cost])
        } else {
            (runner, Vec::new())
        };
        let story = story_of(&job, &[runner], &costs, 1_000);
        (story.interruptions(), story.money.wasted.0)
    };
    for settle in [false, true] {
        for (ending, conclusion, interruptions) in [
            (Ending::Vanished, Conclusion::Failure, 1),
            (Ending::HeartbeatLost, Conclusion::Failure, 1),
            (Ending::Interrupted, Conclusion::Success, 0),
            (Ending::JobOver, Conclusion::Failure, 0),
        ] {
            let (counted, wasted) = count(ending.clone(), conclusion, settle);
            assert_eq!(counted, interruptions, "{ending:?}, {conclusion:?}");
            assert_eq!(wasted > 0, interruptions > 0, "{ending:?}, {conclusion:?}");
        }
    }
    // A notice after the end of the job wastes nothing.
    let (job, mut runner) = ran();
    runner.interrupted_at = Some(at(695));
    assert_eq!(story_of(&job, &[runner.clone()], &[], 1_000).interruptions(), 0);
    // The cost of this one is unknown.
    (runner.reserved, runner.ending) = (None, Some(Ending::Vanished));
    let mut lost = job;
    lost.state = JobState::Finished {
        conclusion: Conclusion::Failure,
    };
    assert_eq!(story_of(&lost, &[runner], &[], 1_000).interruptions(), 1);
}

#[test]
fn job_pays_for_its_idle_runners_but_not_for_those_others_took() {
    let (mut job, third) = ran();
    job.launches = 3;
    let name = |launch| RunnerName::of(job.key, launch);
    let with = |launch: u32, ran: Option<JobKey>| {
        let mut runner = third.clone();
        runner.name = name(launch);
        runner.requested_at = at(u64::from(launch));
        runner.job = ran;
        settled(&job, runner)
    };
    let other = JobKey {
        job: JobId(12),
        ..job.key
    };
    let (idle, idle_cost) = with(1, None);
    let (taken, taken_cost) = with(2, Some(other));
    let (own, own_cost) = with(3, Some(job.key));
    job.ran_on = Some(own.name.clone());
    assert_eq!(runners_of(&job), [name(1), name(2), name(3)]);
    let story = story_of(
        &job,
        &[own, taken, idle],
        &[idle_cost, taken_cost, own_cost.clone()],
        1_000,
    );
    let names: Vec<&RunnerName> = story.launch_tries.iter().map(|attempt| &attempt.runner).collect();
    assert_eq!(
        names,
        [&name(1), &name(2), &name(3)],
        "in the order in which they were requested"
    );
    assert_eq!(story.money.total, own_cost.total().times(2));
    assert_eq!(story.money.saved, Some(own_cost.saved()), "idle instances save nothing");
    assert_eq!(story.main_try().unwrap().runner, name(3));
}

#[test]
fn job_on_another_jobs_runner_has_that_runners_story() {
    let (mut job, mut runner) = ran();
    let (other, mut own) = (
        JobKey {
            job: JobId(99),
            ..job.key
        },
        claimed(11).1,
    );
    runner.name = RunnerName::of(other, 1);
    runner.wanted_by = job.key;
    own.wanted_by = other;
    own.requested_at = at(1);
    job.runner = Some(runner.name.clone());
    job.ran_on = Some(runner.name.clone());
    assert_eq!(runners_of(&job), [own.name.clone(), runner.name.clone()]);
    let story = story_of(&job, &[own, runner.clone()], &[], 1_000);
    assert_eq!(story.main_try().unwrap().runner, runner.name);
    assert_eq!(story.reached(Stage::Decided), Some(at(1)));
    assert_eq!(story.reached(Stage::Enrolled), Some(at(61)));
}

#[test]
fn unknown_cost_is_counted_and_not_made_up() {
    let (job, mut runner) = ran();
    runner.reserved = None;
    let story = story_of(&job, &[runner], &[], 1_000);
    assert_eq!((story.money.total.0, story.money.unknown), (0, 1));
    assert_eq!(story.launch_tries[0].bill, None);
}

fn tried() -> LaunchFailure {
    LaunchFailure {
        lifecycle: InstanceLifecycle::Spot,
        pool: None,
        kind: FleetErrorKind::Capacity,
        code: "InsufficientInstanceCapacity".to_owned(),
        message: "none".to_owned(),
        times: 2,
        first: at(1),
        last: at(2),
    }
}

#[test]
fn story_has_launch_tries_and_marks_shipped_prices() {
    let (job, mut runner) = ran();
    let launched = runner.launched.as_mut().unwrap();
    launched.price_per_hour = None;
    launched.lifecycle = InstanceLifecycle::OnDemand;
    launched.on_demand = Some(Price {
        per_hour: MicroDollars(526_000),
        source: PriceSource::Shipped,
    });
    runner.tried = vec![tried()];
    let story = story_of(&job, &[runner.clone()], &[], 1_000);
    assert!(story.money.shipped_prices);
    assert_eq!(story.money.saved, Some(MicroDollars::default()));
    let attempt = &story.launch_tries[0];
    assert_eq!(
        (&attempt.tried, attempt.price_per_hour),
        (&runner.tried, Some(MicroDollars(526_000)))
    );
}

#[test]
fn job_failed_by_a_messenger_is_given_up_and_ran_no_minute() {
    let (mut job, mut runner) = ran();
    let tried = [tried()];
    runner.message = Some(MessengerTask {
        job: job.key,
        run: job.run,
        text: crate::check_run::job_log("there is no such machine.", &tried),
    });
    job.messengers = 1;
    job.state = JobState::Running {
        runner: runner.name.to_string(),
    };
    (job.ended_at, runner.state) = (None, RunnerState::Busy);
    let meanwhile = story_of(&job, &[runner.clone()], &[], 500);
    job.state = JobState::Finished {
        conclusion: Conclusion::Failure,
    };
    (job.ended_at, runner.state) = (Some(at(693)), RunnerState::Gone);
    let story = story_of(&job, &[runner.clone()], &[], 1_000);
    for story in [&meanwhile, &story] {
        assert_eq!(story.given_up.as_deref(), Some("There is no such machine."));
        assert_eq!(
            (story.reached(Stage::Decided), story.reached(Stage::GivenUp)),
            (None, Some(at(1)))
        );
        assert_eq!((story.money.minutes, story.money.on_github), (None, None));
    }
    assert_eq!(
        story.money.github_charge,
        Some(MicroDollars(20_000)),
        "GitHub charges all the same"
    );
    let attempt = story.main_try().unwrap();
    assert!(attempt.messenger);
    assert_eq!(attempt.bill.as_ref().unwrap().purpose, Purpose::Message);
    assert_eq!(story.money.saved, Some(MicroDollars::default()));

    // A messenger for another job that this one took does not give this one up.
    runner.message.as_mut().unwrap().job.job = JobId(99);
    let story = story_of(&job, &[runner], &[], 1_000);
    assert_eq!(
        (
            story.given_up,
            story.stages.iter().any(|one| one.stage == Stage::GivenUp)
        ),
        (None, false)
    );
}

#[test]
fn enrolment_time_and_the_jobs_runner_are_recorded() {
    use crate::fixtures::event;
    use dayfly_engine::job_events::{AffectedRecords, started};
    use dayfly_records::steps::RunnerStep;

    let (job, _) = claimed(11);
    let mut own = runner(RunnerState::Launched);
    assert!(own.take(RunnerStep::Enrol, at(7), &deadlines()));
    let mut event = event(11);
    event.runner_name = Some("dayfly-11-1-1-i1".to_owned());
    event.received_at = at(9);
    let known = AffectedRecords {
        job: Some(job),
        actual_runner: Some(own),
        ..AffectedRecords::default()
    };
    let after = started(known, &event, at(10), &deadlines()).unwrap();
    let (job, taken) = (after.job.unwrap(), after.actual_runner.unwrap());
    assert_eq!((job.ran_on.as_ref(), job.started_at), (Some(&taken.name), Some(at(9))));
    assert_eq!(taken.enrolled_at, Some(at(7)));
}
