//! The fallback chain: a job's launch options in order, each entry within the stack policy and bought as
//! it may be bought.

use dayfly_config::machines::Table;
use dayfly_config::{Fallback, RunnerSpec};
use dayfly_policy::{Admitted, LaunchRequest, Machine, Policy, Refused};
use dayfly_records::PoolMemory;
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::ids::{InstanceType, Repository};
use dayfly_types::time::Timestamp;

use crate::launch::pools;

/// The launch options of a job: all are in its runner's record, whose size DynamoDB limits.
pub const MOST: usize = 16;

/// What the chain depends on besides the entries.
#[derive(Clone, Copy, Debug)]
pub struct ChainTerms<'a> {
    pub policy: &'a Policy,
    pub request: LaunchRequest<'a>,
    /// Whether the job was interrupted and gets on-demand capacity now.
    pub on_demand: bool,
    /// The recent interruptions, for the breakers.
    pub memory: &'a PoolMemory,
    pub machines: &'a Table,
}

/// A launch option of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainOption {
    /// The entry, narrowed by the policy.
    pub spec: RunnerSpec,
    pub lifecycle: InstanceLifecycle,
    /// The instance types that the policy removes, each with the rule.
    pub excluded: Vec<(InstanceType, Refused)>,
}

/// A launch option that the policy forbids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForbiddenOption {
    /// The entry's name.
    pub entry: String,
    pub lifecycle: InstanceLifecycle,
    pub refused: Refused,
}

/// The launch options in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FallbackChain {
    pub options: Vec<ChainOption>,
    pub forbidden: Vec<ForbiddenOption>,
    /// The options beyond [`MOST`].
    pub left_out: usize,
}

/// Builds the fallback chain of a job with these entries.
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
                Ok(_) if fallback_chain.options.len() == MOST => fallback_chain.left_out += 1,
                Ok(Admitted { spec, excluded }) => fallback_chain.options.push(ChainOption {
                    spec,
                    lifecycle,
                    excluded,
                }),
                Err(refused) => fallback_chain.forbidden.push(ForbiddenOption {
                    entry: entry.name.clone(),
                    lifecycle,
                    refused,
                }),
            }
        }
    }
    fallback_chain
}

/// Returns the lifecycles of an entry's launch options, in order.
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
        let options = fallback_chain.options.iter().map(|one| {
            let types: Vec<&str> = one.spec.instance_types.iter().map(InstanceType::as_str).collect();
            format!("{} {} {}", one.spec.name, one.lifecycle, types.join("+"))
        });
        options.collect()
    }

    const TWO: &str = "
runners:
  - {name: small, labels: [x], machine_image: dlami-base, instance_type: [g4dn.xlarge, g5.xlarge], fallback: on-demand}
  - {name: large, labels: [x], machine_image: dlami-base, instance_type: p3.2xlarge, spot: false}
";

    #[test]
    fn chain_has_each_entry_in_the_lifecycles_it_may_be_bought_in() {
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
            // The price limit in the request to EC2 keeps spot capacity below it.
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
    fn forbidden_options_and_types_name_the_rule() {
        let fallback_chain = planned(&entries(TWO), "version: 1\ninstance_types: [g4dn]", false);
        assert_eq!(fallback_chain.options[0].excluded[0].1.rule, "instance_types");
        let forbidden = &fallback_chain.forbidden[0];
        assert_eq!(
            (forbidden.entry.as_str(), forbidden.refused.rule.as_str()),
            ("large", "instance_types")
        );
    }

    #[test]
    fn chain_is_cut_to_what_a_record_holds() {
        let one = entries("runners: [{name: a, labels: [x], machine_image: dlami-base, instance_type: g4dn.xlarge}]");
        let many: Vec<RunnerSpec> = std::iter::repeat_n(one[0].clone(), MOST + 3).collect();
        let fallback_chain = planned(&many, "version: 1", false);
        assert_eq!((fallback_chain.options.len(), fallback_chain.left_out), (MOST, 3));
    }
}
