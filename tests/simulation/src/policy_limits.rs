//! The limits of the stack policy: drawn for some histories, and never exceeded.

use std::time::Duration;

use dayfly_engine::gate::slots;
use dayfly_policy::{Limit, Limits};
use dayfly_records::{Record, RecordId};
use dayfly_types::ids::{JobKey, Repository};

use crate::cloud::Instance;
use crate::dice::Dice;
use crate::money;
use crate::plan::{InstanceFault, Item, Plan};
use crate::promises::WITHIN;
use crate::purchases::messenger_types;
use crate::sim::Sim;

/// The SSM parameter with the stack policy.
pub const POLICY_PARAMETER: &str = "/dayfly/policy";

/// The vCPUs of each of the repositories' types.
const VCPUS: u32 = 4;

/// How long the jobs of a history may take at most if they wait only for their turns.
const LONGEST: Duration = Duration::from_hours(5);

/// Faults that make a runner keep its slot for an instance's whole lifetime.
const HELD_UP: &[InstanceFault] = &[
    InstanceFault::Freeze,
    InstanceFault::HungJob,
    InstanceFault::HungRunner,
    InstanceFault::Hostile,
    InstanceFault::NetworkCut,
];

/// Draws the limits of a seed's stack, so that its jobs finish in time.
pub fn draw(seed: u64, items: &[Item], lifetime: Duration) -> Limits {
    let mut dice = Dice::of(seed, "limits", "");
    if !dice.happens(0.3) {
        return Limits::default();
    }
    let least = load(items, lifetime).as_secs() / LONGEST.as_secs() + 1;
    let least = u32::try_from(least).unwrap_or(u32::MAX);
    let most = least.max(*dice.one_of(&[1, 1, 2, 3, 5]));
    let runners = Limit {
        runners: Some(most),
        vcpus: None,
    };
    let vcpus = Limit {
        runners: None,
        vcpus: Some(most * VCPUS),
    };
    let none = Limits::default();
    *dice.one_of(&[
        Limits { stack: runners, ..none },
        Limits { stack: vcpus, ..none },
        Limits {
            organization: runners,
            repository: Limit {
                runners: Some(most.div_ceil(2).max(least)),
                vcpus: None,
            },
            ..none
        },
        Limits {
            stack: Limit {
                runners: Some(most + 2),
                vcpus: None,
            },
            repository: runners,
            ..none
        },
    ])
}

/// Returns how long all jobs of a plan take one after the other, with their faults.
fn load(items: &[Item], lifetime: Duration) -> Duration {
    let rate = |of: &[InstanceFault]| -> f64 {
        let rates = items.iter().filter_map(|item| match item {
            Item::InstanceFault(kind, rate) if of.contains(kind) => Some(*rate),
            _ => None,
        });
        rates.sum()
    };
    // Boot and idle time, or a round of launch tries; twice, because of interruptions.
    let more = Duration::from_mins(20) + lifetime.mul_f64(rate(HELD_UP).min(1.0));
    let of = |works: Duration| 2 * (works + more);
    items
        .iter()
        .map(|item| match item {
            Item::Run(run) => run.jobs.iter().map(|works| of(*works)).sum(),
            Item::AtSweep(_, works, _) => of(*works),
            Item::Outage(..) | Item::InstanceFault(..) | Item::Emptied(_) => Duration::ZERO,
        })
        .sum()
}

fn policy_text(limit: Limit) -> Option<String> {
    let runners = limit.runners.map(|most| format!("runners: {most}"));
    let vcpus = limit.vcpus.map(|most| format!("vcpus: {most}"));
    let all: Vec<String> = runners.into_iter().chain(vcpus).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

impl Plan {
    /// Returns the stack policy at this time, if there is one.
    #[must_use]
    pub fn policy(&self, elapsed: Duration) -> Option<String> {
        let lines: String = self
            .limits
            .named()
            .into_iter()
            .filter_map(|(key, limit)| policy_text(limit).map(|policy_text| format!("  {key}: {{{policy_text}}}\n")))
            .collect();
        let caps = money::policy_text(self.caps_at(elapsed));
        let limits = if lines.is_empty() {
            lines
        } else {
            format!("limits:\n{lines}")
        };
        (self.limits.any() || self.caps.any()).then(|| format!("version: 1\n{limits}{caps}"))
    }

    /// Returns how much longer everything may take because jobs wait for their turns.
    #[must_use]
    pub fn patience(&self) -> Duration {
        if self.limits.any() { 2 * LONGEST } else { Duration::ZERO }
    }
}

impl Sim {
    /// Instances were launched: those running now are within the limits.
    pub(crate) fn is_within_limits(&self) {
        let limits = self.plan.limits;
        if !limits.any() {
            return;
        }
        let repositories: Vec<Repository> = self
            .cloud
            .borrow()
            .living()
            .filter(|one| self.counts(one))
            .filter_map(|one| one.view.scope.as_ref().map(|scope| scope.repository.clone()))
            .collect();
        let of_all = u32::try_from(repositories.len()).unwrap_or(u32::MAX);
        let of_one = |repository: &Repository| repositories.iter().filter(|other| *other == repository).count();
        let of_one = repositories.iter().map(of_one).max().unwrap_or_default();
        let of_one = u32::try_from(of_one).unwrap_or(u32::MAX);
        for (of, count, limit) in [
            ("the stack", of_all, limits.stack),
            // All repositories belong to one.
            ("an organisation", of_all, limits.organization),
            ("a repository", of_one, limits.repository),
        ] {
            let above =
                limit.runners.is_some_and(|most| count > most) || limit.vcpus.is_some_and(|most| count * VCPUS > most);
            if above {
                self.broken(WITHIN, format!("{count} run in {of}: {limit:?}"));
            }
        }
    }

    /// Whether an instance counts: not a messenger's, nor one whose record was lost with the table, or
    /// whose launch EC2 never reported.
    fn counts(&self, one: &Instance) -> bool {
        let emptied = self.promises.borrow().emptied_at;
        if emptied.is_some_and(|at| one.view.launched_at <= at) || messenger_types().contains(&one.view.instance_type) {
            return false;
        }
        let table = self.table.borrow();
        let call = one.view.fleet.clone().map(RecordId::FleetCall);
        let under_way = match call.as_ref().and_then(|call| table.peek(call)) {
            Some(Record::FleetCall(call)) => call.due_at.is_some(),
            _ => false,
        };
        under_way || table.peek(&RecordId::Instance(one.view.instance.clone())).is_some()
    }

    /// Whether a job waits for its turn.
    pub(crate) fn waits_for_its_turn(&self, key: JobKey) -> bool {
        let table = self.table.borrow();
        let name = match table.peek(&RecordId::Job(key)) {
            Some(Record::Job(job)) => job.runner.clone(),
            _ => None,
        };
        match name.and_then(|name| table.peek(&RecordId::Runner(name))) {
            Some(Record::Runner(runner)) => slots::is_at_gate(runner) || runner.gate.is_some() && runner.is_live(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use dayfly_policy::Policy;

    use super::*;

    #[test]
    fn the_policy_matches_the_drawn_limits() {
        let plans: Vec<Plan> = (0..100).map(Plan::draw).filter(|plan| plan.limits.any()).collect();
        assert!(plans.len() > 10);
        for plan in plans {
            let read = Policy::parse(&plan.policy(Duration::ZERO).unwrap_or_default());
            let read = read.map(|policy| (policy.limits, policy.caps));
            assert_eq!(read.ok(), Some((plan.limits, plan.caps)));
        }
    }
}
