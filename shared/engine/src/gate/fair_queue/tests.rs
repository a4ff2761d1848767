use proptest::prelude::*;

use super::*;

fn repository(name: &str) -> Repository {
    name.parse().unwrap()
}

fn runs(name: &str, vcpus: u32) -> RunningLoad {
    RunningLoad {
        repository: repository(name),
        vcpus,
    }
}

fn wants(id: u32, name: &str, vcpus: u32, since: i64) -> WaitingRunner<u32> {
    WaitingRunner {
        id,
        repository: repository(name),
        vcpus,
        since: Timestamp::from_seconds(since),
    }
}

fn limit(runners: Option<u32>, vcpus: Option<u32>) -> Limit {
    Limit { runners, vcpus }
}

fn in_stack(runners: Option<u32>, vcpus: Option<u32>) -> Limits {
    Limits {
        stack: limit(runners, vcpus),
        ..Limits::default()
    }
}

fn places(turns: &Turns<u32>) -> Vec<u32> {
    turns.queued.iter().map(|one| one.id).collect()
}

#[test]
fn without_limits_all_are_next_in_fair_turns() {
    let waiting = vec![
        wants(1, "o/a", 4, 1),
        wants(2, "o/a", 4, 2),
        wants(3, "o/a", 4, 3),
        wants(4, "o/b", 4, 9),
    ];
    let turns = turns(&Limits::default(), &[], &LastTurns::new(), waiting);
    assert_eq!(turns.next, [1, 4, 2, 3]);
    assert!(turns.queued.is_empty() && turns.never.is_empty());
}

#[test]
fn single_job_is_next_although_a_matrix_came_first() {
    let mut waiting: Vec<_> = (0..256).map(|id| wants(id, "o/matrix", 4, 1)).collect();
    waiting.push(wants(999, "o/single", 4, 60));
    let running: Vec<_> = (0..10).map(|_| runs("o/matrix", 4)).collect();
    let turns = turns(&in_stack(Some(11), None), &running, &LastTurns::new(), waiting);
    assert_eq!(turns.next, [999]);
    assert_eq!(
        (turns.queued.len(), turns.queued[0].place, turns.queued[255].place),
        (256, 1, 256)
    );
}

#[test]
fn matrix_whose_runners_ended_waits_for_repositories_without_a_turn() {
    let waiting = vec![
        wants(1, "o/matrix", 4, 1),
        wants(2, "o/late", 4, 50),
        wants(3, "o/later", 4, 60),
    ];
    let at = |name: &str, second| (repository(name), Timestamp::from_seconds(second));
    let last = LastTurns::from([at("o/matrix", 40), at("o/late", 30)]);
    let turns = turns(&in_stack(Some(1), None), &[], &last, waiting);
    assert_eq!((turns.next.as_slice(), places(&turns)), (&[3][..], vec![2, 1]));
}

#[test]
fn each_limit_holds_back_only_the_jobs_in_its_scope() {
    let limits = Limits {
        stack: limit(Some(5), None),
        organization: limit(Some(2), None),
        repository: limit(None, Some(8)),
    };
    let waiting = vec![
        wants(1, "o/a", 8, 1),
        wants(2, "o/a", 8, 2),
        wants(3, "O/b", 4, 3),
        wants(4, "o/c", 4, 4),
        wants(5, "p/a", 4, 5),
        wants(6, "q/a", 4, 6),
        wants(7, "r/a", 4, 7),
        wants(8, "s/a", 4, 8),
    ];
    let turns = turns(&limits, &[], &LastTurns::new(), waiting);
    assert_eq!(turns.next, [1, 3, 5, 6, 7]);
    let said: Vec<_> = turns
        .queued
        .iter()
        .map(|one| (one.id, one.limit.rule.as_str()))
        .collect();
    assert_eq!(
        said,
        [
            (4, "limits.organization.runners"),
            (8, "limits.stack.runners"),
            (2, "limits.organization.runners")
        ]
    );
}

#[test]
fn remainder_is_kept_for_the_large_machine_in_turn() {
    let waiting = vec![wants(1, "o/large", 48, 1), wants(2, "o/small", 4, 2)];
    let running = [runs("o/small", 32)];
    let turns = turns(&in_stack(None, Some(64)), &running, &LastTurns::new(), waiting);
    assert_eq!((turns.next, turns.queued[0].id), (vec![], 1));
}

