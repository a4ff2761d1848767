use dayfly_policy::Limit;
use dayfly_types::ids::{JobId, JobKey, RunAttempt};
use proptest::prelude::*;

use super::*;
use crate::fixtures::{self, claimed, deadlines, launched, now, plan};
use crate::launch::{claim, fleet, outcome};

fn name(job: u64) -> RunnerName {
    let key = JobKey {
        job: JobId(job),
        attempt: RunAttempt(1),
    };
    RunnerName::of(key, 1)
}

fn wants(job: u64, repository: &str) -> WaitingRunner<RunnerName> {
    WaitingRunner {
        id: name(job),
        repository: repository.parse().unwrap(),
        vcpus: 4,
        since: now(),
    }
}

fn in_stack(runners: u32) -> Limits {
    Limits {
        stack: Limit {
            runners: Some(runners),
            vcpus: None,
        },
        ..Limits::default()
    }
}

fn after(seconds: u64) -> Timestamp {
    now().after(Duration::from_secs(seconds))
}

/// The gate after those have asked, one after the other, who want in.
fn asked(limits: &Limits, asking: &[WaitingRunner<RunnerName>]) -> Gate {
    asking.iter().fold(Gate::default(), |known, one| {
        pass(&known, limits, std::slice::from_ref(one), fleet::MOST, now()).gate
    })
}

fn has_place(gate: &Gate, job: u64) -> bool {
    gate.repositories
        .values()
        .any(|line| line.slots.contains_key(&name(job)))
}

fn waits(gate: &Gate, job: u64) -> bool {
    waiter(gate, &name(job)).is_some()
}

#[test]
fn runners_take_free_slots_and_the_rest_wait_in_order() {
    let asking = [wants(1, "o/a"), wants(2, "o/a"), wants(3, "o/a"), wants(4, "o/b")];
    let passed = pass(&Gate::default(), &in_stack(2), &asking, fleet::MOST, now());
    assert_eq!(passed.go, BTreeSet::from([name(1), name(4)]));
    let order: Vec<_> = passed
        .wait
        .iter()
        .map(|one| (one.id.clone(), one.place, one.of))
        .collect();
    assert_eq!(order, [(name(2), 1, 2), (name(3), 2, 2)]);
    assert!(has_place(&passed.gate, 1) && waits(&passed.gate, 2));
    assert_eq!(passed.gate.due_at, Some(now().after(RECONCILE_WAITING)));
}

#[test]
fn call_admits_what_it_has_room_for_and_makes_none_wait() {
    let asking: Vec<_> = (1..=5).map(|job| wants(job, "o/a")).collect();
    let passed = pass(&Gate::default(), &in_stack(9), &asking, 2, now());
    assert_eq!((passed.go.len(), passed.wait.len(), passed.never.len()), (2, 0, 0));
    let passed = pass(&passed.gate, &in_stack(9), &asking[2..], 9, now());
    assert_eq!(passed.go.len(), 3);
}

#[test]
fn runner_in_turn_is_called_and_none_takes_its_slot() {
    let full = asked(&in_stack(1), &[wants(1, "o/a"), wants(2, "o/b")]);
    let (free, call) = leave(&full, &name(1), now()).unwrap();
    assert_eq!(call, [name(2)]);
    let passed = pass(&free, &in_stack(1), &[wants(3, "o/c")], fleet::MOST, after(1));
    assert!(passed.go.is_empty(), "it came later");
    assert_eq!(passed.call, [], "the other was called a moment ago");
    let late = pass(
        &free,
        &in_stack(1),
        &[wants(3, "o/c")],
        fleet::MOST,
        now().after(CALL_AGAIN),
    );
    assert_eq!(late.call, [name(2)], "that may have got lost");
    let passed = pass(&passed.gate, &in_stack(1), &[wants(2, "o/b")], fleet::MOST, after(2));
    assert_eq!(passed.go, BTreeSet::from([name(2)]));
}

