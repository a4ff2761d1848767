//! Combined check runs: one check run for many jobs of a run attempt.
//!
//! GitHub takes 80 writes of content a minute and 500 an hour from an installation. So the 256 jobs of a matrix that
//! are given up at once cannot each get a check run within two minutes, nor each be corrected afterwards. The first few
//! jobs of a run attempt get one each; all others without one share the combined check run, which names each of them.
//!
//! Each job keeps its own record, which stays due until it is published. The publisher takes hold of the attempt's
//! combined record, waits a moment for jobs that follow closely, and publishes all that there are. A job that finds it
//! held is left to the holder, and to the sweeper in case the holder dies.

use std::time::Duration;

use dayfly_records::{CheckContent, CheckRun, CheckRunKey, CheckSubject, CombinedPart, TokenRequest};
use dayfly_types::deadlines::PUBLISH_LEASE;
use dayfly_types::time::Timestamp;

/// The check runs of a run attempt up to which each job gets its own.
pub const APART: usize = 5;

/// How long the publisher waits for more jobs.
pub const GATHER: Duration = Duration::from_secs(2);

/// The writes of content that reports without urgency (a recovery, a retry) leave to urgent ones. With those that flow
/// in they are enough for as many runs whose jobs are given up at once.
const LEFT_TO_URGENT: u32 = 40;

/// Whether a job has its own check run, or may have.
#[must_use]
pub fn has_its_own(check_run: &CheckRun) -> bool {
    check_run.check.is_some() || check_run.may_exist
}

/// Whether a job is part of the combined check run.
#[must_use]
pub fn is_member(check_run: &CheckRun) -> bool {
    check_run.key.job().is_some() && !has_its_own(check_run)
}

/// Returns the kind of token that publishing this content needs.
#[must_use]
pub fn token_request(content: &CheckContent) -> TokenRequest {
    let leaving = if is_urgent(content) { 0 } else { LEFT_TO_URGENT };
    TokenRequest::Now { leaving }
}

/// Whether its publication is promised soon.
fn is_urgent(content: &CheckContent) -> bool {
    match content {
        CheckContent::GivenUp { .. } => true,
        CheckContent::Combined { parts } => parts.iter().any(|part| is_urgent(&part.content)),
        CheckContent::Waiting { .. }
        | CheckContent::Queued { .. }
        | CheckContent::Launched { .. }
        | CheckContent::Interrupted { .. }
        | CheckContent::Rerun { .. }
        | CheckContent::Ended { .. }
        | CheckContent::Story { .. } => false,
    }
}

/// Takes hold of the combined check run of a job's attempt. Returns `None` if another holds it, or it is not due yet.
#[must_use]
pub fn hold(known: Option<&CheckRun>, member: &CheckRun, now: Timestamp) -> Option<CheckRun> {
    let combined = known.map_or_else(|| empty(member), CheckRun::clone);
    // A delay without a failed try was only to leave writes to urgent reports, such as this one.
    let at_once = is_urgent(&member.content) && combined.tries == 0;
    let not_before = combined.not_before.filter(|_| !at_once);
    let is_held = combined.held_until.max(not_before).is_some_and(|until| until > now);
    (!is_held).then(|| held(&combined, now))
}

fn held(check_run: &CheckRun, now: Timestamp) -> CheckRun {
    let until = now.after(PUBLISH_LEASE);
    CheckRun {
        held_until: Some(until),
        due_at: Some(until),
        ..check_run.clone()
    }
}

fn empty(member: &CheckRun) -> CheckRun {
    CheckRun {
        key: CheckRunKey::new(CheckSubject::Jobs, member.key.attempt),
        job_name: String::new(),
        content: CheckContent::Combined { parts: Vec::new() },
        check: None,
        concluded: None,
        serial: 1,
        may_exist: false,
        held_until: None,
        tries: 0,
        not_before: None,
        due_at: None,
        ..member.clone()
    }
}

