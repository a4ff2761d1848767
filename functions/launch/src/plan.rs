//! What to launch for a job: the fallback chain of attempts that its labels stand for, if the stack policy lets
//! it run at all.

use dayfly_config::labels;
use dayfly_config::machines::Table;
use dayfly_engine::entries::Entries;
use dayfly_engine::fallback_chain::{self, Attempt, ChainTerms, FallbackChain};
use dayfly_engine::rerun;
use dayfly_flows::{Asked, Blocked, RequesterLookup};
use dayfly_policy::{CommentCaps, LaunchRequest, Policy};
use dayfly_ports::{Bus, Clock, Fleet, GitHub, Parameters, Quotas, Schedule, Store};
use dayfly_records::{Job, LaunchOption, LaunchPlan, PoolMemory, Run};
use dayfly_types::time::Timestamp;

use crate::entries::no_such_label;
use crate::{Function, memory, scope};

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule, P: Parameters, K: Clock, Q: Quotas>
    Function<S, G, F, B, C, P, K, Q>
{
    /// What to launch for a job. Nothing if no runner has its labels and they may be meant for
    /// somebody else's runners.
    pub(crate) async fn plan(&self, job: &mut Job, now: Timestamp) -> Result<Option<LaunchPlan>, Blocked> {
        let policy = self.policies.current(&self.parameters, now).await?;
        let previous = self.attempt_before(job).await.map_err(Blocked::unavailable)?;
        let (scope, labels) = (scope(job), job.labels.clone());
        let mut requester = RequesterLookup::of(Asked {
            scope: &scope,
            run: job.run_key(),
            labels: &labels,
            ours: previous.as_ref().is_some_and(rerun::is_ours),
        });
        let planned = self.planned(job, &mut requester, previous.as_ref(), &policy, now).await;
        if let Err(Blocked::Denied(_)) = &planned {
            self.charge_message(job, &mut requester, &policy, now).await;
        }
        planned
    }

    /// Has whoever asked for a job that is refused pay for being told so, if he has a cap of his own. Nobody
    /// waits for that: where GitHub does not say who he is, only the wider caps hold.
    async fn charge_message(
        &self,
        job: &mut Job,
        requester: &mut RequesterLookup<'_>,
        policy: &Policy,
        now: Timestamp,
    ) {
        if !policy.caps.ask_who() {
            return;
        }
        match self.policies.attribution(&self.github, requester, now).await {
            Ok((actor, pull)) => (job.attribution.actor, job.attribution.pull) = (actor, pull),
            Err(why) => tracing::warn!(job = %job.key, %why, "it is not known who pays for the message to the job"),
        }
    }

    async fn planned(
        &self,
        job: &mut Job,
        requester: &mut RequesterLookup<'_>,
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
        // A run that is not there is over, which the next look finds.
        let judged = self.policies.admit(&self.github, policy, requester, now).await?;
        judged.map_err(Blocked::denied)?;
        if policy.caps.ask_who() {
            (job.attribution.actor, job.attribution.pull) =
                self.policies.attribution(&self.github, requester, now).await?;
        } else if job.reporting.comment.is_some() {
            // No job waits for a comment.
            match self.policies.attribution(&self.github, requester, now).await {
                Ok((_, pull)) => job.attribution.pull = pull,
                Err(why) => tracing::warn!(job = %job.key, %why, "the job's pull request is not known"),
            }
        }
        let fallback_chain = self.fallback_chain(job, &entries, policy, previous, now).await?;
        self.with_images(job, fallback_chain, now).await
    }

    /// The attempts that the policy lets be made.
    async fn fallback_chain(
        &self,
        job: &Job,
        entries: &Entries,
        policy: &Policy,
        previous: Option<&Run>,
        now: Timestamp,
    ) -> Result<FallbackChain, Blocked> {
        // Only a breaker asks what was interrupted.
        let memory = if entries.specs.iter().any(|entry| entry.breaker.is_some()) {
            memory::recall(&self.store).await
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
        let fallback_chain = fallback_chain::fallback_chain(&entries.specs, &terms, now);
        for forbidden in &fallback_chain.forbidden {
            tracing::warn!(job = %job.key, entry = forbidden.entry, lifecycle = %forbidden.lifecycle,
                why = %forbidden.refused, "the policy does not allow an attempt");
        }
        if fallback_chain.left_out > 0 {
            tracing::warn!(job = %job.key, left_out = fallback_chain.left_out, "there are more attempts than are made");
        }
        Ok(fallback_chain)
    }

    /// The attempts with their images.
    async fn with_images(
        &self,
        job: &Job,
        fallback_chain: FallbackChain,
        now: Timestamp,
    ) -> Result<Option<LaunchPlan>, Blocked> {
        let mut refused = fallback_chain
            .forbidden
            .into_iter()
            .next()
            .map(|forbidden| forbidden.refused.to_string());
        let mut options = Vec::new();
        for Attempt { spec, lifecycle, .. } in fallback_chain.attempts {
            let image = match self.images.find(&self.parameters, &self.fleet, &spec.image, now).await {
                Err(Blocked::Denied(why)) => {
                    tracing::warn!(job = %job.key, entry = spec.name, why, "an entry of the configuration cannot be launched");
                    refused.get_or_insert(why);
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
        match (options.next(), refused) {
            (Some(first), _) => Ok(Some(LaunchPlan::new(first, options.collect()))),
            (None, Some(why)) => Err(Blocked::Denied(why)),
            (None, None) => Ok(None),
        }
    }
}