#[test]
fn runner_that_is_not_in_the_gate_leaves_nothing_behind() {
    let full = asked(&in_stack(1), &[wants(1, "o/a")]);
    assert_eq!(leave(&full, &name(2), now()), None);
    let (empty, call) = leave(&full, &name(1), now()).unwrap();
    assert_eq!((empty.due_at, call), (None, vec![]), "nothing stays awake for it");
    assert_eq!(leave(&empty, &name(1), now()), None);
}

#[test]
fn requests_do_not_postpone_the_reconciliation() {
    let first = asked(&in_stack(1), &[wants(1, "o/a"), wants(2, "o/a")]);
    let later = pass(&first, &in_stack(1), &[wants(3, "o/a")], fleet::MOST, after(60)).gate;
    assert_eq!(later.due_at, first.due_at);
    let (later, _) = leave(&later, &name(1), after(90)).unwrap();
    assert_eq!(later.due_at, first.due_at);
    let (looked, _) = reconcile(&later, &[], &[], after(120));
    assert_eq!(looked.due_at, Some(after(120).after(RECONCILE_WAITING)));
}

#[test]
fn reconciliation_repairs_the_gate_and_calls_the_first() {
    let full = asked(
        &in_stack(2),
        &[wants(1, "o/a"), wants(2, "o/a"), wants(3, "o/b"), wants(4, "o/b")],
    );
    let living = SlotHolder {
        name: name(9),
        repository: "o/c".parse().unwrap(),
        vcpus: 8,
    };
    let (looked, call) = reconcile(&full, &[name(1), name(4)], std::slice::from_ref(&living), after(1));
    assert!(!has_place(&looked, 1) && !waits(&looked, 4) && has_place(&looked, 9));
    assert_eq!(call, [name(3)], "it is the first, and asks what the policy says now");
    let (again, call) = reconcile(&looked, &[name(2)], &[living], after(200));
    assert_eq!(call, [name(3)], "it is its turn");
    assert!(
        again.repositories.contains_key(&"o/a".parse().unwrap()),
        "its last turn is remembered"
    );
}

#[test]
fn runner_that_moved_up_is_called_once_in_a_while() {
    let full = asked(&in_stack(1), &(1..=4).map(|job| wants(job, "o/a")).collect::<Vec<_>>());
    let (moved, _) = leave(&full, &name(2), after(1)).unwrap();
    assert_eq!(reconcile(&moved, &[], &[], after(10)).1, [name(3)]);
    let late = now().after(REPORT_AGAIN);
    assert_eq!(reconcile(&moved, &[], &[], late).1, [name(3), name(4)]);
    let told = pass(&moved, &in_stack(1), &[wants(4, "o/a")], fleet::MOST, late).gate;
    assert_eq!(reconcile(&told, &[], &[], late.after(REPORT_AGAIN)).1, [name(3)]);
}

#[test]
fn removed_limits_release_all_runners_some_at_a_time() {
    let asking: Vec<_> = (1..=60).map(|job| wants(job, "o/a")).collect();
    let full = pass(&Gate::default(), &in_stack(1), &asking, fleet::MOST, now()).gate;
    let passed = pass(&full, &Limits::default(), &[wants(2, "o/a")], fleet::MOST, after(1));
    assert_eq!(passed.go, BTreeSet::from([name(2)]));
    assert_eq!(passed.call.len(), MAX_CALLS);
    let next = pass(
        &passed.gate,
        &Limits::default(),
        &[wants(3, "o/a")],
        fleet::MOST,
        after(2),
    );
    assert!(next.call.len() == MAX_CALLS && !passed.call.iter().any(|name| next.call.contains(name)));
}

#[test]
fn live_runners_are_recounted_if_the_gate_may_not_know_them() {
    let full = asked(&in_stack(2), &[wants(1, "o/a")]);
    assert!(is_kept(&full, &in_stack(2)));
    assert!(is_kept(&Gate::default(), &Limits::default()), "nobody asks");
    for (known, limits) in [(Gate::default(), in_stack(2)), (full.clone(), in_stack(3))] {
        assert!(!is_kept(&known, &limits));
    }
    let (empty, _) = leave(&full, &name(1), now()).unwrap();
    assert!(
        !is_kept(&empty, &in_stack(2)),
        "limits may have been away and come back"
    );
}

