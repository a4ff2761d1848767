//! Whether whoever asks for a job may use the runners that its labels stand for.

use dayfly_core::config::Files;
use dayfly_core::decide::admission::Known;
use dayfly_core::decide::rerun;
use dayfly_core::decide::usage::{self, Asker, Usage};
use dayfly_core::record::Job;
use dayfly_lifecycle::{Asked, Untold, ask_until};
use dayfly_ports::{Bus, Clock, Fleet, GitHub, Parameters, Quotas, Schedule, Store};

use crate::{Function, NoPlan, scope};

/// What is known of whoever asks for a job.
pub(crate) struct Who<'a> {
    job: &'a Job,
    ours: Option<bool>,
    known: Known,
}

impl<'a> Who<'a> {
    /// Who asks for a job, of whom nothing is known yet.
    pub(crate) fn of(job: &'a Job) -> Self {
        Self {
            job,
            ours: None,
            known: Known::default(),
        }
    }
}

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule, P: Parameters, K: Clock, Q: Quotas>
    Function<S, G, F, B, C, P, K, Q>
{
    /// Whether we had GitHub make the job's attempt.
    async fn is_ours(&self, who: &mut Who<'_>) -> Result<bool, NoPlan> {
        if let Some(known) = who.ours {
            return Ok(known);
        }
        let before = self.attempt_before(who.job).await.map_err(NoPlan::unavailable)?;
        let ours = before.is_some_and(|before| rerun::is_ours(&before));
        who.ours = Some(ours);
        Ok(ours)
    }

    /// Whether the files take the job at all.
    pub(crate) async fn may_ask(&self, who: &mut Who<'_>, files: &Files) -> Result<(), NoPlan> {
        let Some((actors, place)) = files.actors() else {
            return Ok(());
        };
        let taken = self.settle(who, |asker, known| usage::of_file(actors, place, asker, known));
        taken.await?.map_err(NoPlan::Refused)
    }

    /// Whether a runner may be used, and if not, why.
    pub(crate) async fn may_use(
        &self,
        who: &mut Who<'_>,
        files: &Files,
        runner: &str,
    ) -> Result<Result<(), String>, NoPlan> {
        let Some((access, place, resource)) = files.access_to(runner) else {
            return Ok(Ok(()));
        };
        self.settle(who, |asker, known| {
            usage::of_runner(access, place, resource, asker, known)
        })
        .await
    }

    /// Asks GitHub until it is known.
    async fn settle(
        &self,
        who: &mut Who<'_>,
        judge: impl Fn(Asker<'_>, &Known) -> Usage,
    ) -> Result<Result<(), String>, NoPlan> {
        let (job, ours) = (who.job, self.is_ours(who).await?);
        let asker = Asker {
            repository: &job.repository,
            ours,
        };
        let about = Asked {
            scope: &scope(job),
            run: job.run_key(),
            labels: &job.labels,
            ours,
        };
        let judge = |known: &Known| match judge(asker, known) {
            Usage::Allowed => Ok(Ok(())),
            Usage::Refused(why) => Ok(Err(why)),
            Usage::Ask(question) => Err(question),
        };
        match ask_until(&self.github, about, &mut who.known, judge).await {
            Ok(used) => Ok(used),
            Err(Untold::TooMuch) => {
                let words = "who may use the runners depends on more teams than are asked for: name fewer";
                Ok(Err(words.to_owned()))
            }
            Err(Untold::Forbidden(error, needed)) => Ok(Err(format!(
                "who asks for the job, and may use its runner, cannot be told: {error}. It takes {needed}"
            ))),
            Err(Untold::Unavailable(error)) => Err(NoPlan::Unavailable(error.to_string(), error.wait())),
        }
    }
}
