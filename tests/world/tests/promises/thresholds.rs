//! The account's owner is alerted as a cap fills up, once per threshold.

use std::cell::Cell;
use std::time::Duration;

use dayfly_engine::runner::interruption::Ec2Signal;
use dayfly_ports::{Schedule as _, Store as _};
use dayfly_records::event::{CapDue, Conclusion, CostDue, Event};
use dayfly_records::{Change, Ledger, LedgerId, Threshold};
use dayfly_types::budget::Budget;
use dayfly_types::ids::JobId;
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;

use crate::caps::{WORST, alerts, busy, cap_at, capped, instance_of, ledger, refusal, run};
use crate::stage::{Call, RUN, Stage, dice};

#[test]
fn each_threshold_and_the_first_refusal_are_alerted_once() {
    let stage = capped(WORST + 20_000);
    stage.queue(11);
    stage.queue(12);
    stage.queue(13);
    stage.minutes(2);
    assert!(refusal(&stage, 12).is_some() && refusal(&stage, 13).is_some());
    let refuses = "dayfly dayfly: the cap of $0.536828 of octo/gpu in 2027-01 refuses launches";
    assert_eq!(alerts(&stage), [refuses]);
    run(&stage, 11, 48);
    stage.minutes(3);
    // 48 minutes at the pool's price are a quarter of the cap.
    assert_eq!(alerts(&stage), [refuses]);
    // With a cap of no more than that, all of it is spent.
    let spent = ledger(&stage).expect("it is written in").spent;
    cap_at(&stage, spent.0);
    stage.queue(14);
    stage.minutes(3);
    let of = format!("of its cap of {spent} in 2027-01");
    let expected = [
        refuses.to_owned(),
        format!("dayfly dayfly: octo/gpu has spent 50 % {of}"),
        format!("dayfly dayfly: octo/gpu has spent 80 % {of}"),
        format!("dayfly dayfly: octo/gpu has spent 100 % {of}"),
    ];
    assert_eq!(alerts(&stage), expected);

    let half = capped(1_000_000);
    for job in 11..15 {
        half.queue(job);
        if job == 14 {
            half.world.break_down("alert");
        }
        run(&half, job, 48);
        half.minutes(2);
        assert!(half.world.cloud().alerts.is_empty(), "{job}");
    }
    half.world.restore();
    half.minutes(12);
    assert!(
        alerts(&half).len() == 1 && alerts(&half)[0].contains("50 %"),
        "{:?}",
        alerts(&half)
    );
    assert_eq!(half.left(), Vec::<String>::new());
}

#[test]
fn a_refusing_cap_is_recorded_in_the_ledger() {
    let stage = capped(3 * WORST);
    stage.queue(11);
    assert_eq!(
        ledger(&stage).expect("it is written in").cap,
        Some(MicroDollars(3 * WORST))
    );
    cap_at(&stage, WORST + 1);
    stage.queue(12);
    stage.minute();
    assert!(refusal(&stage, 12).is_some());
    assert_eq!(
        ledger(&stage).expect("it is written in").cap,
        Some(MicroDollars(WORST + 1))
    );
}

/// The job's instance has ended, and only this call counts its cost.
fn ended(stage: &Stage, job: u64) -> Call {
    let instance = instance_of(stage, job);
    let of_job = |runner: &dayfly_records::Runner| runner.wanted_by.job == JobId(job);
    stage.complete(job, Conclusion::Success);
    stage.make(Call::Ec2(instance, Ec2Signal::Ended));
    while stage.world.next_event().is_some() {}
    let runner = stage.runners().into_iter().find(of_job).expect("it is known");
    assert!(runner.reserved.is_some(), "it is not counted yet");
    Call::JobEvents(Event::CostDue(CostDue { runner: runner.name }))
}

#[test]
fn a_refusal_is_alerted_despite_concurrent_ledger_writes() {
    let mut refused = 0;
    for first in 0..80 {
        let stage = capped(WORST + 20_000);
        stage.queue(11);
        busy(&stage, 11);
        stage.wait(Duration::from_mins(1));
        let counting = ended(&stage, 11);
        stage.world.hub().queue(RUN, JobId(12));
        let launching = Call::Launch(Event::JobQueued(stage.job(12)));
        // After some steps of the one call, all steps of the other.
        let steps = Cell::new(0);
        let pick = |open: usize| {
            steps.set(steps.get() + 1);
            usize::from(open > 1 && steps.get() > first)
        };
        stage.make_interleaved(vec![launching, counting], pick, || {});
        stage.deliver();
        stage.minutes(3);
        let is_refused = refusal(&stage, 12).is_some();
        refused += usize::from(is_refused);
        assert_eq!(
            alerts(&stage).len(),
            usize::from(is_refused),
            "after {first}: {:?}",
            alerts(&stage)
        );
    }
    assert!((10..70).contains(&refused), "{refused}");
}