#[test]
fn slot_follows_from_the_runners_record() {
    let (_, requested) = claimed(11);
    let placed = with_slot(requested.clone(), now());
    let of = |state| fixtures::runner(state);
    let called = Runner {
        fleet: Some(dayfly_types::ids::FleetId::new("t")),
        ..placed.clone()
    };
    let dropped = claim::drop_launch(placed.clone(), now(), &deadlines());
    let dropped_in_call = claim::drop_launch(called.clone(), now(), &deadlines());
    let ended = Runner {
        instance_ended: true,
        ..of(RunnerState::Lost)
    };
    for (what, runner, has_one, stale) in [
        ("waits", requested, false, false),
        ("goes on to its next attempt", placed, true, false),
        ("is in a call", called, true, false),
        ("was dropped before it was called for", dropped, false, true),
        ("was dropped while it was", dropped_in_call, true, false),
        ("runs", of(RunnerState::Busy), true, false),
        ("ends", of(RunnerState::Lost), true, false),
        ("has no instance any more", ended, false, true),
        ("is gone", of(RunnerState::Gone), false, true),
    ] {
        assert_eq!(
            (slot_of(&runner).is_some(), is_stale(Some(&runner))),
            (has_one, stale),
            "{what}"
        );
    }
    assert!(is_stale(None));
}

#[test]
fn runner_counts_its_largest_type_until_it_has_an_instance() {
    let (_, mut runner) = claimed(11);
    let mut large = plan().option().clone();
    large.spec.instance_types = vec![InstanceType::new("g5.12xlarge"), InstanceType::new("g5.xlarge")];
    runner.plan = LaunchPlan::new(plan().option().clone(), vec![large]);
    assert_eq!(slot_request(&runner).vcpus, 48);
    runner.launched = Some(launched("i-1"));
    assert_eq!(slot_of(&runner).unwrap().vcpus, 4);
    assert!(
        vcpus(&InstanceType::new("z9.enormous")) >= 192,
        "one that nobody knows is taken for large"
    );
}

#[test]
fn runner_that_moved_on_neither_waits_nor_is_refused() {
    let (job, runner) = claimed(11);
    let refused = Refused {
        rule: "limits.stack.vcpus".to_owned(),
        reason: "too large".to_owned(),
    };
    let refuse = |runner, job, attempted: fn(Refused) -> outcome::TryOutcome| {
        outcome::record(runner, Some(job), attempted(refused.clone()), now(), &deadlines())
    };
    let given_up = refuse(runner.clone(), job.clone(), outcome::TryOutcome::Refused);
    assert_eq!(given_up.runner.state, RunnerState::Gone);
    let dayfly_records::JobState::Refused { reason } = given_up.job.unwrap().state else {
        panic!("it is refused")
    };
    assert_eq!(reason, "policy rule `limits.stack.vcpus` of the stack: too large");
    let placed = with_slot(runner, now());
    let kept = refuse(placed.clone(), job.clone(), outcome::TryOutcome::Refused);
    assert_eq!((kept.runner, kept.job), (placed.clone(), None));
    let unaffordable = refuse(placed, job, outcome::TryOutcome::Unaffordable);
    assert_eq!(
        unaffordable.runner.state,
        RunnerState::Gone,
        "money is asked for with each attempt"
    );
}

#[test]
fn changed_place_is_reported_once_in_a_while() {
    let (job, _) = claimed(11);
    let content = |place| CheckContent::Queued {
        place,
        of: 9,
        words: "as the test has it".to_owned(),
    };
    let known = CheckRun::of(None, &job, content(5), now());
    assert!(is_worth_reporting(None, &content(5), now()));
    assert!(!is_worth_reporting(Some(&known), &content(4), after(60)));
    assert!(is_worth_reporting(Some(&known), &content(4), now().after(REPORT_AGAIN)));
    assert!(!is_worth_reporting(
        Some(&known),
        &content(5),
        now().after(REPORT_AGAIN)
    ));
    let found = CheckContent::Ended { tried: Vec::new() };
    assert!(is_worth_reporting(Some(&known), &found, now()));
}

