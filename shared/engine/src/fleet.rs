//! Which runners are launched together, by which call, and what its answer means for each.

use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_records::{FleetCall, LaunchQueue, Launched, Runner, RunnerState};
use dayfly_types::capacity::{FleetErrorKind, Placement};
use dayfly_types::deadlines::{Deadlines, TAKE_OVER};
use dayfly_types::ids::{FleetId, InstanceId, QueueId, RunnerName};
use dayfly_types::time::Timestamp;
use sha2::{Digest as _, Sha256};

/// How many runners one call launches at most: the call, all of its runners and what is set aside for
/// them are recorded in one transaction.
pub const MOST: usize = 80;

/// How many ledgers are written with a call at most.
pub const MOST_LEDGERS: usize = TRANSACTION - MOST - 4;

/// How many items DynamoDB takes in a transaction. Besides its runners and the ledgers these are the
/// call, its queue, the bucket that it is drawn from, and the gate.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html>
const TRANSACTION: usize = 100;

/// How long after the last one that came others may follow.
pub const GATHER: Duration = Duration::from_millis(300);

/// How long anybody is kept waiting for others.
const LONGEST_GATHER: Duration = Duration::from_secs(2);

/// How long whoever holds a queue may go without saying so again.
pub const HOLD: Duration = TAKE_OVER;

/// Where a runner waits: with those of the same repository whose next attempt is the same.
#[must_use]
pub fn queue_of(runner: &Runner) -> QueueId {
    let option = runner.plan.option();
    let said = serde_json::to_vec(&(&runner.repository, runner.installation, option)).unwrap_or_default();
    let digest = Sha256::digest(&said);
    let short = digest
        .iter()
        .take(8)
        .fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    QueueId::new(format!(
        "{}/{}/{}/{short:016x}",
        runner.repository, option.spec.name, option.lifecycle
    ))
}

/// Whether somebody holds a queue.
#[must_use]
pub fn is_held(queue: Option<&LaunchQueue>, now: Timestamp) -> bool {
    queue.is_some_and(|queue| queue.held_until > now)
}

/// Whether a runner that comes now comes alone: nobody launches what is alike, or did so a moment ago.
/// Others may be about to follow one that does not.
#[must_use]
pub fn comes_alone(queue: Option<&LaunchQueue>, now: Timestamp) -> bool {
    queue.is_none_or(|queue| now > queue.held_until.after(LONGEST_GATHER))
}

/// When those who wait since these moments are to be launched: at once if a call is full, else once
/// nobody has come for a moment.
#[must_use]
pub fn ripe_at(since: &[Timestamp], now: Timestamp) -> Timestamp {
    if since.len() >= MOST {
        return now;
    }
    let (Some(first), Some(last)) = (since.iter().min(), since.iter().max()) else {
        return now;
    };
    last.after(GATHER).min(first.after(LONGEST_GATHER))
}

/// Whether a runner still is to be launched, by a call that is not made yet.
#[must_use]
pub fn is_wanted(runner: &Runner) -> bool {
    runner.state == RunnerState::Requested && runner.fleet.is_none()
}

/// Puts runners that wait in one queue into one call, to be recorded before it is made. Nothing if
/// there is none.
#[must_use]
pub fn open(
    mut runners: Vec<Runner>,
    placements: Vec<Placement>,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Option<(FleetCall, Vec<Runner>)> {
    let first = runners.first()?;
    let call = FleetCall {
        queue: queue_of(first),
        id: FleetId::new(format!("{}-t{}", first.name, first.plan.calls + 1)),
        installation: first.installation,
        repository: first.repository.clone(),
        option: first.plan.option().clone(),
        placements,
        runners: runners.iter().map(|runner| runner.name.clone()).collect(),
        unclear: 0,
        requested_at: now,
        due_at: Some(now.after(TAKE_OVER)),
    };
    for runner in &mut runners {
        runner.plan.calls += 1;
        runner.fleet = Some(call.id.clone());
        // The call is due by itself; this is for the case that its record is lost.
        runner.launch_due = gives_up_at(&call, deadlines).after(2 * TAKE_OVER);
        runner.due_at = runner.next_look(deadlines);
    }
    Some((call, runners))
}

fn gives_up_at(call: &FleetCall, deadlines: &Deadlines) -> Timestamp {
    call.requested_at.after(2 * deadlines.give_up)
}

/// Takes a call over that is due.
#[must_use]
pub fn take_over(mut call: FleetCall, now: Timestamp) -> FleetCall {
    call.due_at = Some(now.after(TAKE_OVER));
    call
}

/// A call whose answer is not clear, because it was throttled or its answer was lost: it is made
/// again when it is due. Nothing if nobody waits for its answer any longer, or it will never have one:
/// what is there by its tag is all that it launched.
#[must_use]
pub fn unclear(mut call: FleetCall, kind: FleetErrorKind, now: Timestamp, deadlines: &Deadlines) -> Option<FleetCall> {
    if kind == FleetErrorKind::TokenUsed || now >= gives_up_at(&call, deadlines) {
        return None;
    }
    call.unclear += 1;
    call.due_at = Some(now.after(deadlines.pause(call.unclear, call.id.as_str()) / 2));
    Some(call)
}

/// Which runner gets which instance of a call's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assigned {
    /// The runners that have an instance.
    pub launched: Vec<(RunnerName, Launched)>,
    /// Those that have none.
    pub without: Vec<RunnerName>,
}

