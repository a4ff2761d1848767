//! The start of a job. A runner is not bound to a job: the job that took it may be another than the one it was
//! launched for, and one that may not run here.

use dayfly_engine::launch::entries;
use dayfly_engine::rerun;
use dayfly_flows::{Admission, AdmissionRequest, Blocked, RunRequester, RunnerAccess, attempt_before, load_files};
use dayfly_ports::{ApiErrorKind, Bus, GitHub, Parameters, Scope, Store};
use dayfly_records::{Runner, Stored};
use dayfly_types::checkin::{StartAnswer, StartRequest};
use dayfly_types::ids::{InstanceId, RunKey};
use dayfly_types::time::Timestamp;

use crate::{Denied, Function, UNRECORDED};

/// The reason a job sees whose run GitHub does not know in the runner's repository.
const NO_SUCH_RUN: &str = "policy rule `forks` of the stack: GitHub knows no such run in the repository of this machine, so the job may not run";

impl<S: Store, G: GitHub, B: Bus, P: Parameters> Function<S, G, B, P> {
    /// Decides if a job of this run may start on the caller.
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
        // The launch has admitted that attempt.
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

    /// Checks the stack policy and the repository's files for a job of the run.
    async fn may_start(&self, runner: &Runner, run: RunKey, now: Timestamp) -> Result<(), Blocked> {
        let policy = self.policies.current(&self.parameters, now).await?;
        let before = attempt_before(&self.store, run).await.map_err(Blocked::unavailable)?;
        let scope = Scope::of_runner(runner);
        let mut requester = RunRequester::of(AdmissionRequest {
            scope: &scope,
            run,
            labels: &runner.labels,
            ours: before.as_ref().is_some_and(rerun::is_ours),
        });
        match self.policies.admit(&self.github, &policy, &mut requester, now).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => return Err(Blocked::denied(NO_SUCH_RUN)),
            admission => {
                if let Admission::Refused(refused) = admission? {
                    return Err(Blocked::denied(refused));
                }
            }
        }
        self.may_use(runner, &mut requester, now).await
    }

    /// Checks that the repository's files let the requester use the runner.
    async fn may_use(&self, runner: &Runner, requester: &mut RunRequester<'_>, now: Timestamp) -> Result<(), Blocked> {
        let is_inline = matches!(entries::inline(&runner.labels), Ok(Some(_)));
        let files = match load_files(&self.store, &self.github, requester.request.scope, None, now).await {
            // An invalid file does not concern a job that does not use it.
            Err(Blocked::Denied(_)) if is_inline => return Ok(()),
            files => files?,
        };
        requester.may_ask(&self.github, &files).await?;
        if is_inline {
            return Ok(());
        }
        let runner = &runner.plan.spec().name;
        match requester.may_use(&self.github, &files, runner).await? {
            RunnerAccess::Allowed => Ok(()),
            RunnerAccess::Denied(why) => Err(Blocked::Denied(why)),
        }
    }
}
