//! What the repositories of a history are configured to, drawn from the seed.

use dayfly_core::config::{Rebalance, RerunOnDemand, RerunPolicy, RerunWhat};
use dayfly_core::ids::Repository;

use crate::dice::Dice;
use crate::plan::Plan;

/// The configuration of a repository, as far as it differs from one to another.
#[derive(Clone, Copy, Debug)]
pub struct RepositoryConfig {
    /// When and how interrupted jobs are run again.
    pub rerun: RerunPolicy,
    /// What a rebalance recommendation does.
    pub rebalance: Rebalance,
    /// Whether its workflow has a `concurrency` group, so that a newer run makes an older one moot.
    pub concurrency: bool,
}

impl Plan {
    /// What the seed draws for a repository.
    #[must_use]
    pub fn config(&self, repository: &Repository) -> RepositoryConfig {
        let mut dice = Dice::of(self.seed, "config", &repository.to_string());
        let what = [
            RerunWhat::Interrupted,
            RerunWhat::Interrupted,
            RerunWhat::Failed,
            RerunWhat::Never,
        ];
        let on_demand = [RerunOnDemand::Last, RerunOnDemand::Always, RerunOnDemand::Never];
        RepositoryConfig {
            rerun: RerunPolicy {
                what: *dice.one_of(&what),
                max: *dice.one_of(&[0, 1, 2, 2, 2, 4]),
                on_demand: *dice.one_of(&on_demand),
            },
            rebalance: *dice.one_of(&[Rebalance::Mark, Rebalance::DrainIfIdle]),
            concurrency: dice.happens(0.2),
        }
    }
}

impl RepositoryConfig {
    /// The file that says so.
    #[must_use]
    pub fn text(&self) -> String {
        let RerunPolicy { what, max, on_demand } = self.rerun;
        let what = match what {
            RerunWhat::Interrupted => "interrupted",
            RerunWhat::Failed => "failed",
            RerunWhat::Never => "never",
        };
        let on_demand = match on_demand {
            RerunOnDemand::Last => "last",
            RerunOnDemand::Always => "always",
            RerunOnDemand::Never => "never",
        };
        let rebalance = match self.rebalance {
            Rebalance::Mark => "mark",
            Rebalance::DrainIfIdle => "drain-if-idle",
        };
        format!(
            "runners:
  - name: gpu
    labels: [dayfly-gpu]
    instance_type: [g4dn.xlarge, g5.xlarge, g6.xlarge]
    machine_image: ssm:/images/gpu
    rerun: {what}
    max_reruns: {max}
    rerun_on_demand: {on_demand}
    rebalance: {rebalance}
"
        )
    }
}

#[cfg(test)]
mod tests {
    use dayfly_core::config::Config;

    use super::*;
    use crate::hub::repository;

    #[test]
    fn the_file_says_what_was_drawn() {
        for seed in 0..50 {
            let drawn = Plan::draw(seed).config(&repository(1));
            let read = Config::parse(&drawn.text()).map(|config| config.runners);
            let spec = read.as_ref().ok().and_then(|runners| runners.first());
            assert_eq!(
                spec.map(|spec| (spec.rerun, spec.rebalance)),
                Some((drawn.rerun, drawn.rebalance)),
                "{read:?}"
            );
        }
    }
}
