//! The attempts that are made to get an instance for a job, in their order: its entries, within what the
//! stack policy allows, each bought in the ways that it may be bought.

use dayfly_config::machines::Table;
use dayfly_config::{Fallback, RunnerSpec};
use dayfly_policy::{Admitted, LaunchRequest, Machine, Policy, Refused};
use dayfly_records::PoolMemory;
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::ids::{InstanceType, Repository};
use dayfly_types::time::Timestamp;

use crate::pools;

/// How many attempts a job gets at most: all of them are in its runner's record, whose size DynamoDB
/// limits.
pub const MOST: usize = 16;

/// What the attempts depend on besides the entries.
#[derive(Clone, Copy, Debug)]
pub struct ChainTerms<'a> {
    /// The stack policy.
    pub policy: &'a Policy,
    /// Who asks.
    pub request: LaunchRequest<'a>,
    /// Whether the job is one that was interrupted and now gets on-demand capacity.
    pub on_demand: bool,
    /// What was interrupted lately, for the breakers.
    pub memory: &'a PoolMemory,
    /// The machine types.
    pub machines: &'a Table,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The entry, narrowed by the policy.
    pub spec: RunnerSpec,
    /// How it is bought.
    pub lifecycle: InstanceLifecycle,
    /// The instance types that the policy takes out, each with the rule.
    pub without: Vec<(InstanceType, Refused)>,
}

/// An attempt that the policy does not let be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forbidden {
    /// The entry's name.
    pub entry: String,
    /// How it would have been bought.
    pub lifecycle: InstanceLifecycle,
    /// The rule.
    pub refused: Refused,
}

/// The attempts, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FallbackChain {
    /// Those that are made.
    pub attempts: Vec<Attempt>,
    /// Those that the policy does not allow.
    pub forbidden: Vec<Forbidden>,
    /// How many are left out because there are so many.
    pub left_out: usize,
}

/// The attempts for a job that has these entries.
#[must_use]
pub fn fallback_chain(entries: &[RunnerSpec], terms: &ChainTerms<'_>, now: Timestamp) -> FallbackChain {
    let machine = |name: &InstanceType| {
        terms.machines.get(name).map(|known| Machine {
            vcpus: known.vcpus,
            price: known.price,
        })
    };
    let mut fallback_chain = FallbackChain::default();
    for entry in entries {
        for lifecycle in lifecycles(entry, terms, now) {
            match terms.policy.admit(terms.request, entry, lifecycle, machine) {
                Ok(_) if fallback_chain.attempts.len() == MOST => fallback_chain.left_out += 1,
                Ok(Admitted { spec, without }) => fallback_chain.attempts.push(Attempt {
                    spec,
                    lifecycle,
                    without,
                }),
                Err(refused) => fallback_chain.forbidden.push(Forbidden {
                    entry: entry.name.clone(),
                    lifecycle,
                    refused,
                }),
            }
        }
    }
    fallback_chain
}

/// The ways in which an entry's instances are bought, in their order.
fn lifecycles(entry: &RunnerSpec, terms: &ChainTerms<'_>, now: Timestamp) -> Vec<InstanceLifecycle> {
    let repository: &Repository = terms.request.repository;
    let broken = entry
        .breaker
        .is_some_and(|breaker| pools::breaker_is_open(breaker, terms.memory, repository, &entry.name, now));
    match (entry.spot, entry.fallback) {
        (true, _) if broken || terms.on_demand => vec![InstanceLifecycle::OnDemand],
        (true, Fallback::OnDemand) => vec![InstanceLifecycle::Spot, InstanceLifecycle::OnDemand],
        (true, Fallback::None) => vec![InstanceLifecycle::Spot],
        (false, _) => vec![InstanceLifecycle::OnDemand],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dayfly_config::Config;

    fn entries(text: &str) -> Vec<RunnerSpec> {
        Config::parse(text).unwrap().runners
    }

    fn planned(entries: &[RunnerSpec], policy: &str, on_demand: bool) -> FallbackChain {
        let repository: Repository = "octo/model".parse().unwrap();
        let policy = Policy::parse(policy).unwrap();
        let terms = ChainTerms {
            policy: &policy,
            request: LaunchRequest {
                repository: &repository,
                region: "eu-west-1",
            },
            on_demand,
            memory: &PoolMemory::default(),
            machines: Table::embedded().unwrap(),
        };
        fallback_chain(entries, &terms, Timestamp::from_seconds(0))
    }

    fn words(fallback_chain: &FallbackChain) -> Vec<String> {
        let attempts = fallback_chain.attempts.iter().map(|one| {
            let types: Vec<&str> = one.spec.instance_types.iter().map(InstanceType::as_str).collect();
            format!("{} {} {}", one.spec.name, one.lifecycle, types.join("+"))
        });
        attempts.collect()
    }

    const TWO: &str = "
runners:
  - {name: small, labels: [x], machine_image: dlami-base, instance_type: [g4dn.xlarge, g5.xlarge], fallback: on-demand}
  - {name: large, labels: [x], machine_image: dlami-base, instance_type: p3.2xlarge, spot: false}
";

    #[test]
    fn each_entry_is_tried_in_the_ways_in_which_it_may_be_bought() {
        let entries = entries(TWO);
        for (policy, on_demand, expected) in [
            (
                "version: 1",
                false,
                &[
                    "small spot g4dn.xlarge+g5.xlarge",
                    "small on-demand g4dn.xlarge+g5.xlarge",
                    "large on-demand p3.2xlarge",
                ][..],
            ),
            (
                "version: 1",
                true,
                &["small on-demand g4dn.xlarge+g5.xlarge", "large on-demand p3.2xlarge"],
            ),
            (
                "version: 1\ninstance_types: [g4dn]",
                false,
                &["small spot g4dn.xlarge", "small on-demand g4dn.xlarge"],
            ),
            // What spot costs is held down by the price that EC2 is told.
            (
                "version: 1\nmax_price: $0.60/h",
                false,
                &["small spot g4dn.xlarge+g5.xlarge", "small on-demand g4dn.xlarge"],
            ),
            ("version: 1\nregions: [us-east-1]", false, &[]),
        ] {
            assert_eq!(words(&planned(&entries, policy, on_demand)), expected, "{policy}");
        }
    }

    #[test]
    fn what_the_policy_takes_out_is_named_with_its_rule() {
        let fallback_chain = planned(&entries(TWO), "version: 1\ninstance_types: [g4dn]", false);
        assert_eq!(fallback_chain.attempts[0].without[0].1.rule, "instance_types");
        let forbidden = &fallback_chain.forbidden[0];
        assert_eq!(
            (forbidden.entry.as_str(), forbidden.refused.rule.as_str()),
            ("large", "instance_types")
        );
    }

    #[test]
    fn a_file_of_very_many_entries_gets_as_many_attempts_as_a_record_holds() {
        let one = entries("runners: [{name: a, labels: [x], machine_image: dlami-base, instance_type: g4dn.xlarge}]");
        let many: Vec<RunnerSpec> = std::iter::repeat_n(one[0].clone(), MOST + 3).collect();
        let fallback_chain = planned(&many, "version: 1", false);
        assert_eq!((fallback_chain.attempts.len(), fallback_chain.left_out), (MOST, 3));
    }
}
