//! The plan for a job: the fallback chain of launch options that its labels stand for.

pub(crate) mod entries;
pub(crate) mod images;

use dayfly_config::labels;
use dayfly_config::machines::Table;
use dayfly_engine::launch::entries::Entries;
use dayfly_engine::launch::fallback_chain::{self, ChainOption, ChainTerms, FallbackChain};
use dayfly_engine::rerun;
use dayfly_flows::{AdmissionRequest, Blocked, RunRequester, attempt_before};
use dayfly_policy::{CommentCaps, LaunchRequest, Policy};
use dayfly_ports::Scope;
use dayfly_records::{Job, LaunchOption, LaunchPlan, PoolMemory, Run};
use dayfly_types::time::Timestamp;

use crate::{Function, LaunchPorts};
use entries::no_such_label;

impl<P: LaunchPorts> Function<P> {
    /// Returns what to launch for a job, or `None` if no runner has its labels and they may be meant for
    /// runners that are not dayfly's.
    pub(crate) async fn plan(&self, job: &mut Job, now: Timestamp) -> Result<Option<LaunchPlan>, Blocked> {
        let policy = self.policies.current(self.ports.parameters(), now).await?;
        let previous = attempt_before(self.ports.store(), job.run_key())
            .await
            .map_err(Blocked::unavailable)?;
        let (scope, labels) = (Scope::of_job(job), job.labels.clone());
        let mut requester = RunRequester::of(AdmissionRequest {
            scope: &scope,
            run: job.run_key(),
            labels: &labels,
            ours: previous.as_ref().is_some_and(rerun::is_ours),
        });
        let plan = self
            .plan_for(job, &mut requester, previous.as_ref(), &policy, now)
            .await;
        if let Err(Blocked::Denied(_)) = &plan {
            self.attribute_messenger(job, &mut requester, &policy, now).await;
        }
        plan
    }

    async fn plan_for(
        &self,
        job: &mut Job,
        requester: &mut RunRequester<'_>,
        previous: Option<&Run>,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Option<LaunchPlan>, Blocked> {
        let entries = self.entries(job, requester, now).await?;
        job.giving_up = entries.giving_up;
        job.reporting = entries.reporting;
        job.reporting.all_caps = policy.comment_caps == CommentCaps::All;
        job.github_per_minute = policy.github_per_minute;
        if entries.specs.is_empty() {
            return if labels::must_be_ours(&job.labels) {
                Err(no_such_label(job))
            } else {
                Ok(None)
            };
        }
        self.admit(job, requester, policy, now).await?;
        let chain = self.fallback_chain(job, &entries, policy, previous, now).await?;
        self.with_images(job, chain, now).await
    }

    /// The launch options that the policy allows, in the order in which they are tried.
    async fn fallback_chain(
        &self,
        job: &Job,
        entries: &Entries,
        policy: &Policy,
        previous: Option<&Run>,
        now: Timestamp,
    ) -> Result<FallbackChain, Blocked> {
        // Only a circuit breaker depends on what was interrupted.
        let memory = if entries.specs.iter().any(|entry| entry.breaker.is_some()) {
            self.pool_memory().await
        } else {
            PoolMemory::default()
        };
        let terms = ChainTerms {
            policy,
            request: LaunchRequest {
                repository: &job.repository,
                region: self.region.as_str(),
            },
            on_demand: previous.is_some_and(rerun::on_demand),
            memory: &memory,
            machines: Table::embedded().map_err(Blocked::denied)?,
        };
        let chain = fallback_chain::fallback_chain(&entries.specs, &terms, now);
        for forbidden in &chain.forbidden {
            tracing::warn!(job = %job.key, entry = forbidden.entry, lifecycle = %forbidden.lifecycle,
                why = %forbidden.refused, "the policy does not allow a launch option");
        }
        if chain.left_out > 0 {
            tracing::warn!(job = %job.key, left_out = chain.left_out, "there are more launch options than are tried");
        }
        Ok(chain)
    }

    /// Looks up the image of each launch option.
    async fn with_images(
        &self,
        job: &Job,
        chain: FallbackChain,
        now: Timestamp,
    ) -> Result<Option<LaunchPlan>, Blocked> {
        let first_forbidden = chain.forbidden.into_iter().next();
        let mut denied = first_forbidden.map(|forbidden| forbidden.refused.to_string());
        let mut options = Vec::new();
        for ChainOption { spec, lifecycle, .. } in chain.options {
            let image = match self.images.find(&self.ports, &spec.image, now).await {
                Err(Blocked::Denied(why)) => {
                    tracing::warn!(job = %job.key, entry = spec.name, why, "an entry of the configuration cannot be launched");
                    denied.get_or_insert(why);
                    continue;
                }
                found => found?,
            };
            options.push(LaunchOption {
                spec,
                image: image.image,
                root_device: image.root_device,
                image_gib: image.gib,
                lifecycle,
            });
        }
        let mut options = options.into_iter();
        match (options.next(), denied) {
            (Some(first), _) => Ok(Some(LaunchPlan::new(first, options.collect()))),
            (None, Some(why)) => Err(Blocked::Denied(why)),
            (None, None) => Ok(None),
        }
    }
}
