//! What holds of all ledgers, whatever is reserved, settled and found, and however the caps change.

use std::time::Duration;

use dayfly_records::costs::Compute;
use proptest::prelude::*;

use super::*;
use crate::fixtures::{claimed, deadlines, now};

const RUNNERS: usize = 8;

#[derive(Clone, Debug)]
enum Act {
    /// The policy is another from now on.
    Caps([Option<u64>; 5]),
    /// So many minutes pass.
    Wait(u64),
    /// A runner asks for an instance at so much an hour: its first, or one of another kind.
    Reserve(usize, u64),
    /// Its instance ran so many minutes from so many after it was asked for.
    Settle(usize, u64, u64),
    /// Nothing came of what a runner had asked for.
    Release(usize),
    /// An instance that nobody owned has cost so much, in the month before or after the turn.
    Orphan(usize, u64, bool),
}

fn caps_drawn() -> impl Strategy<Value = [Option<u64>; 5]> {
    proptest::array::uniform5(proptest::option::weighted(0.7, 1u64..80_000_000))
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let who = 0..RUNNERS;
    let act = prop_oneof![
        1 => caps_drawn().prop_map(Act::Caps),
        2 => (1u64..180).prop_map(Act::Wait),
        6 => (who.clone(), 1u64..5_000_000).prop_map(|(who, per_hour)| Act::Reserve(who, per_hour)),
        4 => (who.clone(), 0u64..=370, 0u64..=30).prop_map(|(who, ran, late)| Act::Settle(who, ran, late)),
        1 => who.clone().prop_map(Act::Release),
        1 => (who, 1u64..9_000_000, any::<bool>()).prop_map(|(who, cost, next)| Act::Orphan(who, cost, next)),
    ];
    proptest::collection::vec(act, 1..80)
}

fn caps_of(drawn: [Option<u64>; 5]) -> Caps {
    let [stack, organization, repository, pull_request, actor] = drawn.map(|cap| cap.map(MicroDollars));
    Caps {
        stack,
        organization,
        repository,
        pull_request,
        actor,
    }
}

/// Eight runners of two repositories, for three pull requests or none, asked for by two users.
fn runner(who: usize) -> Runner {
    let (_, mut runner) = claimed(1 + who as u64);
    runner.repository = if who.is_multiple_of(2) {
        "octo/gpu"
    } else {
        "Octo/Other"
    }
    .parse()
    .unwrap();
    runner.attribution.pull = (who < 6).then_some(who as u64 / 2);
    runner.attribution.actor = Some(if who < 5 { "alice" } else { "bob" }.to_owned());
    runner
}

/// What a runner holds, and since when.
type Held = Vec<Option<(Reservation, Timestamp)>>;

struct Books {
    ledgers: Ledgers,
    held: Held,
    caps: Caps,
    now: Timestamp,
}

