//! Many jobs of one run attempt are told by one check run.
//!
//! GitHub takes 80 writes of content a minute and 500 an hour from all that an installation does, so the
//! 256 jobs of a matrix that are given up at once cannot each have a check run of their own within two
//! minutes, and could not be corrected each by itself afterwards. The first few of a run attempt have
//! one; of more, all that have none yet share one, which names each of them. A lone job, and a lone run
//! of few, look as they always did.
//!
//! Each job's check run stays what it is, and stays due until it was told: whoever tells them together takes
//! hold of one check run more, that of the attempt, waits a moment for those that come right behind, and
//! tells all there are. Whoever finds it held leaves his to whoever holds it, and to the sweeper should
//! that one die.

use std::time::Duration;

use dayfly_records::{CheckContent, CheckRun, CombinedPart, MessengerNews, TokenTerms};
use dayfly_types::deadlines::SAYING;
use dayfly_types::ids::JobKey;
use dayfly_types::time::Timestamp;

/// How many check runs of a run attempt there may be for each to have a check run of its own.
pub const APART: usize = 5;

/// How long whoever tells many together waits for more of them.
pub const GATHER: Duration = Duration::from_secs(2);

/// How many writes of content are left to what cannot wait, by what can: that all is well after all, or
/// that something is tried again. With those that flow in they are enough for as many runs whose jobs are
/// given up at once.
const LEFT_TO_URGENT: u32 = 40;

/// Whether a check run is told by a check run of its own, or may be: it was asked for.
#[must_use]
pub fn has_its_own(check_run: &CheckRun) -> bool {
    check_run.check.is_some() || check_run.asked
}

/// Whether a check run is one of those that are told together.
#[must_use]
pub fn is_member(check_run: &CheckRun) -> bool {
    !check_run.key.is_of_all() && !check_run.key.is_story() && !has_its_own(check_run)
}

/// On what terms a write of content is wanted that says this.
#[must_use]
pub fn terms(content: &CheckContent) -> TokenTerms {
    let leaving = if is_urgent(content) { 0 } else { LEFT_TO_URGENT };
    TokenTerms::Now { leaving }
}

/// Whether it is promised soon.
fn is_urgent(content: &CheckContent) -> bool {
    match content {
        CheckContent::GivenUp { .. } => true,
        CheckContent::Combined { parts } => parts.iter().any(|part| is_urgent(&part.content)),
        CheckContent::Waiting { .. }
        | CheckContent::Queued { .. }
        | CheckContent::Launched { .. }
        | CheckContent::Interrupted { .. }
        | CheckContent::Again { .. }
        | CheckContent::Over { .. }
        | CheckContent::Story { .. } => false,
    }
}

/// The check run of all jobs of the attempt that a check run is of, held by whoever records it; nothing if
/// somebody else is at it, or its time has not come.
#[must_use]
pub fn hold(known: Option<&CheckRun>, member: &CheckRun, now: Timestamp) -> Option<CheckRun> {
    let of_all = known.map_or_else(|| empty(member), CheckRun::clone);
    // Where it was only we who left others the writes, it is not for what they were left to that it waits.
    let at_once = is_urgent(&member.content) && of_all.tries == 0;
    let not_before = of_all.not_before.filter(|_| !at_once);
    let left_alone = of_all.held_until.max(not_before).is_some_and(|until| until > now);
    (!left_alone).then(|| held(&of_all, now))
}

/// A check run while somebody is at it.
fn held(check_run: &CheckRun, now: Timestamp) -> CheckRun {
    let until = now.after(SAYING);
    CheckRun {
        held_until: Some(until),
        due_at: Some(until),
        ..check_run.clone()
    }
}

fn empty(member: &CheckRun) -> CheckRun {
    CheckRun {
        key: JobKey::of_all(member.key.attempt),
        job_name: String::new(),
        content: CheckContent::Combined { parts: Vec::new() },
        check: None,
        concluded: None,
        serial: 1,
        asked: false,
        held_until: None,
        tries: 0,
        not_before: None,
        due_at: None,
        ..member.clone()
    }
}

/// The check run that was held, once it is known whom it tells of: it is due, and held by nobody.
#[must_use]
pub fn compose<'a>(held: &CheckRun, members: impl Iterator<Item = &'a CheckRun>, now: Timestamp) -> CheckRun {
    let mut parts: Vec<CombinedPart> = Vec::new();
    let mut since = held.since;
    for member in members {
        since = since.max(member.since);
        let job = (member.key.job, member.job_name.clone());
        match parts.iter_mut().find(|known| is_alike(&known.content, &member.content)) {
            Some(known) => {
                known.jobs.push(job);
                known.content = clearer(&known.content, &member.content).clone();
            }
            None => parts.push(CombinedPart {
                content: member.content.clone(),
                jobs: vec![job],
            }),
        }
    }
    CheckRun {
        content: CheckContent::Combined { parts },
        since,
        held_until: None,
        not_before: None,
        due_at: Some(now),
        ..held.clone()
    }
}