/// Gives each runner of a call one of the instances. `known` is what was recorded before, by whoever
/// died in the middle of it: an instance stays with its runner.
#[must_use]
pub fn assign(call: &FleetCall, launched: Vec<Launched>, known: &BTreeMap<InstanceId, RunnerName>) -> Assigned {
    let (told, mut free): (Vec<Launched>, Vec<Launched>) =
        launched.into_iter().partition(|one| known.contains_key(&one.instance));
    free.sort_by(|a, b| b.instance.cmp(&a.instance));
    let mut assigned = Assigned::default();
    for one in told {
        if let Some(runner) = known.get(&one.instance) {
            assigned.launched.push((runner.clone(), one));
        }
    }
    for runner in &call.runners {
        if assigned.launched.iter().any(|(name, _)| name == runner) {
            continue;
        }
        match free.pop() {
            Some(one) => assigned.launched.push((runner.clone(), one)),
            None => assigned.without.push(runner.clone()),
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{claimed, deadlines, launched, now};

    fn call_of(count: u64) -> (FleetCall, Vec<Runner>) {
        let runners = (1..=count).map(|job| claimed(job).1).collect();
        open(runners, Vec::new(), now(), &deadlines()).unwrap()
    }

    #[test]
    fn what_is_launched_alike_waits_in_one_queue_and_nothing_else_does() {
        let (_, one) = claimed(11);
        let (_, two) = claimed(12);
        assert_eq!(queue_of(&one), queue_of(&two));
        let mut elsewhere = two.clone();
        elsewhere.repository = "octo/other".parse().unwrap();
        assert_ne!(queue_of(&one), queue_of(&elsewhere));
    }

    #[test]
    fn a_call_is_made_when_it_is_full_or_nobody_comes_any_more() {
        let at = |millis: u64| now().after(Duration::from_millis(millis));
        for (since, expected) in [
            (vec![at(0)], at(300)),
            (vec![at(0), at(250), at(200)], at(550)),
            (vec![at(0), at(1900)], at(2000)),
            (vec![at(0); MOST], at(0)),
        ] {
            assert_eq!(ripe_at(&since, at(0)), expected, "{} wait", since.len());
        }
    }

    #[test]
    fn whoever_comes_soon_after_others_does_not_come_alone() {
        let queue = LaunchQueue {
            id: QueueId::new("q"),
            held_until: now(),
        };
        assert!(comes_alone(None, now()));
        assert!(!comes_alone(Some(&queue), now().after(LONGEST_GATHER)));
        assert!(comes_alone(Some(&queue), now().after(LONGEST_GATHER + GATHER)));
    }

    #[test]
    fn a_repeated_call_has_the_same_token_and_the_next_one_another() {
        let (call, mut runners) = call_of(3);
        assert_eq!(take_over(call.clone(), now()).id, call.id);
        let first = runners.remove(0);
        let (next, _) = open(vec![first], Vec::new(), now(), &deadlines()).unwrap();
        assert_ne!(next.id, call.id);
        assert!(next.id.as_str().len() <= 64, "EC2 takes tokens of up to 64 characters");
    }

    #[test]
    fn each_runner_gets_one_instance_and_keeps_it_whoever_looks_again() {
        let (call, runners) = call_of(3);
        let answer = || vec![launched("i-2"), launched("i-1")];
        let first = assign(&call, answer(), &BTreeMap::new());
        assert_eq!(first.without, [runners[2].name.clone()]);
        let instance_of = |assigned: &Assigned, runner: &Runner| {
            let found = assigned.launched.iter().find(|(name, _)| *name == runner.name);
            found.map(|(_, launched)| launched.instance.as_str().to_owned())
        };
        assert_eq!(instance_of(&first, &runners[0]).as_deref(), Some("i-1"));
        // Somebody died after it had recorded one, and EC2's answer has another order now.
        let known = BTreeMap::from([(InstanceId::new("i-1"), runners[1].name.clone())]);
        let again = assign(&call, vec![launched("i-1"), launched("i-2")], &known);
        assert_eq!(instance_of(&again, &runners[1]).as_deref(), Some("i-1"));
        assert_eq!(instance_of(&again, &runners[0]).as_deref(), Some("i-2"));
    }

    #[test]
    fn a_call_of_which_nothing_is_heard_is_made_again_less_and_less_and_then_given_up() {
        let (mut call, _) = call_of(1);
        let mut now = now();
        let mut last = Duration::ZERO;
        while let Some(next) = unclear(call.clone(), FleetErrorKind::Unknown, now, &deadlines()) {
            let due = next.due_at.unwrap();
            assert!(due.since(now) >= last.min(Duration::from_mins(1)), "it backs off");
            last = due.since(now);
            now = due;
            call = next;
        }
        assert!(now.since(call.requested_at) >= 2 * deadlines().give_up);
    }
}