impl Books {
    /// All ledgers that there can be.
    fn ids() -> Vec<LedgerId> {
        let all = caps_of([Some(1); 5]);
        let mut ids: Vec<LedgerId> = (0..RUNNERS)
            .flat_map(|who| budgets(&runner(who), &all))
            .flat_map(|budget| {
                let month = Month::of(now());
                [month, month.next()].map(|month| LedgerId {
                    budget: budget.clone(),
                    month,
                })
            })
            .collect();
        ids.sort();
        ids.dedup();
        ids
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Caps(drawn) => self.caps = caps_of(drawn),
            Act::Wait(minutes) => self.now = self.now.after(Duration::from_mins(minutes)),
            Act::Reserve(who, per_hour) => self.reserve(who, per_hour),
            Act::Settle(who, ran, late) => {
                let Some((reserved, at)) = self.held[who].take() else {
                    return;
                };
                let from = at.after(Duration::from_mins(late));
                let compute = Compute::Flat(reserved.tariff.compute);
                let cost = reserved
                    .tariff
                    .cost(from, from.after(Duration::from_mins(ran)), &compute, false);
                self.ledgers.release(&reserved);
                self.ledgers.spend(&reserved.budgets, &cost, self.now);
            }
            Act::Release(who) => {
                if let Some((reserved, _)) = self.held[who].take() {
                    self.ledgers.release(&reserved);
                }
            }
            Act::Orphan(who, cost, next) => {
                let month = Month::of(now());
                let month = if next { month.next() } else { month };
                let amounts = Amounts {
                    compute: MicroDollars(cost),
                    ..Amounts::default()
                };
                let budgets = budgets_of(Some(&runner(who).repository));
                self.ledgers.spend(&budgets, &vec![(month, amounts)], self.now);
            }
        }
    }

    fn reserve(&mut self, who: usize, per_hour: u64) {
        let tariff = Tariff {
            compute: MicroDollars(per_hour),
            disk_month: MicroDollars(4_800_000),
            address: MicroDollars(5_000),
            source: PriceSource::Aws,
        };
        let wanted = reservation(&runner(who), tariff, &self.caps, self.now, &deadlines());
        let before = self.held[who].as_ref().map(|(reserved, _)| reserved);
        match self.ledgers.reserve(before, &wanted, &self.caps, self.now) {
            Ok(()) => self.held[who] = Some((wanted, self.now)),
            Err(over) => {
                self.ledgers.refused(&over, self.now);
                let ledger = self.ledgers.get(&over.ledger());
                assert!(ledger.passed.contains(&Threshold::Refused) && ledger.cap == Some(over.cap));
            }
        }
    }

    /// What is right of a ledger after an act, whatever it was before.
    fn look(&self, act: &Act, id: &LedgerId, before: &Ledger) {
        let after = self.ledgers.get(id);
        let holds = |(reserved, _): &(Reservation, Timestamp)| share_of(reserved, id);
        let held: MicroDollars = self.held.iter().flatten().map(holds).sum();
        assert_eq!(after.reserved, held, "what the living hold is reserved: {id:?}");

        let grew = after.committed() > before.committed();
        match act {
            Act::Reserve(..) => {
                let over = self.caps.of(&id.budget).is_some_and(|cap| after.committed() > cap);
                assert!(!(grew && over), "{act:?}: {before:?} became {after:?}");
            }
            // Nobody has asked a cap about what nobody owned.
            Act::Orphan(..) => {}
            Act::Settle(..) | Act::Release(..) | Act::Caps(_) | Act::Wait(_) => {
                assert!(!grew, "{act:?}: {before:?} became {after:?}");
            }
        }
        assert!(after.spent >= before.spent);
        thresholds_are_noted(before, &after);
    }
}

fn percent_spent(ledger: &Ledger, percent: u64) -> bool {
    let cap = ledger.cap.map(|cap| u128::from(cap.0));
    cap.is_some_and(|cap| u128::from(ledger.spent.0) * 100 >= cap * u128::from(percent))
}

/// Each threshold is noted once for each cap: exactly when it was reached.
fn thresholds_are_noted(before: &Ledger, after: &Ledger) {
    assert!(after.recorded.starts_with(&before.recorded), "what was noted stays so");
    assert_eq!(after.to_report, after.recorded, "nobody tells them here");
    let news = &after.recorded[before.recorded.len()..];
    for (threshold, percent) in [
        (Threshold::Half, 50),
        (Threshold::FourFifths, 80),
        (Threshold::All, 100),
    ] {
        let is_reached = percent_spent(after, percent);
        assert_eq!(
            after.passed.contains(&threshold),
            is_reached,
            "{percent} % of {after:?}"
        );
        let known = |one: &&(Threshold, MicroDollars)| one.0 == threshold && Some(one.1) == after.cap;
        let is_new = is_reached && !percent_spent(before, percent) && before.recorded.iter().find(known).is_none();
        let times = news.iter().filter(|one| one.0 == threshold).count();
        assert_eq!(times, usize::from(is_new), "{percent} %: {before:?} became {after:?}");
        assert_eq!(news.iter().filter(known).count(), times, "of the cap that holds");
    }
    let mut each = after.recorded.clone();
    each.sort();
    each.dedup();
    assert_eq!(each.len(), after.recorded.len(), "each once: {:?}", after.recorded);
}

proptest! {
    #[test]
    fn no_cap_is_exceeded_in_any_month_and_every_threshold_is_noted(acts in acts(), first in caps_drawn()) {
        let turn = Month::of(now()).ends();
        let mut books = Books {
            ledgers: Ledgers::default(),
            held: vec![None; RUNNERS],
            caps: caps_of(first),
            now: Timestamp::from_seconds(turn.seconds() - 8 * 3600),
        };
        let ids = Books::ids();
        prop_assert_eq!(ids.len(), 2 * 12);
        for act in acts {
            let before: Vec<Ledger> = ids.iter().map(|id| books.ledgers.get(id)).collect();
            books.act(&act);
            for (id, before) in ids.iter().zip(&before) {
                books.look(&act, id, before);
            }
        }
        for who in 0..RUNNERS {
            books.act(&Act::Release(who));
        }
        for id in &ids {
            prop_assert_eq!(books.ledgers.get(id).reserved.0, 0);
        }
    }
}
