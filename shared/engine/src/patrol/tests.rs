use super::*;
use crate::fixtures::now;

#[test]
fn items_beyond_one_patrol_are_visited_by_the_next_ones() {
    let few: Vec<u32> = (0..40).collect();
    assert_eq!(rotate(few.clone(), 40, now()), few);
    for count in [41, 43, 80, 100, 200] {
        let mut seen = std::collections::BTreeSet::new();
        for patrol in 0..6 {
            let at = now().after(patrol * PATROL_EVERY);
            let some = rotate((0..count).collect(), 40, at);
            assert_eq!(some.len(), 40);
            seen.extend(some);
        }
        assert_eq!(seen.len(), count, "within an hour and a half");
    }
}

#[test]
fn every_repository_is_visited_while_others_come_and_go() {
    let name = |number: u32| -> Repository { format!("octo/r{number:03}").parse().unwrap() };
    let mut all: BTreeMap<Repository, u32> = (0..120).map(|number| (name(number), number)).collect();
    let (mut last, mut seen) = (None, std::collections::BTreeSet::new());
    for patrol in 0..3 {
        let next = next_repositories(&all, last.as_ref(), 50);
        assert_eq!(next.len(), 50);
        seen.extend(next.iter().map(|(_, number)| *number));
        last = next.last().map(|(name, _)| name.clone());
        // One repository becomes active and one stops being so.
        all.insert(name(200 + patrol), 200 + patrol);
        all.remove(&name(patrol));
    }
    assert!((0..120).all(|number| seen.contains(&number)), "{seen:?}");
}

#[test]
fn few_repositories_are_all_visited_once_by_every_patrol() {
    let all: BTreeMap<Repository, u32> = ["octo/a", "octo/b", "octo/c"]
        .map(|name| (name.parse().unwrap(), 1))
        .into();
    for last in [
        None,
        Some("octo/a"),
        Some("octo/b"),
        Some("octo/bb"),
        Some("octo/c"),
        Some("octo/z"),
    ] {
        let last = last.map(|name| name.parse().unwrap());
        let mut next: Vec<String> = next_repositories(&all, last.as_ref(), 50)
            .into_iter()
            .map(|(name, _)| name.to_string())
            .collect();
        next.sort();
        assert_eq!(next, ["octo/a", "octo/b", "octo/c"], "behind {last:?}");
    }
    assert!(next_repositories(&BTreeMap::<Repository, u32>::new(), None, 50).is_empty());
}
