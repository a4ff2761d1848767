//! The runners that a job's labels stand for: an inline label, or entries of the repository's
//! configuration.

use std::collections::BTreeMap;

use dayfly_config::labels;
use dayfly_config::{Files, RunnerSpec};
use dayfly_engine::launch::entries::{self, Entries, NoEntry};
use dayfly_flows::{Blocked, RunRequester, RunnerAccess, load_files};
use dayfly_records::Job;
use dayfly_types::time::Timestamp;

use crate::{Function, LaunchPorts};

impl<P: LaunchPorts> Function<P> {
    pub(crate) async fn entries(
        &self,
        job: &Job,
        requester: &mut RunRequester<'_>,
        now: Timestamp,
    ) -> Result<Entries, Blocked> {
        let inline = entries::inline(&job.labels).map_err(Blocked::denied)?;
        let scope = requester.request.scope;
        let files = load_files(self.ports.store(), self.ports.github(), scope, Some(&self.region), now).await;
        let entries = match inline {
            None => self.configured_entries(&files?, job, requester).await?,
            Some((label, asked)) => {
                let files = match files {
                    // An error in a file that the job does not refer to must not block it.
                    Err(Blocked::Denied(why)) => {
                        tracing::warn!(job = %job.key, why, "the configuration is ignored for an inline label");
                        None
                    }
                    loaded => Some(loaded?),
                };
                if let Some(files) = &files {
                    requester.may_ask(self.ports.github(), files).await?;
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

    /// The entries of the configuration that have a job's labels and that its requester may use.
    async fn configured_entries(
        &self,
        files: &Files,
        job: &Job,
        requester: &mut RunRequester<'_>,
    ) -> Result<Entries, Blocked> {
        let config = &files.config;
        let candidates = config.resolve(&job.labels);
        if !candidates.is_empty() || !config.skipped_for(&job.labels).is_empty() {
            requester.may_ask(self.ports.github(), files).await?;
        } else if let Some(problem) = files
            .global_problem
            .as_ref()
            .filter(|_| labels::must_be_ours(&job.labels))
        {
            return Err(Blocked::denied(NoEntry::AllPassed(problem.clone())));
        }
        let mut barred = BTreeMap::new();
        for entry in candidates {
            let why = match requester.may_use(self.ports.github(), files, &entry.name).await? {
                RunnerAccess::Denied(why) => Some(why),
                RunnerAccess::Allowed => self.missing_subnets(entry).await?,
            };
            if let Some(why) = why {
                barred.insert(entry.name.clone(), why);
            }
        }
        entries::of_config(config, &job.labels, &barred).map_err(Blocked::denied)
    }

    /// Reports the subnets of an entry that do not exist, even if others of it do.
    async fn missing_subnets(&self, spec: &RunnerSpec) -> Result<Option<String>, Blocked> {
        let missing = self.zones.missing(self.ports.fleet(), &spec.subnets).await;
        let missing = missing.map_err(|error| {
            Blocked::unavailable(format_args!(
                "the subnets of `{}` could not be looked up; EC2 says {error}",
                spec.name
            ))
        })?;
        let missing: Vec<String> = missing.iter().map(|subnet| format!("`{subnet}`")).collect();
        Ok((!missing.is_empty()).then(|| {
            format!(
                "the `subnets` of the runner `{}` name {}, which do not exist in {}: name others, or none to use the stack's own",
                spec.name,
                missing.join(", "),
                self.region,
            )
        }))
    }
}

/// Denies a job whose labels no runner has.
pub(super) fn no_such_label(job: &Job) -> Blocked {
    Blocked::Denied(format!(
        "no runner in `{path}` of the default branch of {repository} has all of the labels {labels}: add one, or correct the job's `runs-on`",
        path = dayfly_config::CONFIG_PATH,
        repository = job.repository,
        labels = labels::listed(&job.labels),
    ))
}
