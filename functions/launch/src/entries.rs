//! Which runners a job's labels stand for: what an inline label says, or the entries of the
//! repository's configuration.

use dayfly_core::config::{GivingUp, RunnerSpec};
use dayfly_core::labels::{self, inline};
use dayfly_core::machines::Table;
use dayfly_core::record::Job;
use dayfly_core::time::Timestamp;
use dayfly_ports::{Bus, Clock, Fleet, GitHub, Parameters, Quotas, Schedule, Store};

use crate::{Function, NoPlan, config, scope};

/// What a job's labels stand for.
pub(crate) struct Entries {
    /// The runners, in the order in which they are tried.
    pub(crate) specs: Vec<RunnerSpec>,
    /// How the job is told should it be given up.
    pub(crate) giving_up: GivingUp,
}

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule, P: Parameters, K: Clock, Q: Quotas>
    Function<S, G, F, B, C, P, K, Q>
{
    pub(crate) async fn entries(&self, job: &Job, now: Timestamp) -> Result<Entries, NoPlan> {
        let asked = inline::asked(&job.labels).map_err(|error| NoPlan::Refused(error.to_string()))?;
        let config = config::load(&self.store, &self.github, &scope(job), now).await;
        let Some((label, asked)) = asked else {
            let config = config?;
            return Ok(Entries {
                specs: config.resolve(&job.labels).into_iter().cloned().collect(),
                giving_up: config.giving_up,
            });
        };
        let config = match config {
            // What is wrong with a file that the job does not ask for is none of its concern.
            Err(NoPlan::Refused(why)) => {
                tracing::warn!(job = %job.key, why, "the configuration does not count for an inline label");
                None
            }
            known => Some(known?),
        };
        if let Some(region) = asked.region.as_ref().filter(|region| **region != self.region) {
            return Err(NoPlan::Refused(format!(
                "`{label}` asks for the region {region}, and this stack launches in {}: leave `region=` out, or deploy a stack there",
                self.region
            )));
        }
        let table = Table::embedded().map_err(|error| NoPlan::Refused(error.to_string()))?;
        let spec = asked
            .spec(label, table, &|_| None)
            .map_err(|error| NoPlan::Refused(format!("`{label}` cannot be served: {error}")))?;
        Ok(Entries {
            specs: vec![spec],
            giving_up: config.map(|config| config.giving_up).unwrap_or_default(),
        })
    }
}

/// Why a job whose labels no runner has is refused.
pub(crate) fn no_such_label(job: &Job) -> NoPlan {
    NoPlan::Refused(format!(
        "no runner in `{path}` of the default branch of {repository} has all of the labels {labels}: add one, or mend the job's `runs-on`",
        path = dayfly_core::config::CONFIG_PATH,
        repository = job.repository,
        labels = labels::listed(&job.labels),
    ))
}