/// Whether two jobs are told the same, but for times and places.
fn is_alike(one: &CheckContent, other: &CheckContent) -> bool {
    match (one, other) {
        (
            CheckContent::GivenUp { reason, messenger, .. },
            CheckContent::GivenUp {
                reason: other,
                messenger: its,
                ..
            },
        ) => reason == other && is_same_news(messenger, its),
        (CheckContent::Interrupted { next, .. }, CheckContent::Interrupted { next: other, .. }) => next == other,
        (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
    }
}

fn is_same_news(one: &MessengerNews, other: &MessengerNews) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

/// Of two that say the same, the one that tells more of what was tried; of a wait the one that ends first; of a
/// queue the place that is the first.
fn clearer<'a>(one: &'a CheckContent, other: &'a CheckContent) -> &'a CheckContent {
    match (one, other) {
        (CheckContent::Waiting { next_at, .. }, CheckContent::Waiting { next_at: other_at, .. })
            if other_at < next_at =>
        {
            other
        }
        (CheckContent::Queued { place, .. }, CheckContent::Queued { place: other_place, .. })
            if other_place < place =>
        {
            other
        }
        (CheckContent::GivenUp { tried, .. }, CheckContent::GivenUp { tried: others, .. })
            if others.len() > tried.len() =>
        {
            other
        }
        _ => one,
    }
}

/// The check run of all jobs once nothing is left to tell of any.
#[must_use]
pub fn let_go(held: &CheckRun) -> CheckRun {
    CheckRun {
        held_until: None,
        due_at: None,
        ..held.clone()
    }
}

/// A job's check run once it was told with others.
#[must_use]
pub fn told(member: &CheckRun) -> CheckRun {
    CheckRun {
        tries: 0,
        not_before: None,
        due_at: None,
        ..member.clone()
    }
}

/// A check run for which GitHub takes no write before after so long.
#[must_use]
pub fn put_off(check_run: &CheckRun, wait: Duration, now: Timestamp) -> CheckRun {
    let at = Some(now.after(wait));
    CheckRun {
        held_until: None,
        not_before: at,
        due_at: at,
        ..check_run.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{event, now};
    use crate::launch;
    use dayfly_types::ids::CheckRunId;

    fn given_up(reason: &str) -> CheckContent {
        CheckContent::GivenUp {
            reason: reason.to_owned(),
            tried: Vec::new(),
            messenger: MessengerNews::OnItsWay,
        }
    }

    fn waiting(seconds: u64) -> CheckContent {
        CheckContent::Waiting {
            next_at: now().after(Duration::from_secs(seconds)),
            tried: Vec::new(),
        }
    }

    fn check_run(job: u64, content: CheckContent) -> CheckRun {
        CheckRun::of(None, &launch::new_job(&event(job)), content, now())
    }

    #[test]
    fn jobs_that_are_told_the_same_are_told_it_once() {
        let members = [
            check_run(1, given_up("no quota")),
            check_run(2, waiting(60)),
            check_run(3, given_up("no quota")),
            check_run(4, given_up("no such image")),
            check_run(5, waiting(30)),
        ];
        let held = hold(None, &members[0], now()).unwrap();
        let CheckContent::Combined { parts } = compose(&held, members.iter(), now()).content else {
            panic!("they are told together")
        };
        let jobs: Vec<Vec<u64>> = parts
            .iter()
            .map(|part| part.jobs.iter().map(|(job, _)| job.0).collect())
            .collect();
        assert_eq!(jobs, [vec![1, 3], vec![2, 5], vec![4]]);
        assert_eq!(
            parts[1].content,
            waiting(30),
            "the next of its tries is what is waited for"
        );
    }

    #[test]
    fn only_one_holds_those_that_are_told_together() {
        let member = check_run(1, given_up("no quota"));
        let held = hold(None, &member, now()).unwrap();
        assert!(held.key.is_of_all() && (held.run, &held.head_sha) == (member.run, &member.head_sha));
        assert_eq!(hold(Some(&held), &member, now()), None);
        assert!(hold(Some(&held), &member, now().after(SAYING)).is_some(), "it died");
        assert!(hold(Some(&let_go(&held)), &member, now()).is_some());
        let wait = Duration::from_secs(8);
        let off = CheckRun {
            tries: 1,
            ..put_off(&held, wait, now())
        };
        assert_eq!(hold(Some(&off), &member, now()), None);
        assert!(hold(Some(&off), &member, now().after(wait)).is_some());
    }

    #[test]
    fn what_is_promised_soon_does_not_wait_with_what_is_not() {
        let (patient, urgent) = (check_run(1, waiting(60)), check_run(2, given_up("no quota")));
        let held = hold(None, &patient, now()).unwrap();
        let off = put_off(&held, Duration::from_secs(300), now());
        assert_eq!(hold(Some(&off), &patient, now()), None);
        assert!(hold(Some(&off), &urgent, now()).is_some());
        let by_github = CheckRun { tries: 1, ..off };
        assert_eq!(hold(Some(&by_github), &urgent, now()), None);
    }

    #[test]
    fn whoever_has_a_check_run_of_its_own_keeps_it() {
        let plain = check_run(1, waiting(60));
        assert!(is_member(&plain));
        let asked = CheckRun {
            asked: true,
            ..plain.clone()
        };
        let made = CheckRun {
            check: Some(CheckRunId(5)),
            ..plain.clone()
        };
        let of_all = hold(None, &plain, now()).unwrap();
        for other in [asked, made, of_all] {
            assert!(!is_member(&other), "{other:?}");
        }
    }

    #[test]
    fn what_can_wait_leaves_writes_to_what_cannot() {
        let together = |content: CheckContent| {
            compose(
                &empty(&check_run(1, content.clone())),
                [check_run(1, content)].iter(),
                now(),
            )
            .content
        };
        for (content, leaving) in [
            (given_up("no quota"), 0),
            (together(given_up("no quota")), 0),
            (waiting(60), LEFT_TO_URGENT),
            (together(waiting(60)), LEFT_TO_URGENT),
        ] {
            assert_eq!(terms(&content), TokenTerms::Now { leaving }, "{content:?}");
        }
    }
}
