//! How far a cap is used up: which thresholds there are to tell, each of them once, and whose turn it is to
//! tell them.

use dayfly_policy::Caps;
use dayfly_records::{Ledger, Threshold};
use dayfly_types::deadlines::{Deadlines, SAYING};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

/// SNS takes a subject of less than a hundred characters, in one line and without control characters.
///
/// <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>
const LONGEST_SUBJECT: usize = 99;

/// Measures what is spent against the cap that holds now. Of the thresholds that were passed of another cap
/// those stay that hold of this one too; those that are reached are noted.
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

/// Notes a threshold that is passed. While a policy changes, some go by the old one still: what was told of a
/// cap is not told of it again, though another held in between.
pub(super) fn pass(ledger: &mut Ledger, threshold: Threshold, cap: MicroDollars, due: Timestamp) {
    if ledger.passed.contains(&threshold) {
        return;
    }
    ledger.passed.push(threshold);
    let news = (threshold, cap);
    if ledger.noted.contains(&news) {
        return;
    }
    ledger.noted.push(news);
    ledger.to_tell.push(news);
    ledger.due_at = Some(ledger.due_at.map_or(due, |known| known.min(due)));
}

/// When news is due that is on its way to be told: should that get lost.
#[must_use]
pub fn due_again(now: Timestamp, deadlines: &Deadlines) -> Timestamp {
    now.after(deadlines.retry(2))
}

/// A ledger whose news is on its way to be told.
#[must_use]
pub fn tell_again(ledger: Ledger, now: Timestamp, deadlines: &Deadlines) -> Ledger {
    Ledger {
        due_at: Some(due_again(now, deadlines)),
        ..ledger
    }
}

/// One thing to tell, and the ledger as it is written before that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What.
    pub news: (Threshold, MicroDollars),
    /// Until when nobody else tells anything of this ledger.
    pub until: Timestamp,
    /// The ledger.
    pub ledger: Ledger,
}

/// Claims what there is to tell of a ledger next. Nothing if there is nothing, or somebody is at it.
#[must_use]
pub fn claim(ledger: &Ledger, now: Timestamp) -> Option<Claim> {
    let news = *ledger.to_tell.first()?;
    if ledger.publishing_until.is_some_and(|until| until > now) {
        return None;
    }
    let until = now.after(SAYING);
    let ledger = Ledger {
        publishing_until: Some(until),
        due_at: Some(until),
        ..ledger.clone()
    };
    Some(Claim { news, until, ledger })
}

/// A ledger of which this was told, by whoever had claimed it until then. Others may have written in it
/// meanwhile.
#[must_use]
pub fn told(mut ledger: Ledger, news: (Threshold, MicroDollars), until: Timestamp) -> Ledger {
    ledger.to_tell.retain(|one| *one != news);
    let is_over = ledger.to_tell.is_empty();
    if is_over {
        ledger.due_at = None;
    }
    if is_over || ledger.publishing_until == Some(until) {
        ledger.publishing_until = None;
    }
    ledger
}

/// A ledger of which something could not be told, by whoever had claimed it until then: it is due again later.
#[must_use]
pub fn untold(mut ledger: Ledger, until: Timestamp, now: Timestamp, deadlines: &Deadlines) -> Ledger {
    if ledger.publishing_until == Some(until) {
        ledger.publishing_until = None;
        ledger.due_at = Some(due_again(now, deadlines));
    }
    ledger
}

/// What there is to tell: a subject of one line, and a text.
#[must_use]
pub fn words(ledger: &Ledger, (threshold, cap): (Threshold, MicroDollars), stack: &str) -> (String, String) {
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
        Threshold::Half | Threshold::FourFifths => "Jobs go on to run.",
        Threshold::All => "Jobs that could pass the cap are refused, each with the reason in its log.",
        Threshold::Refused => {
            "A job was refused, as it could have passed the cap together with what was spent and reserved. So is every job that does not fit, \
             each with the reason in its log."
        }
    };
    let text = format!(
        "{budget} may spend {cap} in {month}: {spent} are spent, and at most {reserved} reserved for what runs now.\n\n{what} The count begins anew \
         on {} 00:00 UTC. `dayfly cost` shows what the money was spent on; the cap is `{}` in the stack policy.\n",
        month.ends().utc_day(),
        Caps::key(budget),
    );
    let plain = |c: char| if c.is_ascii() && !c.is_control() { c } else { '?' };
    (subject.chars().map(plain).take(LONGEST_SUBJECT).collect(), text)
}

#[cfg(test)]
#[path = "thresholds_tests.rs"]
mod tests;
