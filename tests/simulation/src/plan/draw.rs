//! The workload and the outages that a seed draws.

use std::time::Duration;

use super::{Item, Outage, PlannedRun};
use crate::dice::Dice;

pub(super) fn workload(dice: &mut Dice, active: Duration, items: &mut Vec<Item>) {
    let runs = dice.number(1, 9);
    let repositories = dice.number(1, 4);
    let burst = dice.happens(0.15).then(|| dice.seconds(0, active.as_secs()));
    for index in 0..runs {
        let jobs = match dice.number(0, 1000) {
            0..3 => 256,
            3..20 => dice.number(16, 65),
            20..300 => dice.number(2, 9),
            _ => 1,
        };
        let longest = if jobs > 16 { 300 } else { 2400 };
        let jobs = (0..jobs).map(|_| dice.seconds(5, longest)).collect();
        let at = burst.unwrap_or_else(|| dice.seconds(0, active.as_secs()));
        items.push(Item::Run(PlannedRun {
            at,
            repository: index % repositories,
            jobs,
            cancelled: dice.happens(0.12).then(|| dice.seconds(0, 900)),
            elsewhere: dice.happens(0.06).then(|| dice.seconds(1, 200)),
            impossible: dice.happens(0.04),
            startup_failure: dice.happens(0.02),
            fails: false,
            rerun: dice.happens(0.05).then(|| dice.seconds(5, 600)),
        }));
    }
    if dice.happens(0.1) {
        echoes(dice, active, items);
    }
    if dice.happens(0.1) {
        drip(dice, active, items);
    }
}

/// Makes some jobs fail by themselves, beside others that are interrupted.
pub(super) fn failures(seed: u64, items: &mut [Item]) {
    for (number, item) in items.iter_mut().enumerate() {
        if let Item::Run(run) = item {
            run.fails = Dice::of(seed, "fails", &number.to_string()).happens(0.15);
        }
    }
}

/// Adds one short job after another, each when the schedule is about to go off because nothing lives.
pub(super) fn drip(dice: &mut Dice, active: Duration, items: &mut Vec<Item>) {
    let mut at = Duration::from_secs(60);
    while at < active && items.len() < 60 {
        // A launch takes some seconds to say that it needs the schedule.
        items.push(Item::AtSweep(at, dice.seconds(3, 20), dice.millis(2000, 6500)));
        at += dice.seconds(170, 330);
    }
}

/// Adds jobs that another runner takes, and jobs that come when our runner is about to be given up as
/// idle.
fn echoes(dice: &mut Dice, active: Duration, items: &mut Vec<Item>) {
    let at = dice.seconds(0, active.as_secs());
    let run = |repository: u64, at: Duration, elsewhere: Option<Duration>| {
        Item::Run(PlannedRun {
            elsewhere,
            ..PlannedRun::simple(repository, at, Duration::from_secs(900))
        })
    };
    if dice.happens(0.4) {
        // Nothing can tell if it is idle until its lifetime is over.
        let from = at + Duration::from_secs(180);
        let to = from + Duration::from_secs(1500);
        items.push(Item::Outage(Outage::GitHub, from, to.min(active), 1.0));
    }
    for pair in 0..6 {
        let repository = 10 + pair;
        items.push(run(repository, at, Some(Duration::from_secs(2))));
        items.push(run(repository, at + dice.seconds(320, 460), None));
    }
}

/// Outages of which an hour without a single success is what the control plane has to survive.
const STORMS: [Outage; 14] = [
    Outage::Table,
    Outage::Bus,
    Outage::BusLate,
    Outage::LambdaDies,
    Outage::LambdaThrottle,
    Outage::Ec2,
    Outage::Ec2Throttle,
    Outage::NoQuota,
    Outage::Ec2EventsLost,
    Outage::GitHub,
    Outage::GitHubLimit,
    Outage::WebhookLost,
    Outage::WebhookFailed,
    Outage::SchedulerApi,
];

/// Adds to some histories a time in which up to three services fail together, each at every call, while
/// many jobs are queued.
pub(super) fn storm(seed: u64, active: Duration, items: &mut Vec<Item>) {
    let mut dice = Dice::of(seed, "storm", "");
    if !dice.happens(0.15) {
        return;
    }
    let from = dice.seconds(0, active.as_secs() * 3 / 4);
    let to = (from + dice.seconds(1200, 4200)).min(active);
    for _ in 0..dice.number(1, 4) {
        let kind = *dice.one_of(&STORMS);
        // Its parts begin and end one after the other.
        let lag = dice.seconds(0, 240);
        let rate = if kind == Outage::LambdaDies { 0.5 } else { 1.0 };
        items.push(Item::Outage(kind, from + lag, (to + lag).min(active), rate));
    }
    for number in 0..dice.number(2, 6) {
        let jobs = dice.number(1, 9);
        let jobs = (0..jobs).map(|_| dice.seconds(5, 900)).collect();
        items.push(Item::Run(PlannedRun {
            jobs,
            cancelled: dice.happens(0.2).then(|| dice.seconds(0, 900)),
            elsewhere: dice.happens(0.2).then(|| dice.seconds(1, 200)),
            ..PlannedRun::simple(number % 3, dice.seconds(from.as_secs(), to.as_secs()), Duration::ZERO)
        }));
    }
}

pub(super) fn outages(dice: &mut Dice, kind: Outage, active: Duration, items: &mut Vec<Item>) {
    for _ in 0..dice.number(1, 3) {
        let from = dice.seconds(0, active.as_secs());
        let longest = if dice.happens(0.2) { active.as_secs() } else { 1200 };
        let to = (from + dice.seconds(20, longest)).min(active);
        let rate = *dice.one_of(&[0.05, 0.2, 0.5, 1.0]);
        items.push(Item::Outage(kind, from, to, rate));
    }
}