#[test]
fn impossible_runner_is_refused_and_holds_none_back() {
    let waiting = vec![wants(1, "o/large", 96, 1), wants(2, "o/small", 4, 2)];
    let turns = turns(&in_stack(None, Some(64)), &[], &LastTurns::new(), waiting);
    assert_eq!(turns.next, [2]);
    let (id, refused) = &turns.never[0];
    assert_eq!(
        (*id, refused.to_string().as_str()),
        (
            1,
            "policy rule `limits.stack.vcpus` of the stack: the job may get an instance of 96 vCPUs, and 64 vCPUs at once in the stack are the most: name a smaller instance type"
        )
    );
}

#[test]
fn waiting_job_learns_its_place_and_the_limit() {
    let waiting = vec![wants(1, "o/a", 4, 1), wants(2, "o/b", 4, 2)];
    let limits = Limits {
        repository: limit(Some(1), None),
        ..Limits::default()
    };
    let turns = turns(&limits, &[runs("o/a", 4), runs("o/b", 4)], &LastTurns::new(), waiting);
    assert_eq!(
        turns.queued[1].words(),
        "It waits for its turn, at place 2 of 2: the policy rule `limits.repository.runners` of the stack lets 1 runners run at once in `o/b`"
    );
}

fn any_limit() -> impl Strategy<Value = Limit> {
    (
        proptest::option::of(1u32..8),
        proptest::option::of(prop_oneof![Just(4u32), Just(8), Just(20), Just(64)]),
    )
        .prop_map(|(runners, vcpus)| limit(runners, vcpus))
}

fn any_limits() -> impl Strategy<Value = Limits> {
    (any_limit(), any_limit(), any_limit()).prop_map(|(stack, organization, repository)| Limits {
        stack,
        organization,
        repository,
    })
}

fn any_name() -> impl Strategy<Value = String> {
    (0u8..3, 0u8..3).prop_map(|(owner, name)| format!("o{owner}/r{name}"))
}

fn any_vcpus() -> impl Strategy<Value = u32> {
    prop_oneof![Just(4u32), Just(8), Just(16), Just(48)]
}

fn all_running() -> impl Strategy<Value = Vec<RunningLoad>> {
    let one = (any_name(), any_vcpus()).prop_map(|(name, vcpus)| runs(&name, vcpus));
    proptest::collection::vec(one, 0..12)
}

fn all_waiting() -> impl Strategy<Value = Vec<WaitingRunner<u32>>> {
    proptest::collection::vec((any_name(), any_vcpus(), 0i64..50), 0..40).prop_map(|all| {
        let numbered = (0u32..).zip(all);
        numbered
            .map(|(id, (name, vcpus, since))| wants(id, &name, vcpus, since))
            .collect()
    })
}

/// Runners and vCPUs of those of whom `whose` says so.
fn load(all: &[RunningLoad], whose: impl Fn(&Repository) -> bool) -> (u32, u32) {
    let those = all.iter().filter(|one| whose(&one.repository));
    those.fold((0, 0), |(runners, vcpus), one| (runners + 1, vcpus + one.vcpus))
}

fn is_within(limit: Limit, (runners, vcpus): (u32, u32)) -> bool {
    limit.runners.is_none_or(|most| runners <= most) && limit.vcpus.is_none_or(|most| vcpus <= most)
}

fn all_within(limits: &Limits, all: &[RunningLoad]) -> bool {
    all.iter().all(|one| {
        is_within(limits.repository, load(all, |other| *other == one.repository))
            && is_within(
                limits.organization,
                load(all, |other| other.owner() == one.repository.owner()),
            )
    }) && is_within(limits.stack, load(all, |_| true))
}

fn after(mut running: Vec<RunningLoad>, waiting: &[WaitingRunner<u32>], turns: &Turns<u32>) -> Vec<RunningLoad> {
    let launched = waiting.iter().filter(|one| turns.next.contains(&one.id));
    running.extend(launched.map(|one| RunningLoad {
        repository: one.repository.clone(),
        vcpus: one.vcpus,
    }));
    running
}

