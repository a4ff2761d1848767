//! What the patrol looks for on each round: orphans and lost webhooks.

pub mod lost_webhooks;
pub mod orphans;

use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_types::ids::Repository;
use dayfly_types::time::Timestamp;

/// The patrol's interval, as in the template.
const PATROL_EVERY: Duration = Duration::from_mins(15);

/// Returns the repositories that this patrol visits if it cannot visit all: the ones after `last` by
/// name, then from the start again. The set may change between patrols and none is skipped for good.
#[must_use]
pub fn next_repositories<T: Clone>(
    all: &BTreeMap<Repository, T>,
    last: Option<&Repository>,
    most: usize,
) -> Vec<(Repository, T)> {
    let is_after = |name: &Repository| last.is_none_or(|last| name > last);
    let after = all.iter().filter(|(name, _)| is_after(name));
    let wrapped = all.iter().filter(|(name, _)| !is_after(name));
    let next = after.chain(wrapped).take(most);
    next.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Returns at most `most` items, a different window on each patrol, so that none is skipped for good.
#[must_use]
pub fn rotate<T>(mut all: Vec<T>, most: usize, now: Timestamp) -> Vec<T> {
    if all.len() > most {
        let patrols = now.seconds().unsigned_abs() / PATROL_EVERY.as_secs();
        let first = patrols.wrapping_mul(most as u64) % all.len() as u64;
        all.rotate_left(usize::try_from(first).unwrap_or(0));
        all.truncate(most);
    }
    all
}

#[cfg(test)]
mod tests;
