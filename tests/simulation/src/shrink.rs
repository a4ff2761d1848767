//! Finds the shortest history that breaks the same promise.

use crate::plan::Plan;
use crate::{Guard, Outcome, run};

/// Removes from a plan what it does not need to break its promise.
#[must_use]
pub fn shrink(plan: &Plan, without: &[Guard], promise: &str) -> Plan {
    let breaks = |plan: &Plan| {
        let Outcome { broken, .. } = run(plan.clone(), without, false);
        broken.is_some_and(|broken| broken.promise == promise)
    };
    let mut kept: Vec<usize> = plan.items.iter().map(|(number, _)| *number).collect();
    let mut chunk = kept.len().div_ceil(2);
    while chunk > 0 {
        let mut first = 0;
        while first < kept.len() {
            let end = (first + chunk).min(kept.len());
            let fewer: Vec<usize> = kept[..first].iter().chain(&kept[end..]).copied().collect();
            if breaks(&plan.only(&fewer)) {
                kept = fewer;
            } else {
                first = end;
            }
        }
        chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
    }
    plan.only(&kept)
}
