//! The repositories' configurations, drawn from the seed.

use std::time::Duration;

use dayfly_config::{Breaker, Fallback, GivingUp, Rebalance, RerunOnDemand, RerunPolicy, RerunWhat};
use dayfly_types::ids::Repository;

use crate::dice::Dice;
use crate::plan::Plan;

/// How the repositories of a history are configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ways {
    /// In any possible way.
    Drawn,
    /// As users usually do: mostly with the defaults.
    Usual,
}

/// The parts of a configuration that differ between repositories.
#[derive(Clone, Copy, Debug)]
pub struct RepositoryConfig {
    pub rerun: RerunPolicy,
    pub rebalance: Rebalance,
    pub fallback: Fallback,
    pub breaker: Option<Breaker>,
    pub giving_up: GivingUp,
    pub startup: bool,
    /// Whether its workflow has a `concurrency` group, so that a newer run supersedes an older one.
    pub concurrency: bool,
    pub types: &'static str,
    /// Whether it falls back to a more expensive type.
    pub dearer: bool,
}

/// A more expensive type with as many vCPUs.
pub(crate) const DEARER: &str = "g6e.xlarge";

const SMALL: &str = "g4dn.xlarge, g5.xlarge, g6.xlarge";

impl Plan {
    /// Returns a repository's configuration.
    #[must_use]
    pub fn config(&self, repository: &Repository) -> RepositoryConfig {
        match self.ways {
            Ways::Drawn => self.drawn(repository),
            Ways::Usual => self.usual(repository),
        }
    }

    fn usual(&self, repository: &Repository) -> RepositoryConfig {
        let mut dice = Dice::of(self.seed, "usual", &repository.to_string());
        let types = [
            SMALL,
            SMALL,
            SMALL,
            "g4dn.2xlarge, g5.2xlarge, g6.2xlarge",
            "g5.xlarge, g6.xlarge",
            "g4dn.xlarge",
        ];
        RepositoryConfig {
            rerun: RerunPolicy::default(),
            rebalance: Rebalance::default(),
            breaker: None,
            giving_up: GivingUp::default(),
            startup: false,
            concurrency: dice.happens(0.2),
            fallback: *dice.one_of(&[Fallback::None, Fallback::None, Fallback::OnDemand]),
            types: dice.one_of::<&str>(&types),
            dearer: false,
        }
    }

    fn drawn(&self, repository: &Repository) -> RepositoryConfig {
        let startup = Dice::of(self.seed, "startup", &repository.to_string()).happens(0.2);
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
            startup,
            types: SMALL,
            dearer: Dice::of(self.seed, "dearer", &repository.to_string()).happens(0.3),
            rebalance: *dice.one_of(&[Rebalance::Mark, Rebalance::DrainIfIdle]),
            concurrency: dice.happens(0.2),
            fallback: *dice.one_of(&[Fallback::None, Fallback::OnDemand]),
            breaker: dice.happens(0.3).then(|| Breaker {
                interruptions: *dice.one_of(&[1, 2, 3]),
                within: Duration::from_mins(30),
                on_demand_for: Duration::from_mins(20),
            }),
            giving_up: GivingUp {
                messenger: dice.happens(0.8),
                cancel_run: dice.happens(0.3),
            },
        }
    }
}

impl RepositoryConfig {
    /// Returns the configuration file.
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
        let fallback = match self.fallback {
            Fallback::None => "none",
            Fallback::OnDemand => "on-demand",
        };
        let breaker = self.breaker.map_or(String::new(), |breaker| {
            format!(
                "    breaker: {{interruptions: {}, within: {}s, on_demand_for: {}s}}\n",
                breaker.interruptions,
                breaker.within.as_secs(),
                breaker.on_demand_for.as_secs()
            )
        });
        let startup = if self.startup {
            "    startup_script: make ready\n"
        } else {
            ""
        };
        let GivingUp { messenger, cancel_run } = self.giving_up;
        let runner = |name: &str, types: &str| {
            format!(
                "  - name: {name}
    labels: [dayfly-gpu]
    instance_type: [{types}]
    machine_image: ssm:/images/gpu
    rerun: {what}
    max_reruns: {max}
    rerun_on_demand: {on_demand}
    rebalance: {rebalance}
    fallback: {fallback}
{breaker}{startup}"
            )
        };
        let dearer = if self.dearer {
            runner("large", DEARER)
        } else {
            String::new()
        };
        format!(
            "messenger: {messenger}
cancel_run_when_unlaunchable: {cancel_run}
runners:
{}{dearer}",
            runner("gpu", self.types)
        )
    }
}

#[cfg(test)]
mod tests {
    use dayfly_config::Config;

    use super::*;
    use crate::hub::repository;

    #[test]
    fn the_file_matches_the_drawn_configuration() {
        for seed in 0..50 {
            let drawn = Plan::draw(seed).config(&repository(1));
            let read = Config::parse(&drawn.text());
            let found = read.as_ref().ok().and_then(|config| {
                let spec = config.runners.first()?;
                Some((
                    spec.rerun,
                    spec.rebalance,
                    spec.fallback,
                    spec.breaker,
                    spec.startup_script.is_some(),
                    config.giving_up,
                    config.runners.len() > 1,
                ))
            });
            let meant = (
                drawn.rerun,
                drawn.rebalance,
                drawn.fallback,
                drawn.breaker,
                drawn.startup,
                drawn.giving_up,
                drawn.dearer,
            );
            assert_eq!(found, Some(meant), "{read:?}");
        }
    }
}
