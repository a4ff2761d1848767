use std::time::Duration;

use dayfly_engine::costing::{self, Answered};
use dayfly_records::costs::Tariff;
use dayfly_records::event::Conclusion;
use dayfly_records::prices::{Price, PriceSource};
use dayfly_records::{Ending, Message, Purpose, Reservation, RunnerState};
use dayfly_types::capacity::{FleetErrorKind, InstanceLifecycle, Tried};
use dayfly_types::checkin::{START_UNANSWERED, Stage as Reported};
use dayfly_types::ids::JobId;

use super::*;
use crate::fixtures::{claimed, deadlines, now, runner};

/// So many seconds after the webhook was taken in.
pub(crate) fn at(seconds: u64) -> Timestamp {
    now().after(Duration::from_secs(seconds))
}

/// Set aside for an instance at $1.00 an hour, with nothing for its disk and address.
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

/// A job that ran on spot from second 90 to second 690, its record and its runner's, before it is settled.
/// It costs $0.36 an hour, and $1.00 on demand.
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
    let cost = costing::cost(&runner, Some(job), &Answered::default(), at(800)).unwrap();
    runner.reserved = None;
    (runner, cost)
}

pub(crate) fn tell(job: &Job, runners: &[Runner], costs: &[Cost], seconds: u64) -> Story {
    Story::of(Known { job, runners, costs }, MicroDollars(2_000), at(seconds))
}

