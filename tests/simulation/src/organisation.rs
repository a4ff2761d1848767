//! A month of a busy organisation: what its repositories run, when, and what goes wrong.

use std::time::Duration;

use dayfly_policy::{Caps, Limits};
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;

use crate::config::Ways;
use crate::dice::Dice;
use crate::money;
use crate::plan::{InstanceFault, Item, Outage, Plan, PlannedRun};

/// The number of repositories.
pub const REPOSITORIES: u64 = 200;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// The activity in each hour of a weekday (UTC), with people on two continents.
const HOURS: [u64; 24] = [
    2, 1, 1, 1, 1, 2, 4, 8, 14, 18, 18, 17, 14, 18, 20, 20, 18, 14, 11, 9, 7, 5, 4, 3,
];

/// The activity in an hour at a weekend.
const WEEKEND: u64 = 1;

/// The hour of the nightly runs.
const NIGHTLY: u64 = 2;

/// The probability that EC2 reclaims an instance. Many have ended before that, or have not started
/// their job: of those that run one, about three in a hundred lose it.
const INTERRUPTED: f64 = 0.09;

/// The least cap of the stack and of each repository, and the addition per queued job, in
/// micro-dollars. Running jobs count with the most they can cost, which is much more than they do.
const STACK_CAP: (u64, u64) = (300_000_000, 114_000);
const REPOSITORY_CAP: (u64, u64) = (100_000_000, 5_000);

impl Plan {
    /// A month in which this many jobs are queued, besides re-runs.
    #[must_use]
    pub fn month(seed: u64, jobs: usize) -> Self {
        let month = Month::of(money::MIDDLE);
        let mut items: Vec<Item> = runs(seed, month, jobs).into_iter().map(Item::Run).collect();
        items.extend(faults(month));
        let cap = |(least, each): (u64, u64)| Some(MicroDollars(least + each * jobs as u64));
        Self {
            seed,
            lifetime: Duration::from_hours(2),
            items: items.into_iter().enumerate().collect(),
            calm_from: month.length(),
            quiet: Duration::from_hours(3),
            limits: Limits::default(),
            caps: Caps {
                stack: cap(STACK_CAP),
                repository: cap(REPOSITORY_CAP),
                ..Caps::default()
            },
            caps_later: None,
            start: month.begins(),
            inspect_every: Duration::from_mins(5),
            ways: Ways::Usual,
        }
    }
}

/// What goes wrong besides interruptions: some webhooks are lost and some come twice, a few instances
/// vanish, two afternoons have little spot capacity, and on one morning GitHub fails often.
fn faults(month: Month) -> Vec<Item> {
    let whole = month.length();
    let at = |day: u64, hour: u64| Duration::from_secs(day * DAY + hour * HOUR);
    vec![
        Item::InstanceFault(InstanceFault::Interruption, INTERRUPTED),
        Item::InstanceFault(InstanceFault::Rebalance, 0.02),
        Item::InstanceFault(InstanceFault::Vanish, 0.001),
        Item::Outage(Outage::WebhookLost, Duration::ZERO, whole, 0.001),
        Item::Outage(Outage::WebhookDouble, Duration::ZERO, whole, 0.005),
        Item::Outage(Outage::Drought, at(12, 14), at(12, 16), 0.7),
        Item::Outage(Outage::Drought, at(20, 15), at(20, 16), 0.7),
        Item::Outage(Outage::GitHub, at(13, 9), at(13, 10), 0.3),
    ]
}

fn runs(seed: u64, month: Month, jobs: usize) -> Vec<PlannedRun> {
    let mut dice = Dice::of(seed, "organisation", "");
    let bursts: Vec<u64> = (0..40).map(|_| moment(&mut dice, month)).collect();
    let mut runs = Vec::new();
    let mut left = jobs;
    while left > 0 {
        let at = match dice.number(0, 100) {
            // Merge queues, and bots that update shared dependencies.
            0..10 => *dice.one_of(&bursts) + dice.number(0, 180),
            10..16 => dice.number(0, month.length().as_secs() / DAY) * DAY + NIGHTLY * HOUR + dice.number(0, 600),
            _ => moment(&mut dice, month),
        };
        let works = matrix(&mut dice, left);
        left -= works.len();
        let mut run = PlannedRun::simple(repository(&mut dice), Duration::from_secs(at), Duration::ZERO);
        run.at += dice.millis(0, 1000);
        run.jobs = works;
        run.fails = dice.happens(0.08);
        run.rerun = (run.fails && dice.happens(0.25)).then(|| dice.seconds(30, 900));
        run.cancelled = dice.happens(0.03).then(|| dice.seconds(20, 1200));
        runs.push(run);
    }
    runs
}

/// Returns a second of the month in working hours.
fn moment(dice: &mut Dice, month: Month) -> u64 {
    let most = HOURS.iter().copied().max().unwrap_or(1);
    loop {
        let at = dice.number(0, month.length().as_secs());
        let likely = if is_weekend(month.begins(), at) {
            WEEKEND
        } else {
            HOURS[usize::try_from(at / HOUR % 24).unwrap_or(0)]
        };
        if dice.number(0, most) < likely {
            return at;
        }
    }
}

fn is_weekend(begins: Timestamp, at: u64) -> bool {
    let days = begins.seconds().div_euclid(86_400) + i64::try_from(at / DAY).unwrap_or(0);
    // The epoch was a Thursday.
    matches!((days + 4).rem_euclid(7), 0 | 6)
}

/// Returns how long each job of a run takes: mostly few jobs, now and then a matrix.
fn matrix(dice: &mut Dice, most: usize) -> Vec<Duration> {
    let count = match dice.number(0, 1000) {
        0..450 => 1,
        450..700 => dice.number(2, 5),
        700..880 => dice.number(4, 10),
        880..970 => dice.number(10, 21),
        970..995 => dice.number(21, 65),
        _ => dice.number(100, 257),
    };
    let count = usize::try_from(count).unwrap_or(1).min(most);
    let minutes = match dice.number(0, 100) {
        0..60 => dice.number(2, 10),
        60..90 => dice.number(10, 30),
        90..99 => dice.number(30, 60),
        _ => dice.number(60, 90),
    };
    // The jobs of a matrix are similar.
    (0..count)
        .map(|_| Duration::from_mins(minutes) * u32::try_from(dice.number(70, 120)).unwrap_or(100) / 100)
        .collect()
}

/// Returns a repository: some are busy, most are not.
fn repository(dice: &mut Dice) -> u64 {
    let weight = |number: u64| 1_000_000 / (number + 4);
    let mut thrown = dice.number(0, (0..REPOSITORIES).map(weight).sum());
    for number in 0..REPOSITORIES {
        if thrown < weight(number) {
            return number;
        }
        thrown -= weight(number);
    }
    0
}
