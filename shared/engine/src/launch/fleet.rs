//! Which runners launch together in one CreateFleet call, and which instance each of them gets.

use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_records::{FleetCall, LaunchQueue, Launched, Runner, RunnerState};
use dayfly_types::capacity::{FleetErrorKind, Placement};
use dayfly_types::deadlines::{Deadlines, TAKE_OVER};
use dayfly_types::ids::{FleetId, InstanceId, QueueId, RunnerName};
use dayfly_types::time::Timestamp;
use sha2::{Digest as _, Sha256};

/// The runners of one call: the call, its runners and their reservations are recorded in one transaction.
pub const MOST: usize = 80;

/// The ledgers that are written with a call.
pub const MOST_LEDGERS: usize = TRANSACTION - MOST - 4;

/// The items of a DynamoDB transaction. Besides runners and ledgers these are the call, its queue, its
/// token bucket and the gate.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html>
const TRANSACTION: usize = 100;

/// How long a call waits for another runner after the latest one.
pub const GATHER: Duration = Duration::from_millis(300);

/// How long a runner waits for others.
const LONGEST_GATHER: Duration = Duration::from_secs(2);

/// How long a queue is held without a renewal.
pub const HOLD: Duration = TAKE_OVER;

/// Returns the queue of a runner: that of its repository and its next launch option.
#[must_use]
pub fn queue_of(runner: &Runner) -> QueueId {
    let option = runner.plan.option();
    let key = serde_json::to_vec(&(&runner.repository, runner.installation, option)).unwrap_or_default();
    let digest = Sha256::digest(&key);
    let short = digest
        .iter()
        .take(8)
        .fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    QueueId::new(format!(
        "{}/{}/{}/{short:016x}",
        runner.repository, option.spec.name, option.lifecycle
    ))
}

#[must_use]
pub fn is_held(queue: Option<&LaunchQueue>, now: Timestamp) -> bool {
    queue.is_some_and(|queue| queue.held_until > now)
}

/// Whether a runner that comes now is alone: no launch holds its queue, or held it a moment ago. Otherwise
/// others may follow it.
#[must_use]
pub fn is_alone(queue: Option<&LaunchQueue>, now: Timestamp) -> bool {
    queue.is_none_or(|queue| now > queue.held_until.after(LONGEST_GATHER))
}

/// Returns when the runners that wait since these moments launch: at once if the call is full, else when
/// no other has come for a moment.
#[must_use]
pub fn ready_at(since: &[Timestamp], now: Timestamp) -> Timestamp {
    if since.len() >= MOST {
        return now;
    }
    let (Some(first), Some(last)) = (since.iter().min(), since.iter().max()) else {
        return now;
    };
    last.after(GATHER).min(first.after(LONGEST_GATHER))
}

/// Whether a runner waits for a call.
#[must_use]
pub fn awaits_launch(runner: &Runner) -> bool {
    runner.state == RunnerState::Requested && runner.fleet.is_none()
}

/// Puts the waiting runners of a queue into one call, to be recorded before it is made. Returns `None`
/// without runners.
#[must_use]
pub fn open_call(
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
        // The call has a deadline of its own; this one is for the case that its record is lost.
        runner.launch_due = last_call_at(now, deadlines).after(2 * TAKE_OVER);
        runner.due_at = runner.next_deadline(deadlines);
    }
    Some((call, runners))
}

/// Returns until when a call that is recorded at this time is made. The reservations of its runners hold for instances
/// that launch until then.
#[must_use]
pub fn last_call_at(requested_at: Timestamp, deadlines: &Deadlines) -> Timestamp {
    requested_at.after(2 * deadlines.give_up)
}

/// Whether a call is still made, for the first time or again. A later one could launch instances in a month for which
/// nothing is reserved.
#[must_use]
pub fn is_made(call: &FleetCall, now: Timestamp, deadlines: &Deadlines) -> bool {
    now < last_call_at(call.requested_at, deadlines)
}

/// Takes over a call that is due.
#[must_use]
pub fn take_over(mut call: FleetCall, now: Timestamp) -> FleetCall {
    call.due_at = Some(now.after(TAKE_OVER));
    call
}

/// Returns a throttled or unanswered call as it will be retried, or `None` if it is not retried: its time is
/// over, or it will never be answered. Whatever it launched is found by its tag then.
#[must_use]
pub fn retry_unclear(
    mut call: FleetCall,
    kind: FleetErrorKind,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Option<FleetCall> {
    if kind == FleetErrorKind::TokenUsed || !is_made(&call, now, deadlines) {
        return None;
    }
    call.unclear += 1;
    call.due_at = Some(now.after(deadlines.jittered_retry(call.unclear, call.id.as_str()) / 2));
    Some(call)
}

/// The instances of a call's answer by runner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    pub launched: Vec<(RunnerName, Launched)>,
    /// The runners without an instance.
    pub without: Vec<RunnerName>,
}