#[test]
fn record_stays_small_and_no_repository_keeps_another_out() {
    let long = "a".repeat(39);
    let of = |index: u64, many: bool| {
        let repository = if many { 0 } else { index };
        format!("{long}/{}{repository:05}", "r".repeat(95))
    };
    for many in [true, false] {
        let asking: Vec<_> = (0..1500)
            .map(|index| WaitingRunner {
                since: after(index),
                ..wants(u64::MAX - index, &of(index, many))
            })
            .collect();
        let mut full = Gate::default();
        for some in asking.chunks(fleet::MOST) {
            full = pass(&full, &in_stack(5000), some, fleet::MOST, now()).gate;
        }
        full = pass(
            &full,
            &in_stack(5000),
            &[wants(1, "hexo/single")],
            fleet::MOST,
            after(9),
        )
        .gate;
        assert!(waits(&full, 1), "many: {many}");
        let places: usize = full.repositories.values().map(|line| line.slots.len()).sum();
        let waiting: usize = full.repositories.values().map(|line| line.waiting.len()).sum();
        assert_eq!((places, waiting), (1000, MAX_WAITING), "many: {many}");
        let bytes = serde_json::to_vec(&full).unwrap().len();
        assert!(bytes < 390 * 1024, "{bytes} bytes, and DynamoDB takes 400 KB");
    }
}

#[test]
fn gate_remembers_a_limited_number_of_idle_repositories() {
    let mut known = Gate::default();
    for job in 1..=200 {
        let asking = [wants(job, &format!("o/r{job}"))];
        known = pass(&known, &in_stack(5), &asking, fleet::MOST, after(job)).gate;
        known = leave(&known, &name(job), after(job)).unwrap().0;
    }
    assert_eq!(known.repositories.len(), MAX_REMEMBERED);
    assert!(
        known.repositories.contains_key(&"o/r200".parse().unwrap()),
        "the latest"
    );
}

#[derive(Clone, Debug)]
enum Act {
    Asks(u64, u8),
    Leaves(u64),
    Looked,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0u64..30, 0u8..4).prop_map(|(job, repository)| Act::Asks(job, repository)),
        (0u64..30).prop_map(Act::Leaves),
        Just(Act::Looked),
    ]
}

proptest! {
    #[test]
    fn no_limit_is_exceeded_and_no_runner_is_lost(
        acts in proptest::collection::vec(act(), 1..120), most in 1u32..6, of_one in 1u32..4,
    ) {
        let mut limits = in_stack(most);
        limits.repository.runners = Some(of_one);
        let mut known = Gate::default();
        let mut there: std::collections::BTreeMap<u64, u8> = std::collections::BTreeMap::new();
        for (step, act) in (1u64..).zip(acts) {
            let at = after(step * 40);
            known = match act {
                Act::Asks(job, repository) => {
                    let repository = *there.entry(job).or_insert(repository);
                    if has_place(&known, job) {
                        continue;
                    }
                    let asking = [wants(job, &format!("o/r{repository}"))];
                    pass(&known, &limits, &asking, fleet::MOST, at).gate
                }
                Act::Leaves(job) => {
                    there.remove(&job);
                    leave(&known, &name(job), at).map_or(known.clone(), |(next, _)| next)
                }
                Act::Looked => reconcile(&known, &[], &[], at).0,
            };
            let count = |line: &RepositorySlots| u32::try_from(line.slots.len()).unwrap();
            prop_assert!(known.repositories.values().map(count).sum::<u32>() <= most);
            prop_assert!(known.repositories.values().map(count).all(|count| count <= of_one));
            for job in there.keys() {
                prop_assert!(has_place(&known, *job) || waits(&known, *job));
            }
            prop_assert_eq!(known.due_at.is_some(), !there.is_empty());
        }
    }
}