/// Makes two thresholds of the repository due and returns the call that reports them.
fn two_due_alerts(stage: &Stage) -> Call {
    let cap = MicroDollars(1_000_000);
    let id = LedgerId {
        budget: Budget::Repository {
            repository: "octo/gpu".parse().unwrap(),
        },
        month: Month::of(stage.now()),
    };
    let news = vec![(Threshold::Half, cap), (Threshold::FourFifths, cap)];
    let ledger = Ledger {
        spent: MicroDollars(850_000),
        cap: Some(cap),
        passed: vec![Threshold::Half, Threshold::FourFifths],
        recorded: news.clone(),
        to_report: news,
        due_at: Some(stage.now().after(Duration::from_mins(1))),
        ..Ledger::new(id.clone())
    };
    stage
        .world
        .run(stage.world.commit(vec![Change::create(ledger)]))
        .unwrap();
    stage.world.run(stage.world.switch(true)).unwrap();
    let LedgerId { budget, month } = id;
    Call::Report(Event::CapDue(CapDue { budget, month }))
}

#[test]
fn concurrent_reports_alert_each_threshold_once() {
    for seed in 0..200 {
        let stage = capped(1_000_000);
        let messenger_state = two_due_alerts(&stage);
        let calls = vec![messenger_state.clone(), messenger_state.clone(), messenger_state];
        stage.make_interleaved(calls, dice(seed), || {});
        stage.minutes(4);
        assert_eq!(alerts(&stage).len(), 2, "seed {seed}: {:?}", alerts(&stage));
        assert_eq!(stage.left(), Vec::<String>::new());
    }
}

#[test]
fn a_sent_alert_stays_recorded_if_the_next_one_fails() {
    let stage = capped(1_000_000);
    let messenger_state = two_due_alerts(&stage);
    let breaks = || {
        if alerts(&stage).len() == 1 {
            stage.world.break_down("alert");
        }
    };
    stage.make_interleaved(vec![messenger_state], |_| 0, breaks);
    stage.world.restore();
    assert_eq!(alerts(&stage).len(), 1);
    stage.minutes(6);
    let [first, second] = alerts(&stage).try_into().expect("each once");
    assert!(first.contains("50 %") && second.contains("80 %"), "{first} {second}");
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn only_a_death_between_sending_and_recording_repeats_an_alert() {
    let mut twice = 0;
    for fatal in 0..40 {
        let stage = capped(1_000_000);
        let messenger_state = two_due_alerts(&stage);
        let died = stage.make_and_die(messenger_state, fatal);
        let (sent, open) = (
            alerts(&stage).len(),
            ledger(&stage).expect("it is there").to_report.len(),
        );
        let unrecorded = sent + open - 2;
        twice += unrecorded;
        stage.minutes(6);
        assert_eq!(
            alerts(&stage).len(),
            2 + unrecorded,
            "before call {fatal}: {:?}",
            alerts(&stage)
        );
        assert_eq!(stage.left(), Vec::<String>::new(), "before call {fatal}");
        if !died {
            assert_eq!(twice, 2, "once for each threshold");
            return;
        }
    }
    panic!("it never came to its end");
}

#[test]
fn a_sweep_does_not_repeat_an_alert_in_flight() {
    let on_its_way = |stage: &Stage| {
        let events = stage.world.events();
        events.iter().filter(|event| matches!(event, Event::CapDue(_))).count()
    };
    for refuses in [true, false] {
        let stage = capped(1_000_000);
        stage.queue(11);
        let cause = if refuses {
            cap_at(&stage, WORST + 1);
            stage.world.hub().queue(RUN, JobId(12));
            Call::Launch(Event::JobQueued(stage.job(12)))
        } else {
            busy(&stage, 11);
            // For longer than it should take.
            stage.wait(Duration::from_hours(3));
            ended(&stage, 11)
        };
        stage.make(cause);
        assert_eq!(on_its_way(&stage), 1);
        stage.make(Call::Sweep);
        stage.wait(Duration::from_secs(1));
        stage.make(Call::Sweep);
        assert_eq!(on_its_way(&stage), 1);
        stage.deliver();
        assert_eq!(alerts(&stage).len(), 1, "{:?}", alerts(&stage));
        stage.minutes(5);
        assert_eq!(alerts(&stage).len(), 1, "{:?}", alerts(&stage));
    }
}
