//! Which runners a job's labels stand for: what an inline label says, or the entries of the
//! repository's configuration.

use dayfly_core::config::{Files, GivingUp, RunnerSpec, Volume};
use dayfly_core::labels::{self, inline};
use dayfly_core::machines::{NoMatch, Table};
use dayfly_core::record::Job;
use dayfly_core::time::Timestamp;
use dayfly_ports::{Bus, Clock, Fleet, GitHub, Parameters, Quotas, Schedule, Store};

use crate::who::Who;
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
        let files = config::load(&self.store, &self.github, &scope(job), &self.region, now).await;
        let Some((label, asked)) = asked else {
            return self.of_files(&files?, job).await;
        };
        let files = match files {
            // What is wrong with a file that the job does not ask for is none of its concern.
            Err(NoPlan::Refused(why)) => {
                tracing::warn!(job = %job.key, why, "the configuration does not count for an inline label");
                None
            }
            known => Some(known?),
        };
        if let Some(files) = &files {
            self.may_ask(&mut Who::of(job), files).await?;
        }
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
            giving_up: files.map(|files| files.config.giving_up).unwrap_or_default(),
        })
    }

    /// The entries of the configuration that have a job's labels and may be used by whoever asks for it,
    /// with their machine types found.
    async fn of_files(&self, files: &Files, job: &Job) -> Result<Entries, NoPlan> {
        let table = Table::embedded().map_err(|error| NoPlan::Refused(error.to_string()))?;
        let config = &files.config;
        let (entries, passed) = (config.resolve(&job.labels), config.passed_over(&job.labels));
        let mut specs = Vec::new();
        let mut why: Vec<String> = Vec::new();
        let mut who = Who::of(job);
        if !entries.is_empty() || !passed.is_empty() {
            self.may_ask(&mut who, files).await?;
        } else if labels::must_be_ours(&job.labels) {
            why.extend(files.trouble.clone());
        }
        for entry in entries {
            if let Err(words) = self.may_use(&mut who, files, &entry.name).await? {
                why.push(words);
                continue;
            }
            if let Some(key) = unkept_key(entry) {
                why.push(format!(
                    "the runner `{}` has `{key}`, which this version of dayfly cannot keep yet",
                    entry.name
                ));
                continue;
            }
            match with_types(entry.clone(), table) {
                Ok(spec) => specs.push(spec),
                Err(error) => why.push(format!("the runner `{}`: {error}", entry.name)),
            }
        }
        why.extend(passed.into_iter().map(|entry| entry.why.clone()));
        // The attempts of an entry are refused alike.
        why.dedup();
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
}

/// What an entry asks for that its instance would not have.
fn unkept_key(spec: &RunnerSpec) -> Option<&'static str> {
    let asked = [
        ("disk", spec.volume != Volume::default()),
        ("startup_script", spec.startup_script.is_some()),
        ("env", !spec.env.is_empty()),
        ("tags", !spec.tags.is_empty()),
        ("subnets", !spec.subnets.is_empty()),
        ("security_groups", !spec.security_groups.is_empty()),
        ("instance_profile", spec.instance_profile.is_some()),
    ];
    asked.into_iter().find_map(|(key, is_asked)| is_asked.then_some(key))
}

/// A runner with the machine types that are what it wants, if it names none.
fn with_types(mut spec: RunnerSpec, table: &Table) -> Result<RunnerSpec, NoMatch> {
    if let Some(wants) = &spec.wants {
        let machines = table.to_launch(wants, &|_| None)?;
        if let Some(first) = machines.first() {
            spec.image = spec.image.on(first.arch);
        }
        spec.instance_types = machines.into_iter().map(|machine| machine.name.clone()).collect();
    }
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
