//! What to launch for a job: the ladder of attempts that its labels stand for, if the stack policy lets
//! it run at all.

use dayfly_config::labels;
use dayfly_config::machines::Table;
use dayfly_engine::entries::Entries;
use dayfly_engine::ladder::{self, Attempt, Ladder, Terms};
use dayfly_engine::rerun;
use dayfly_flows::{Asked, Hindrance, Who};
use dayfly_policy::{Asker, CommentCaps, Policy};
use dayfly_ports::{Bus, Clock, Fleet, GitHub, Parameters, Quotas, Schedule, Store};
use dayfly_records::{Job, LaunchPlan, PoolMemory, Run, Rung};
use dayfly_types::time::Timestamp;

use crate::entries::no_such_label;
use crate::{Function, memory, scope};

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule, P: Parameters, K: Clock, Q: Quotas>
    Function<S, G, F, B, C, P, K, Q>
{
    /// What to launch for a job. Nothing if no runner has its labels and they may be meant for
    /// somebody else's runners.
    pub(crate) async fn plan(&self, job: &mut Job, now: Timestamp) -> Result<Option<LaunchPlan>, Hindrance> {
        let policy = self.policies.current(&self.parameters, now).await?;
        let previous = self.attempt_before(job).await.map_err(Hindrance::unavailable)?;
        let (scope, labels) = (scope(job), job.labels.clone());
        let mut who = Who::of(Asked {
            scope: &scope,
            run: job.run_key(),
            labels: &labels,
            ours: previous.as_ref().is_some_and(rerun::is_ours),
        });
        let planned = self.planned(job, &mut who, previous.as_ref(), &policy, now).await;
        if let Err(Hindrance::Refused(_)) = &planned {
            self.charge_message(job, &mut who, &policy, now).await;
        }
        planned
    }

    /// Has whoever asked for a job that is refused pay for being told so, if he has a cap of his own. Nobody
    /// waits for that: where GitHub does not say who he is, only the wider caps hold.
    async fn charge_message(&self, job: &mut Job, who: &mut Who<'_>, policy: &Policy, now: Timestamp) {
        if !policy.caps.ask_who() {
            return;
        }
        match self.policies.attribution(&self.github, who, now).await {
            Ok((actor, pull)) => (job.attribution.actor, job.attribution.pull) = (actor, pull),
            Err(why) => tracing::warn!(job = %job.key, %why, "it is not known who pays for the message to the job"),
        }
    }

    async fn planned(
        &self,
        job: &mut Job,
        who: &mut Who<'_>,
        previous: Option<&Run>,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Option<LaunchPlan>, Hindrance> {
        let entries = self.entries(job, who, now).await?;
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
        let judged = self.policies.admit(&self.github, policy, who, now).await?;
        judged.map_err(Hindrance::refused)?;
        if policy.caps.ask_who() {
            (job.attribution.actor, job.attribution.pull) = self.policies.attribution(&self.github, who, now).await?;
        } else if job.reporting.comment.is_some() {
            // No job waits for a comment.
            match self.policies.attribution(&self.github, who, now).await {
                Ok((_, pull)) => job.attribution.pull = pull,
                Err(why) => tracing::warn!(job = %job.key, %why, "the job's pull request is not known"),
            }
        }
        let ladder = self.ladder(job, &entries, policy, previous, now).await?;
        self.with_images(job, ladder, now).await
    }

    /// The attempts that the policy lets be made.
    async fn ladder(
        &self,
        job: &Job,
        entries: &Entries,
        policy: &Policy,
        previous: Option<&Run>,
        now: Timestamp,
    ) -> Result<Ladder, Hindrance> {
        // Only a breaker asks what was interrupted.
        let memory = if entries.specs.iter().any(|entry| entry.breaker.is_some()) {
            memory::recall(&self.store).await
        } else {
            PoolMemory::default()
        };
        let terms = Terms {
            policy,
            asker: Asker {
                repository: &job.repository,
                region: self.region.as_str(),
            },
            on_demand: previous.is_some_and(rerun::on_demand),
            memory: &memory,
            machines: Table::embedded().map_err(Hindrance::refused)?,
        };
        let ladder = ladder::ladder(&entries.specs, &terms, now);
        for forbidden in &ladder.forbidden {
            tracing::warn!(job = %job.key, entry = forbidden.entry, lifecycle = %forbidden.lifecycle,
                why = %forbidden.refused, "the policy does not allow an attempt");
        }
        if ladder.left_out > 0 {
            tracing::warn!(job = %job.key, left_out = ladder.left_out, "there are more attempts than are made");
        }
        Ok(ladder)
    }

    /// The attempts with their images.
    async fn with_images(&self, job: &Job, ladder: Ladder, now: Timestamp) -> Result<Option<LaunchPlan>, Hindrance> {
        let mut refused = ladder
            .forbidden
            .into_iter()
            .next()
            .map(|forbidden| forbidden.refused.to_string());
        let mut rungs = Vec::new();
        for Attempt { spec, lifecycle, .. } in ladder.attempts {
            let image = match self.images.find(&self.parameters, &self.fleet, &spec.image, now).await {
                Err(Hindrance::Refused(why)) => {
                    tracing::warn!(job = %job.key, entry = spec.name, why, "an entry of the configuration cannot be launched");
                    refused.get_or_insert(why);
                    continue;
                }
                found => found?,
            };
            rungs.push(Rung {
                spec,
                image: image.image,
                root_device: image.root_device,
                image_gib: image.gib,
                lifecycle,
            });
        }
        let mut rungs = rungs.into_iter();
        match (rungs.next(), refused) {
            (Some(first), _) => Ok(Some(LaunchPlan::new(first, rungs.collect()))),
            (None, Some(why)) => Err(Hindrance::Refused(why)),
            (None, None) => Ok(None),
        }
    }
}
