//! Which runners a job's labels stand for: what an inline label says, or the entries of the
//! repository's configuration.

use dayfly_core::config::{Config, RunnerSpec, Volume};
use dayfly_core::decide::entries::{self, Entries, NoEntry};
use dayfly_core::labels;
use dayfly_core::record::Job;
use dayfly_core::time::Timestamp;
use dayfly_ports::{Bus, Clock, Fleet, GitHub, Parameters, Quotas, Schedule, Store};

use crate::{Function, NoPlan, config, scope};

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule, P: Parameters, K: Clock, Q: Quotas>
    Function<S, G, F, B, C, P, K, Q>
{
    pub(crate) async fn entries(&self, job: &Job, now: Timestamp) -> Result<Entries, NoPlan> {
        let asked = entries::inline(&job.labels)?;
        let config = config::load(&self.store, &self.github, &scope(job), &self.region, now).await;
        let entries = match asked {
            None => of_config(&config?, job)?,
            Some((label, asked)) => {
                let config = match config {
                    // What is wrong with a file that the job does not ask for is none of its concern.
                    Err(NoPlan::Refused(why)) => {
                        tracing::warn!(job = %job.key, why, "the configuration does not count for an inline label");
                        None
                    }
                    known => Some(known?),
                };
                entries::of_label(label, &asked, config.as_ref(), &self.region)?
            }
        };
        for why in &entries.passed {
            tracing::warn!(job = %job.key, why, "an entry of the configuration cannot be launched");
        }
        Ok(entries)
    }
}

impl From<NoEntry> for NoPlan {
    fn from(error: NoEntry) -> Self {
        Self::Refused(error.to_string())
    }
}

/// The entries of the configuration that have a job's labels, but for those that want what no instance
/// would have.
fn of_config(config: &Config, job: &Job) -> Result<Entries, NoPlan> {
    if let Some(key) = whole_file_key(config) {
        return Err(NoPlan::Refused(format!(
            "the configuration has `{key}`, which this version of dayfly cannot keep yet: take it out, and it counts again"
        )));
    }
    let mut entries = entries::of_config(config, &job.labels)?;
    let (kept, unkept) = std::mem::take(&mut entries.specs)
        .into_iter()
        .partition::<Vec<_>, _>(|spec| unkept_key(spec).is_none());
    entries.specs = kept;
    entries.passed.extend(unkept.iter().filter_map(|spec| {
        let key = unkept_key(spec)?;
        Some(format!(
            "the runner `{}` has `{key}`, which this version of dayfly cannot keep yet",
            spec.name
        ))
    }));
    if entries.specs.is_empty() && !entries.passed.is_empty() {
        return Err(NoEntry::AllPassed(entries.passed.join("; ")).into());
    }
    Ok(entries)
}

/// What a file says of who may use it or what it goes on from, which would count for nothing. To launch
/// all the same could give somebody what the file keeps from them.
fn whole_file_key(config: &Config) -> Option<&'static str> {
    let actors = config.actors.as_ref().map(|_| "actors");
    actors.or(config.extends.as_ref().map(|_| "extends"))
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

/// Why a job whose labels no runner has is refused.
pub(crate) fn no_such_label(job: &Job) -> NoPlan {
    NoPlan::Refused(format!(
        "no runner in `{path}` of the default branch of {repository} has all of the labels {labels}: add one, or mend the job's `runs-on`",
        path = dayfly_core::config::CONFIG_PATH,
        repository = job.repository,
        labels = labels::listed(&job.labels),
    ))
}
