//! Spend thresholds: which parts of a cap are reached, each published once.

use dayfly_policy::Caps;
use dayfly_records::{Ledger, Threshold};
use dayfly_types::deadlines::{Deadlines, PUBLISH_LEASE};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

/// SNS takes a subject of less than a hundred characters, in one line and without control characters.
///
/// <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>
const LONGEST_SUBJECT: usize = 99;

/// Compares what is spent with the current cap. Thresholds of another cap stay passed if they hold of this one too; newly
/// reached ones are recorded.
pub(super) fn measure(ledger: &mut Ledger, cap: Option<MicroDollars>, due: Timestamp) {
    let before = std::mem::replace(&mut ledger.cap, cap);
    let Some(cap) = cap else {
        ledger.passed.clear();
        return;
    };
    let (spent, is_raised) = (ledger.spent, before.is_some_and(|before| before < cap));
    ledger.passed.retain(|one| match one {
        Threshold::Refused => !is_raised,
        Threshold::Half | Threshold::FourFifths | Threshold::All => one.is_reached(spent, cap),
    });
    for threshold in Threshold::EACH {
        if threshold.is_reached(spent, cap) {
            pass(ledger, threshold, cap, due);
        }
    }
}

/// Records a passed threshold. While a policy changes, some launches still use the old one: what was recorded for a cap
/// is not recorded again, even if another cap held in between.
pub(super) fn pass(ledger: &mut Ledger, threshold: Threshold, cap: MicroDollars, due: Timestamp) {
    if ledger.passed.contains(&threshold) {
        return;
    }
    ledger.passed.push(threshold);
    let entry = (threshold, cap);
    if ledger.recorded.contains(&entry) {
        return;
    }
    ledger.recorded.push(entry);
    ledger.to_report.push(entry);
    ledger.due_at = Some(ledger.due_at.map_or(due, |known| known.min(due)));
}

/// Returns when a threshold is due again whose event is on its way, in case that is lost.
#[must_use]
pub fn retry_at(now: Timestamp, deadlines: &Deadlines) -> Timestamp {
    now.after(deadlines.retry(2))
}

/// Postpones a ledger while the event of its thresholds is on its way.
#[must_use]
pub fn publish_again(ledger: Ledger, now: Timestamp, deadlines: &Deadlines) -> Ledger {
    Ledger {
        due_at: Some(retry_at(now, deadlines)),
        ..ledger
    }
}

/// A threshold to publish, and the ledger to write before that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThresholdClaim {
    pub threshold: (Threshold, MicroDollars),
    /// Until when the claim holds the ledger.
    pub until: Timestamp,
    pub ledger: Ledger,
}

/// Claims the next threshold to publish, or returns `None` if there is none or another claim holds the ledger.
#[must_use]
pub fn claim(ledger: &Ledger, now: Timestamp) -> Option<ThresholdClaim> {
    let threshold = *ledger.to_report.first()?;
    if ledger.publishing_until.is_some_and(|until| until > now) {
        return None;
    }
    let until = now.after(PUBLISH_LEASE);
    let ledger = Ledger {
        publishing_until: Some(until),
        due_at: Some(until),
        ..ledger.clone()
    };
    Some(ThresholdClaim {
        threshold,
        until,
        ledger,
    })
}

/// Returns the ledger after a threshold was published under the claim until then. It may have changed meanwhile.
#[must_use]
pub fn published(mut ledger: Ledger, threshold: (Threshold, MicroDollars), until: Timestamp) -> Ledger {
    ledger.to_report.retain(|one| *one != threshold);
    let is_over = ledger.to_report.is_empty();
    if is_over {
        ledger.due_at = None;
    }
    if is_over || ledger.publishing_until == Some(until) {
        ledger.publishing_until = None;
    }
    ledger
}

/// Returns the ledger after a failed publication under the claim until then: it is due again later.
#[must_use]
pub fn publish_failed(mut ledger: Ledger, until: Timestamp, now: Timestamp, deadlines: &Deadlines) -> Ledger {
    if ledger.publishing_until == Some(until) {
        ledger.publishing_until = None;
        ledger.due_at = Some(retry_at(now, deadlines));
    }
    ledger
}

/// Returns the subject, in one line, and the text to publish.
#[must_use]
pub fn message(ledger: &Ledger, (threshold, cap): (Threshold, MicroDollars), stack: &str) -> (String, String) {
    let Ledger {
        budget,
        month,
        spent,
        reserved,
        ..
    } = ledger;
    let subject = match threshold.percent() {
        Some(percent) => format!("dayfly {stack}: {budget} has spent {percent} % of its cap of {cap} in {month}"),
        None => format!("dayfly {stack}: the cap of {cap} of {budget} in {month} refuses launches"),
    };
    let what = match threshold {
        Threshold::Half | Threshold::FourFifths => "Jobs still run.",
        Threshold::All => "Jobs that could exceed the cap are refused, each with the reason in its log.",
        Threshold::Refused => {
            "A job was refused because it could have exceeded the cap together with what is spent and reserved. So is every job that does \
             not fit, each with the reason in its log."
        }
    };
    let text = format!(
        "{budget} may spend {cap} in {month}: {spent} are spent, and at most {reserved} reserved for what runs now.\n\n{what} The count resets \
         on {} 00:00 UTC. `dayfly cost` shows what the money was spent on; the cap is `{}` in the stack policy.\n",
        month.ends().utc_day(),
        Caps::key(budget),
    );
    let plain = |c: char| if c.is_ascii() && !c.is_control() { c } else { '?' };
    (subject.chars().map(plain).take(LONGEST_SUBJECT).collect(), text)
}

#[cfg(test)]
mod tests;