/// Composes the held check run from the jobs. It is due then, and not held any more.
#[must_use]
pub fn compose<'a>(held: &CheckRun, members: impl Iterator<Item = &'a CheckRun>, now: Timestamp) -> CheckRun {
    let mut parts: Vec<CombinedPart> = Vec::new();
    let mut since = held.since;
    for member in members {
        since = since.max(member.since);
        let CheckSubject::Job(job) = member.key.of else {
            continue;
        };
        let job = (job, member.job_name.clone());
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

/// Whether two jobs have the same report, but for times and places.
fn is_alike(one: &CheckContent, other: &CheckContent) -> bool {
    match (one, other) {
        (
            CheckContent::GivenUp { reason, messenger, .. },
            CheckContent::GivenUp {
                reason: other,
                messenger: its,
                ..
            },
        ) => reason == other && std::mem::discriminant(messenger) == std::mem::discriminant(its),
        (CheckContent::Interrupted { next, .. }, CheckContent::Interrupted { next: other, .. }) => next == other,
        (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
    }
}

/// Returns the clearer of two equal reports: more failed tries, the earlier retry, or the earlier place.
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

/// Releases the combined check run once nothing is left to publish.
#[must_use]
pub fn release(held: &CheckRun) -> CheckRun {
    CheckRun {
        held_until: None,
        due_at: None,
        ..held.clone()
    }
}

/// Returns a job's record after its publication with others.
#[must_use]
pub fn published(member: &CheckRun) -> CheckRun {
    CheckRun {
        tries: 0,
        not_before: None,
        due_at: None,
        ..member.clone()
    }
}

/// Postpones a check run for which GitHub takes no write for so long.
#[must_use]
pub fn defer(check_run: &CheckRun, wait: Duration, now: Timestamp) -> CheckRun {
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
    use crate::launch::claim;
    use dayfly_records::MessengerReport;
    use dayfly_types::ids::CheckRunId;

    fn given_up(reason: &str) -> CheckContent {
        CheckContent::GivenUp {
            reason: reason.to_owned(),
            tried: Vec::new(),
            messenger: MessengerReport::OnItsWay,
        }
    }

    fn waiting(seconds: u64) -> CheckContent {
        CheckContent::Waiting {
            next_at: now().after(Duration::from_secs(seconds)),
            tried: Vec::new(),
        }
    }

    fn check_run(job: u64, content: CheckContent) -> CheckRun {
        CheckRun::of(None, &claim::new_job(&event(job)), content, now())
    }

    #[test]
    fn jobs_with_the_same_report_share_one_part() {
        let members = [
            check_run(1, given_up("no quota")),
            check_run(2, waiting(60)),
            check_run(3, given_up("no quota")),
            check_run(4, given_up("no such image")),
            check_run(5, waiting(30)),
        ];
        let held = hold(None, &members[0], now()).unwrap();
        let CheckContent::Combined { parts } = compose(&held, members.iter(), now()).content else {
            panic!("it is a combined check run")
        };
        let jobs: Vec<Vec<u64>> = parts
            .iter()
            .map(|part| part.jobs.iter().map(|(job, _)| job.0).collect())
            .collect();
        assert_eq!(jobs, [vec![1, 3], vec![2, 5], vec![4]]);
        assert_eq!(parts[1].content, waiting(30), "the earlier retry counts");
    }

    #[test]
    fn combined_check_run_has_one_holder() {
        let member = check_run(1, given_up("no quota"));
        let held = hold(None, &member, now()).unwrap();
        assert!(held.key.of == CheckSubject::Jobs && (held.run, &held.head_sha) == (member.run, &member.head_sha));
        assert_eq!(hold(Some(&held), &member, now()), None);
        assert!(
            hold(Some(&held), &member, now().after(PUBLISH_LEASE)).is_some(),
            "its holder died"
        );
        assert!(hold(Some(&release(&held)), &member, now()).is_some());
        let wait = Duration::from_secs(8);
        let off = CheckRun {
            tries: 1,
            ..defer(&held, wait, now())
        };
        assert_eq!(hold(Some(&off), &member, now()), None);
        assert!(hold(Some(&off), &member, now().after(wait)).is_some());
    }

    #[test]
    fn urgent_report_does_not_wait_with_one_that_can() {
        let (patient, urgent) = (check_run(1, waiting(60)), check_run(2, given_up("no quota")));
        let held = hold(None, &patient, now()).unwrap();
        let off = defer(&held, Duration::from_secs(300), now());
        assert_eq!(hold(Some(&off), &patient, now()), None);
        assert!(hold(Some(&off), &urgent, now()).is_some());
        let by_github = CheckRun { tries: 1, ..off };
        assert_eq!(hold(Some(&by_github), &urgent, now()), None);
    }

    #[test]
    fn job_with_its_own_check_run_keeps_it() {
        let plain = check_run(1, waiting(60));
        assert!(is_member(&plain));
        let requested = CheckRun {
            may_exist: true,
            ..plain.clone()
        };
        let created = CheckRun {
            check: Some(CheckRunId(5)),
            ..plain.clone()
        };
        let combined = hold(None, &plain, now()).unwrap();
        for other in [requested, created, combined] {
            assert!(!is_member(&other), "{other:?}");
        }
    }

    #[test]
    fn reports_that_can_wait_leave_writes_to_urgent_ones() {
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
            assert_eq!(token_request(&content), TokenRequest::Now { leaving }, "{content:?}");
        }
    }
}
