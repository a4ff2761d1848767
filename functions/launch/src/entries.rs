//! Which runners a job's labels stand for: what an inline label says, or the entries of the
//! repository's configuration.

use dayfly_core::config::{Config, GivingUp, NoImage, RunnerSpec};
use dayfly_core::labels::{self, inline};
use dayfly_core::machines::{NoMatch, Table};
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
        let config = config::load(&self.store, &self.github, &scope(job), &self.region, now).await;
        let Some((label, asked)) = asked else {
            return self.of_config(&config?, job).await;
        };
        let config = match config {
            // What is wrong with a file that the job does not ask for is none of its concern.
            Err(NoPlan::Refused(why)) => {
                tracing::warn!(job = %job.key, why, "the configuration does not count for an inline label");
                None
            }
            known => Some(known?),
        };
        if let Some(region) = asked.region.as_ref().filter(|region| **region != *self.region.as_str()) {
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

    /// The entries of the configuration that have a job's labels, with their machine types found.
    async fn of_config(&self, config: &Config, job: &Job) -> Result<Entries, NoPlan> {
        let table = Table::embedded().map_err(|error| NoPlan::Refused(error.to_string()))?;
        if let Some(key) = whole_file_key(config) {
            return Err(NoPlan::Refused(format!(
                "the configuration has `{key}`, which this version of dayfly cannot keep yet: take it out, and it counts again"
            )));
        }
        let mut specs = Vec::new();
        let mut why: Vec<String> = Vec::new();
        for entry in config.resolve(&job.labels) {
            let spec = match with_types(entry.clone(), table) {
                Ok(spec) => spec,
                Err(error) => {
                    why.push(format!("the runner `{}`: {error}", entry.name));
                    continue;
                }
            };
            match self.missing_subnets(&spec).await? {
                None => specs.push(spec),
                Some(missing) => why.push(missing),
            }
        }
        why.extend(
            config
                .passed_over(&job.labels)
                .into_iter()
                .map(|entry| entry.why.clone()),
        );
        for why in &why {
            tracing::warn!(job = %job.key, why, "an entry of the configuration cannot be launched");
        }
        if specs.is_empty() && !why.is_empty() {
            return Err(NoPlan::Refused(format!(
                "no runner of the configuration that has the job's labels can be launched: {}",
                why.join("; ")
            )));
        }
        Ok(Entries {
            specs,
            giving_up: config.giving_up,
        })
    }

    /// What is wrong with the subnets of an entry: one that does not exist is told, be there others.
    async fn missing_subnets(&self, spec: &RunnerSpec) -> Result<Option<String>, NoPlan> {
        let missing = self.zones.missing(&self.fleet, &spec.subnets).await;
        let missing = missing.map_err(|error| {
            NoPlan::Unavailable(
                format!(
                    "the subnets of `{}` could not be looked up; EC2 says {error}",
                    spec.name
                ),
                None,
            )
        })?;
        let missing: Vec<String> = missing.iter().map(|subnet| format!("`{subnet}`")).collect();
        Ok((!missing.is_empty()).then(|| {
            format!(
                "the runner `{}` has the subnets {} among its `subnets`, which do not exist in {}: name others, or none to be in the stack's own",
                spec.name,
                missing.join(", "),
                self.region,
            )
        }))
    }
}

/// What a file says of who may use it or what it goes on from, which would count for nothing. To launch
/// all the same could give somebody what the file keeps from them.
fn whole_file_key(config: &Config) -> Option<&'static str> {
    let actors = config.actors.as_ref().map(|_| "actors");
    actors.or(config.extends.as_ref().map(|_| "extends"))
}

/// Why an entry cannot be launched.
#[derive(Debug, thiserror::Error)]
enum CannotServe {
    #[error(transparent)]
    NoMachine(#[from] NoMatch),
    #[error(transparent)]
    NoImage(#[from] NoImage),
}

/// A runner with the machine types that are what it wants, if it names none, and an image for them.
fn with_types(mut spec: RunnerSpec, table: &Table) -> Result<RunnerSpec, CannotServe> {
    if let Some(wants) = &spec.wants {
        let machines = table.to_launch(wants, &|_| None)?;
        spec.instance_types = machines.into_iter().map(|machine| machine.name.clone()).collect();
    }
    spec.image = spec.image.on_types(&spec.instance_types, table)?;
    Ok(spec)
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