proptest! {
    #[test]
    fn next_runners_exceed_no_limit(limits in any_limits(), running in all_running(), waiting in all_waiting()) {
        let turns = turns(&limits, &running, &LastTurns::new(), waiting.clone());
        let before = all_within(&limits, &running);
        let now = after(running.clone(), &waiting, &turns);
        // A limit that was lowered may be passed already: then nobody is let in under it.
        prop_assert!(!before || all_within(&limits, &now));
        for one in waiting.iter().filter(|one| turns.next.contains(&one.id)) {
            let repository = load(&now, |other| *other == one.repository);
            let organization = load(&now, |other| other.owner() == one.repository.owner());
            prop_assert!(is_within(limits.repository, repository));
            prop_assert!(is_within(limits.organization, organization));
            prop_assert!(is_within(limits.stack, load(&now, |_| true)));
        }
    }

    #[test]
    fn every_runner_is_next_or_queued_or_refused(limits in any_limits(), running in all_running(), waiting in all_waiting()) {
        let turns = turns(&limits, &running, &LastTurns::new(), waiting.clone());
        let mut all: Vec<u32> = turns.next.iter().copied().chain(places(&turns)).chain(turns.never.iter().map(|(id, _)| *id)).collect();
        all.sort_unstable();
        let wanted: Vec<u32> = waiting.iter().map(|one| one.id).collect();
        prop_assert_eq!(all, wanted);
        for (index, one) in turns.queued.iter().enumerate() {
            prop_assert_eq!((one.place, one.of), (index + 1, turns.queued.len()));
        }
    }

    #[test]
    fn order_of_the_inputs_makes_no_difference(limits in any_limits(), running in all_running(), waiting in all_waiting()) {
        let mut other = waiting.clone();
        other.reverse();
        let mut these = turns(&limits, &running, &LastTurns::new(), waiting);
        let mut those = turns(&limits, &running, &LastTurns::new(), other);
        these.never.sort_by_key(|(id, _)| *id);
        those.never.sort_by_key(|(id, _)| *id);
        prop_assert_eq!(these, those);
    }

    #[test]
    fn no_repository_gets_ahead_of_a_waiting_one_with_fewer_runners(
        most in 1u32..8, running in all_running(), waiting in all_waiting(),
    ) {
        let limits = in_stack(Some(most), None);
        let turns = turns(&limits, &running, &LastTurns::new(), waiting.clone());
        let now = after(running, &waiting, &turns);
        let of = |name: &Repository| load(&now, |other| other == name).0;
        for one in waiting.iter().filter(|one| turns.next.contains(&one.id)) {
            for other in waiting.iter().filter(|other| !turns.next.contains(&other.id)) {
                prop_assert!(of(&one.repository) <= of(&other.repository) + 1);
            }
        }
    }

    #[test]
    fn single_job_launches_as_soon_as_enough_runners_ended(
        most in 1u32..20, ends in proptest::collection::vec(any::<prop::sample::Index>(), 400), large: bool, came in 0usize..200,
    ) {
        // A matrix of 256 jobs has the stack; a job of another repository comes, which may be as large as all of it.
        let limits = in_stack(None, Some(most * 4));
        let single = wants(999, "p/single", if large { most * 4 } else { 4 }, 1000);
        let mut waiting: Vec<_> = (0..256).map(|id| wants(id, "o/matrix", 4, 1)).collect();
        let (mut running, mut last, mut waited) = (Vec::new(), LastTurns::new(), 0);
        for (step, end) in ends.iter().enumerate() {
            if step == came {
                waiting.push(single.clone());
            }
            let now = turns(&limits, &running, &last, waiting.clone());
            let had = waiting.iter().filter(|one| now.next.contains(&one.id));
            last.extend(had.map(|one| (one.repository.clone(), Timestamp::from_seconds(i64::try_from(step).unwrap()))));
            running = after(running, &waiting, &now);
            prop_assert!(all_within(&limits, &running));
            waiting.retain(|one| !now.next.contains(&one.id));
            if now.next.contains(&999) {
                break;
            }
            if waiting.iter().any(|one| one.id == 999) {
                waited += 1;
                prop_assert_eq!(places(&now)[0], 999, "nobody comes before it");
            }
            if !running.is_empty() {
                running.remove(end.index(running.len()));
            }
        }
        // One end makes room for a small one, and at most all of them for the largest.
        prop_assert!(waited <= if large { most } else { 1 }, "{waited}");
    }
}
