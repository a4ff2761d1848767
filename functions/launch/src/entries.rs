//! Which runners a job's labels stand for: what an inline label says, or the entries of the
//! repository's configuration.

use std::collections::BTreeMap;

use dayfly_config::labels;
use dayfly_config::{Files, RunnerSpec};
use dayfly_engine::entries::{self, Entries, NoEntry};
use dayfly_flows::{Blocked, RequesterLookup, load_files};
use dayfly_ports::{Bus, Clock, Fleet, GitHub, Parameters, Quotas, Schedule, Store};
use dayfly_records::Job;
use dayfly_types::time::Timestamp;

use crate::Function;

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule, P: Parameters, K: Clock, Q: Quotas>
    Function<S, G, F, B, C, P, K, Q>
{
    pub(crate) async fn entries(
        &self,
        job: &Job,
        requester: &mut RequesterLookup<'_>,
        now: Timestamp,
    ) -> Result<Entries, Blocked> {
        let asked = entries::inline(&job.labels).map_err(Blocked::denied)?;
        let files = load_files(
            &self.store,
            &self.github,
            requester.asked.scope,
            Some(&self.region),
            now,
        )
        .await;
        let entries = match asked {
            None => self.of_files(&files?, job, requester).await?,
            Some((label, asked)) => {
                let files = match files {
                    // What is wrong with a file that the job does not ask for is none of its concern.
                    Err(Blocked::Denied(why)) => {
                        tracing::warn!(job = %job.key, why, "the configuration does not count for an inline label");
                        None
                    }
                    known => Some(known?),
                };
                if let Some(files) = &files {
                    requester.may_ask(&self.github, files).await?;
                }
                let config = files.as_ref().map(|files| &files.config);
                entries::of_label(label, &asked, config, &self.region).map_err(Blocked::denied)?
            }
        };
        for why in &entries.passed {
            tracing::warn!(job = %job.key, why, "an entry of the configuration cannot be launched");
        }
        Ok(entries)
    }

    /// The entries of the configuration that have a job's labels and may be used by whoever asks for it.
    async fn of_files(
        &self,
        files: &Files,
        job: &Job,
        requester: &mut RequesterLookup<'_>,
    ) -> Result<Entries, Blocked> {
        let config = &files.config;
        let asked_for = config.resolve(&job.labels);
        if !asked_for.is_empty() || !config.passed_over(&job.labels).is_empty() {
            requester.may_ask(&self.github, files).await?;
        } else if let Some(trouble) = files.trouble.as_ref().filter(|_| labels::must_be_ours(&job.labels)) {
            return Err(Blocked::denied(NoEntry::AllPassed(trouble.clone())));
        }
        let mut barred = BTreeMap::new();
        for entry in asked_for {
            let why = match requester.may_use(&self.github, files, &entry.name).await? {
                Err(why) => Some(why),
                Ok(()) => self.missing_subnets(entry).await?,
            };
            if let Some(why) = why {
                barred.insert(entry.name.clone(), why);
            }
        }
        entries::of_config(config, &job.labels, &barred).map_err(Blocked::denied)
    }

    /// What is wrong with the subnets of an entry: one that does not exist is told, be there others.
    async fn missing_subnets(&self, spec: &RunnerSpec) -> Result<Option<String>, Blocked> {
        let missing = self.zones.missing(&self.fleet, &spec.subnets).await;
        let missing = missing.map_err(|error| {
            Blocked::unavailable(format_args!(
                "the subnets of `{}` could not be looked up; EC2 says {error}",
                spec.name
            ))
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

/// Why a job whose labels no runner has is refused.
pub(crate) fn no_such_label(job: &Job) -> Blocked {
    Blocked::Denied(format!(
        "no runner in `{path}` of the default branch of {repository} has all of the labels {labels}: add one, or mend the job's `runs-on`",
        path = dayfly_config::CONFIG_PATH,
        repository = job.repository,
        labels = labels::listed(&job.labels),
    ))
}