/// Gives each runner of a call one of the instances. `known` was recorded before a crash: an instance stays
/// with its runner.
#[must_use]
pub fn assign(call: &FleetCall, launched: Vec<Launched>, known: &BTreeMap<InstanceId, RunnerName>) -> Assignment {
    let (kept, mut free): (Vec<Launched>, Vec<Launched>) =
        launched.into_iter().partition(|one| known.contains_key(&one.instance));
    free.sort_by(|a, b| b.instance.cmp(&a.instance));
    let mut assigned = Assignment::default();
    for one in kept {
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
        open_call(runners, Vec::new(), now(), &deadlines()).unwrap()
    }

    #[test]
    fn runners_with_the_same_next_option_wait_in_one_queue() {
        let (_, one) = claimed(11);
        let (_, two) = claimed(12);
        assert_eq!(queue_of(&one), queue_of(&two));
        let mut elsewhere = two.clone();
        elsewhere.repository = "octo/other".parse().unwrap();
        assert_ne!(queue_of(&one), queue_of(&elsewhere));
    }

    #[test]
    fn call_is_made_when_it_is_full_or_no_runner_follows() {
        let at = |millis: u64| now().after(Duration::from_millis(millis));
        for (since, expected) in [
            (vec![at(0)], at(300)),
            (vec![at(0), at(250), at(200)], at(550)),
            (vec![at(0), at(1900)], at(2000)),
            (vec![at(0); MOST], at(0)),
        ] {
            assert_eq!(ready_at(&since, at(0)), expected, "{} wait", since.len());
        }
    }

    #[test]
    fn runner_that_follows_others_closely_is_not_alone() {
        let queue = LaunchQueue {
            id: QueueId::new("q"),
            held_until: now(),
        };
        assert!(is_alone(None, now()));
        assert!(!is_alone(Some(&queue), now().after(LONGEST_GATHER)));
        assert!(is_alone(Some(&queue), now().after(LONGEST_GATHER + GATHER)));
    }

    #[test]
    fn retried_call_keeps_its_token_and_the_next_call_has_another() {
        let (call, mut runners) = call_of(3);
        assert_eq!(take_over(call.clone(), now()).id, call.id);
        let first = runners.remove(0);
        let (next, _) = open_call(vec![first], Vec::new(), now(), &deadlines()).unwrap();
        assert_ne!(next.id, call.id);
        assert!(next.id.as_str().len() <= 64, "EC2 takes tokens of up to 64 characters");
    }

    #[test]
    fn each_runner_gets_one_instance_and_keeps_it() {
        let (call, runners) = call_of(3);
        let answer = || vec![launched("i-2"), launched("i-1")];
        let first = assign(&call, answer(), &BTreeMap::new());
        assert_eq!(first.without, [runners[2].name.clone()]);
        let instance_of = |assigned: &Assignment, runner: &Runner| {
            let found = assigned.launched.iter().find(|(name, _)| *name == runner.name);
            found.map(|(_, launched)| launched.instance.as_str().to_owned())
        };
        assert_eq!(instance_of(&first, &runners[0]).as_deref(), Some("i-1"));
        // After a crash that left one of them recorded, EC2's answer may have another order.
        let known = BTreeMap::from([(InstanceId::new("i-1"), runners[1].name.clone())]);
        let again = assign(&call, vec![launched("i-1"), launched("i-2")], &known);
        assert_eq!(instance_of(&again, &runners[1]).as_deref(), Some("i-1"));
        assert_eq!(instance_of(&again, &runners[0]).as_deref(), Some("i-2"));
    }

    #[test]
    fn unanswered_call_is_retried_ever_more_slowly_and_then_given_up() {
        let (mut call, _) = call_of(1);
        let mut now = now();
        let mut last = Duration::ZERO;
        while let Some(next) = retry_unclear(call.clone(), FleetErrorKind::Unknown, now, &deadlines()) {
            let due = next.due_at.unwrap();
            assert!(due.since(now) >= last.min(Duration::from_mins(1)), "it backs off");
            last = due.since(now);
            now = due;
            call = next;
        }
        assert!(now.since(call.requested_at) >= 2 * deadlines().give_up);
        assert!(
            !is_made(&call, now, &deadlines()),
            "nor is it made if it is taken over later"
        );
    }
}
