//! Whether whoever asks for a job may use the runners that its labels stand for.

use dayfly_core::config::Files;
use dayfly_core::decide::admission::Known;
use dayfly_core::decide::usage::{self, Asker, Usage};
use dayfly_core::ids::RunKey;
use dayfly_core::record::{Job, Rerun};
use dayfly_lifecycle::{Asked, ask};
use dayfly_ports::{ApiErrorKind, Bus, Clock, Fleet, GitHub, Parameters, Quotas, Schedule, Store};

use crate::{Function, NoPlan, scope};

/// More than a file with several teams for each of its rules asks.
const MOST_QUESTIONS: usize = 64;

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
        let before = self.attempt_before(who.job).await;
        let before = before.map_err(|error| NoPlan::Unavailable(error.to_string(), None))?;
        let ours = before.is_some_and(|run| matches!(run.rerun, Rerun::Intended | Rerun::Accepted));
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
            run: RunKey {
                run: job.run,
                attempt: job.key.attempt,
            },
            labels: &job.labels,
            ours,
        };
        for _ in 0..MOST_QUESTIONS {
            let question = match judge(asker, &who.known) {
                Usage::Allowed => return Ok(Ok(())),
                Usage::Refused(why) => return Ok(Err(why)),
                Usage::Ask(question) => question,
            };
            match ask(&self.github, about, question.clone(), &mut who.known).await {
                Ok(()) => {}
                Err(error) if error.kind == ApiErrorKind::Forbidden => {
                    let needed = question.permission();
                    return Ok(Err(format!(
                        "who asks for the job, and may use its runner, cannot be told: {error}. It takes {needed}"
                    )));
                }
                Err(error) => return Err(NoPlan::Unavailable(error.to_string(), error.wait())),
            }
        }
        let words = "who may use the runners depends on more teams than are asked for: name fewer";
        Ok(Err(words.to_owned()))
    }
}
