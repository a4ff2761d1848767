//! The start of a job: a runner is pinned to no job, so the one that took it may be another than the one
//! that it was launched for, and one that may not run here.

use dayfly_engine::{entries, rerun};
use dayfly_flows::{Asked, Blocked, RequesterLookup, attempt_before, load_files};
use dayfly_ports::{ApiErrorKind, Bus, GitHub, Parameters, Store};
use dayfly_records::{Runner, Stored};
use dayfly_types::checkin::{StartAnswer, StartRequest};
use dayfly_types::ids::{InstanceId, RunKey};
use dayfly_types::time::Timestamp;

use crate::claim::scope;
use crate::{Denied, Function, UNRECORDED};

/// What a job reads whose run GitHub does not know in the runner's repository.
const NO_SUCH_RUN: &str = "policy rule `forks` of the stack: GitHub knows no such run in the repository of this machine, so the job may not run";

impl<S: Store, G: GitHub, B: Bus, P: Parameters> Function<S, G, B, P> {
    /// Whether a job of this run may start on the caller.
    pub(crate) async fn start(
        &self,
        caller: &InstanceId,
        request: &StartRequest,
        now: Timestamp,
    ) -> Result<StartAnswer, Denied> {
        let Stored { record: runner, .. } = self.runner(caller).await?.ok_or(UNRECORDED)?;
        let run = RunKey {
            run: request.run,
            attempt: request.attempt,
        };
        // RequesterLookup launched it has judged that attempt.
        if runner.was_launched_for(run) {
            return Ok(StartAnswer::default());
        }
        let refusal = match self.may_start(&runner, run, now).await {
            Ok(()) => None,
            Err(Blocked::Denied(why)) => Some(why),
            Err(Blocked::Unavailable(error, wait)) => return Err(Denied::Unavailable(error, wait)),
        };
        tracing::info!(%run, launched_for = %runner.run, refusal, "another run's job starts on the runner");
        Ok(StartAnswer { refusal })
    }

    /// Whether the policy and the repository's files let a job of the run have the runner.
    async fn may_start(&self, runner: &Runner, run: RunKey, now: Timestamp) -> Result<(), Blocked> {
        let policy = self.policies.current(&self.parameters, now).await?;
        let before = attempt_before(&self.store, run).await.map_err(Blocked::unavailable)?;
        let scope = scope(runner);
        let mut requester = RequesterLookup::of(Asked {
            scope: &scope,
            run,
            labels: &runner.labels,
            ours: before.as_ref().is_some_and(rerun::is_ours),
        });
        match self.policies.admit(&self.github, &policy, &mut requester, now).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => return Err(Blocked::denied(NO_SUCH_RUN)),
            judged => judged?.map_err(Blocked::denied)?,
        }
        self.may_use(runner, &mut requester, now).await
    }

    /// Whether the repository's files let whoever asks use the runner.
    async fn may_use(
        &self,
        runner: &Runner,
        requester: &mut RequesterLookup<'_>,
        now: Timestamp,
    ) -> Result<(), Blocked> {
        let is_inline = matches!(entries::inline(&runner.labels), Ok(Some(_)));
        let files = match load_files(&self.store, &self.github, requester.asked.scope, None, now).await {
            // What is wrong with a file that the job does not ask for is none of its concern.
            Err(Blocked::Denied(_)) if is_inline => return Ok(()),
            files => files?,
        };
        requester.may_ask(&self.github, &files).await?;
        if is_inline {
            return Ok(());
        }
        let used = requester
            .may_use(&self.github, &files, &runner.plan.spec().name)
            .await?;
        used.map_err(Blocked::Denied)
    }
}