fn shown(story: &Story) -> Vec<(&'static str, i64, &'static str)> {
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
fn a_job_that_ran_is_told_stage_by_stage_with_whose_word_each_is() {
    let (job, runner) = ran();
    let story = tell(&job, &[runner], &[], 1_000);
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
fn a_launch_is_told_as_ec2s_word_only_where_it_is() {
    let (job, mut runner) = ran();
    runner.launched.as_mut().unwrap().at_by_ec2 = true;
    let story = tell(&job, &[runner], &[], 1_000);
    assert_eq!(shown(&story)[3], ("launched", 3, "EC2"));
}

#[test]
fn what_is_not_known_is_left_out() {
    let (mut job, mut runner) = ran();
    job.created_at = None;
    runner.running_at = None;
    runner.stages = Vec::new();
    let known = shown(&tell(&job, &[runner], &[], 1_000));
    let names: Vec<&str> = known.iter().map(|(name, ..)| *name).collect();
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
        known[4..6],
        [("job started", 92, "webhook"), ("job finished", 693, "webhook")]
    );

    let story = tell(&job, &[], &[], 1_000);
    assert_eq!(shown(&story).len(), 3, "{story:?}");
    assert_eq!(story.money.total, MicroDollars::default());
    assert_eq!(story.money.minutes, Some(11), "of the webhooks alone");
}

#[test]
fn an_instance_cannot_tell_of_times_at_which_it_was_not_there() {
    let (job, runner) = ran();
    for (seconds, told) in [(-400, false), (-200, true), (60, true), (900, true), (1_100, false)] {
        let mut runner = runner.clone();
        let said = Timestamp::from_seconds(now().seconds() + seconds);
        runner.stages[0] = (Reported::AgentUp, said);
        let story = tell(&job, &[runner], &[], 10_000);
        assert_eq!(story.reached(Stage::AgentUp), told.then_some(said), "{seconds}");
    }
    let mut kept = runner.clone();
    kept.words = vec![(Reported::JobStarted, START_UNANSWERED.to_owned())];
    let story = tell(&job, &[kept], &[], 1_000);
    assert_eq!(story.reached(Stage::JobStarted), job.started_at);
}

#[test]
fn a_job_that_waits_or_was_given_up_is_told_as_far_as_it_came() {
    let (job, runner) = claimed(11);
    let waiting = tell(&job, std::slice::from_ref(&runner), &[], 30);
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
    let story = tell(&refused, &[], &[], 30);
    assert_eq!(shown(&story).last(), Some(&("given up", 5, "dayfly")));
    assert!(story.money.is_final && story.attempt().is_none());
    assert_eq!(story.given_up.as_deref(), Some("no"));
}

#[test]
fn what_a_job_costs_so_far_becomes_what_it_cost() {
    let (mut job, mut runner) = ran();
    let (gone, cost) = settled(&job, runner.clone());
    job.state = JobState::Running {
        runner: "dayfly-11-1-1-i1".to_owned(),
    };
    job.ended_at = None;
    runner.state = RunnerState::Busy;
    (runner.ended_at, runner.instance_ended_at, runner.ending) = (None, None, None);
    runner.stages.truncate(2);
    // Its instance runs since second 20, its job since second 90.
    for (seconds, total, saved, minutes) in [(320, 30_000, 53_334, 4), (620, 60_000, 106_667, 9)] {
        let money = tell(&job, &[runner.clone()], &[], seconds).money;
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
    let money = tell(&job, &[gone], &[cost], 9_000).money;
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
fn an_interruption_is_told_with_what_it_wasted_and_saves_nothing() {
    let (mut job, mut runner) = ran();
    job.state = JobState::Finished {
        conclusion: Conclusion::Failure,
    };
    runner.interrupted_at = Some(at(600));
    runner.ending = Some(Ending::Interrupted);
    let (runner, cost) = settled(&job, runner);
    let story = tell(&job, &[runner], &[cost], 1_000);
    assert_eq!(story.interruptions(), 1);
    let money = &story.money;
    assert_eq!(
        (money.wasted, money.saved),
        (money.total, Some(MicroDollars::default()))
    );
    let attempt = story.attempt().unwrap();
    assert_eq!(attempt.bill.as_ref().unwrap().purpose, Purpose::Interrupted);
    assert_eq!(attempt.ending.as_deref(), Some("EC2 takes the instance back"));
}

#[test]
fn interruptions_are_counted_where_their_waste_is() {
    let told = |ending, conclusion, settle: bool| {
        let (mut job, mut runner) = ran();
        job.state = JobState::Finished { conclusion };
        runner.ending = Some(ending);
        let (runner, costs) = if settle {
            let (runner, cost) = settled(&job, runner);
            (runner, vec![cost])
        } else {
            (runner, Vec::new())
        };
        let story = tell(&job, &[runner], &costs, 1_000);
        (story.interruptions(), story.money.wasted.0)
    };
    for settle in [false, true] {
        for (ending, conclusion, interruptions) in [
            (Ending::Vanished, Conclusion::Failure, 1),
            (Ending::HeartbeatLost, Conclusion::Failure, 1),
            (Ending::Interrupted, Conclusion::Success, 0),
            (Ending::JobOver, Conclusion::Failure, 0),
        ] {
            let (counted, wasted) = told(ending.clone(), conclusion, settle);
            assert_eq!(counted, interruptions, "{ending:?}, {conclusion:?}");
            assert_eq!(wasted > 0, interruptions > 0, "{ending:?}, {conclusion:?}");
        }
    }
    // A notice after the end of its job has wasted nothing.
    let (job, mut runner) = ran();
    runner.interrupted_at = Some(at(695));
    assert_eq!(tell(&job, &[runner.clone()], &[], 1_000).interruptions(), 0);
    // Nobody knows what this one cost.
    (runner.reserved, runner.ending) = (None, Some(Ending::Vanished));
    let mut lost = job;
    lost.state = JobState::Finished {
        conclusion: Conclusion::Failure,
    };
    assert_eq!(tell(&lost, &[runner], &[], 1_000).interruptions(), 1);
}

#[test]
fn a_job_pays_for_runners_that_were_meant_for_it_and_ran_none_but_not_for_what_another_took() {
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
    let story = tell(
        &job,
        &[own, taken, idle],
        &[idle_cost, taken_cost, own_cost.clone()],
        1_000,
    );
    let names: Vec<&RunnerName> = story.attempts.iter().map(|attempt| &attempt.runner).collect();
    assert_eq!(
        names,
        [&name(1), &name(2), &name(3)],
        "in the order in which they were asked for"
    );
    assert_eq!(story.money.total, own_cost.total().times(2));
    assert_eq!(
        story.money.saved,
        Some(own_cost.saved()),
        "nothing is saved by what idles"
    );
    assert_eq!(story.attempt().unwrap().runner, name(3));
}

#[test]
fn a_job_that_ran_on_a_runner_of_another_is_told_by_that_one() {
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
    let story = tell(&job, &[own, runner.clone()], &[], 1_000);
    assert_eq!(story.attempt().unwrap().runner, runner.name);
    assert_eq!(story.reached(Stage::Decided), Some(at(1)));
    assert_eq!(story.reached(Stage::Enrolled), Some(at(61)));
}

#[test]
fn an_instance_of_which_nobody_knows_the_cost_is_said_and_not_made_up() {
    let (job, mut runner) = ran();
    runner.reserved = None;
    let story = tell(&job, &[runner], &[], 1_000);
    assert_eq!((story.money.total.0, story.money.unknown), (0, 1));
    assert_eq!(story.attempts[0].bill, None);
}

fn tried() -> Tried {
    Tried {
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
fn what_was_tried_and_prices_from_the_shipped_table_are_told() {
    let (job, mut runner) = ran();
    let launched = runner.launched.as_mut().unwrap();
    launched.price_per_hour = None;
    launched.lifecycle = InstanceLifecycle::OnDemand;
    launched.on_demand = Some(Price {
        per_hour: MicroDollars(526_000),
        source: PriceSource::Shipped,
    });
    runner.tried = vec![tried()];
    let story = tell(&job, &[runner.clone()], &[], 1_000);
    assert!(story.money.shipped_prices);
    assert_eq!(story.money.saved, Some(MicroDollars::default()));
    let attempt = &story.attempts[0];
    assert_eq!(
        (&attempt.tried, attempt.price_per_hour),
        (&runner.tried, Some(MicroDollars(526_000)))
    );
}

#[test]
fn a_job_that_a_messenger_took_is_told_as_given_up_and_ran_no_minute() {
    let (mut job, mut runner) = ran();
    let tried = [tried()];
    runner.message = Some(Message {
        job: job.key,
        run: job.run,
        text: crate::check_run::job_log("there is no such machine.", &tried),
    });
    job.messengers = 1;
    job.state = JobState::Running {
        runner: runner.name.to_string(),
    };
    (job.ended_at, runner.state) = (None, RunnerState::Busy);
    let meanwhile = tell(&job, &[runner.clone()], &[], 500);
    job.state = JobState::Finished {
        conclusion: Conclusion::Failure,
    };
    (job.ended_at, runner.state) = (Some(at(693)), RunnerState::Gone);
    let story = tell(&job, &[runner.clone()], &[], 1_000);
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
        "it asks for it all the same"
    );
    let attempt = story.attempt().unwrap();
    assert!(attempt.messenger);
    assert_eq!(attempt.bill.as_ref().unwrap().purpose, Purpose::Message);
    assert_eq!(story.money.saved, Some(MicroDollars::default()));

    // Sent to another, and taken by this one: it is given up no more than any.
    runner.message.as_mut().unwrap().job.job = JobId(99);
    let story = tell(&job, &[runner], &[], 1_000);
    assert_eq!(
        (
            story.given_up,
            story.stages.iter().any(|one| one.stage == Stage::GivenUp)
        ),
        (None, false)
    );
}

#[test]
fn when_a_runner_was_enrolled_and_on_what_its_job_ran_is_kept() {
    use crate::fixtures::event;
    use dayfly_engine::job_events::{Concerned, started};
    use dayfly_records::lifecycle::RunnerStep;

    let (job, _) = claimed(11);
    let mut own = runner(RunnerState::Launched);
    assert!(own.take(RunnerStep::Enrol, at(7), &deadlines()));
    let mut event = event(11);
    event.runner_name = Some("dayfly-11-1-1-i1".to_owned());
    event.received_at = at(9);
    let known = Concerned {
        job: Some(job),
        taken: Some(own),
        ..Concerned::default()
    };
    let after = started(known, &event, at(10), &deadlines()).unwrap();
    let (job, taken) = (after.job.unwrap(), after.taken.unwrap());
    assert_eq!((job.ran_on.as_ref(), job.started_at), (Some(&taken.name), Some(at(9))));
    assert_eq!(taken.enrolled_at, Some(at(7)));
}
