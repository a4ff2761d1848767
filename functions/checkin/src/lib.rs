//! The only function that an instance may call. The caller is the instance id in the role session that signed
//! the call. The body is believed about what the instance does, never about which instance it is.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod caller;
mod claim;
mod start;

use std::time::Duration;

use aws_lambda_events::lambda_function_urls::{LambdaFunctionUrlRequest, LambdaFunctionUrlResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dayfly_engine::runner::checkin;
use dayfly_flows::{FlowError, Policies, commit_retrying, reschedule_job};
use dayfly_ports::{Bus, GitHub, Parameters, Store, StoreError};
use dayfly_records::{Change, Runner, RunnerState, Stored};
use dayfly_runtime::answer;
use dayfly_types::checkin::{
    ClaimRequest, ErrorBody, GoodbyeRequest, HeartbeatRequest, Order, ProgressRequest, StartRequest,
};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::InstanceId;
use dayfly_types::time::Timestamp;
use serde::de::DeserializeOwned;

/// Longer than any message of an agent.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// The check-in function.
pub struct Function<S, G, B, P> {
    pub store: S,
    pub github: G,
    pub bus: B,
    pub parameters: P,
    pub policies: Policies,
    pub deadlines: Deadlines,
}

/// Why a call is denied.
#[derive(Debug)]
enum Denied {
    /// 400: the request cannot be read.
    Malformed(String),
    /// 403: asking again won't help.
    Refused(&'static str),
    /// 409: not yet, but after the wait if it is known.
    Later(&'static str, Option<Duration>),
    /// 503: a service did not answer, and may after the wait if it is known.
    Unavailable(String, Option<Duration>),
}

impl From<FlowError> for Denied {
    fn from(error: FlowError) -> Self {
        Self::Unavailable(error.to_string(), None)
    }
}

impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string(), None)
    }
}

impl<S: Store, G: GitHub, B: Bus, P: Parameters> Function<S, G, B, P> {
    /// Answers one call.
    pub async fn handle(&self, request: LambdaFunctionUrlRequest, now: Timestamp) -> LambdaFunctionUrlResponse {
        match self.answer(&request, now).await {
            Ok(answer) => answer,
            Err(denied) => {
                let (status, error, wait) = match denied {
                    Denied::Malformed(error) => (400, error, None),
                    Denied::Refused(error) => (403, error.to_owned(), None),
                    Denied::Later(error, wait) => (409, error.to_owned(), wait),
                    Denied::Unavailable(error, wait) => (503, error, wait),
                };
                let retry_after_seconds = wait.map(|wait| wait.as_millis().div_ceil(1000));
                let retry_after_seconds = retry_after_seconds.and_then(|seconds| u64::try_from(seconds).ok());
                tracing::warn!(status, error, retry_after_seconds, "denied a check-in");
                answer::json(
                    status,
                    &ErrorBody {
                        error,
                        retry_after_seconds,
                    },
                )
            }
        }
    }

    async fn answer(
        &self,
        request: &LambdaFunctionUrlRequest,
        now: Timestamp,
    ) -> Result<LambdaFunctionUrlResponse, Denied> {
        let caller = caller::instance(request).map_err(Denied::Refused)?;
        tracing::Span::current().record("instance", caller.as_str());
        match request.raw_path.as_deref().unwrap_or_default().trim_matches('/') {
            "claim" => {
                let body: ClaimRequest = read(request)?;
                checkin::same_instance(&caller, &body.instance).map_err(Denied::Refused)?;
                let answer = self.claim(&caller, &body.agent_version, now).await?;
                Ok(answer::json(200, &answer))
            }
            "start" => {
                let body: StartRequest = read(request)?;
                checkin::same_instance(&caller, &body.instance).map_err(Denied::Refused)?;
                let answer = self.start(&caller, &body, now).await?;
                // Before it is sent: a job that fails without a recorded answer never started.
                self.change(&caller, &body.instance, now, checkin::start_answered)
                    .await?;
                Ok(answer::json(200, &answer))
            }
            "heartbeat" => {
                let body: HeartbeatRequest = read(request)?;
                let runner = self
                    .change(&caller, &body.instance, now, |runner| {
                        checkin::heartbeat(runner, &body, now, &self.deadlines)
                    })
                    .await?;
                if runner.is_none() {
                    tracing::warn!("no record leads to the instance: it is left to patrol");
                }
                let answer = runner
                    .as_ref()
                    .map_or(checkin::ORDER_TO_UNKNOWN.into(), checkin::answer);
                Ok(answer::json(200, &answer))
            }
            "progress" => {
                let body: ProgressRequest = read(request)?;
                let runner = self
                    .change(&caller, &body.instance, now, |runner| {
                        checkin::progress(runner, &body, now, &self.deadlines)
                    })
                    .await?;
                tracing::info!(stage = ?body.stage, detail = body.detail, "the instance reached a stage");
                Ok(answer::json(200, &checkin::answer(&runner.ok_or(UNRECORDED)?)))
            }
            "goodbye" => {
                let body: GoodbyeRequest = read(request)?;
                let changed = self
                    .change(&caller, &body.instance, now, |runner| {
                        checkin::goodbye(
                            &checkin::explained(runner, &body, now),
                            body.reason,
                            now,
                            &self.deadlines,
                        )
                    })
                    .await;
                // Logged in any case; only now does the line have the runner, which names the job.
                tracing::info!(reason = ?body.reason, detail = body.detail, "the instance says goodbye");
                let answer = changed?.map_or(Order::Stop.into(), |runner| {
                    checkin::goodbye_answer(&runner, now, &self.deadlines)
                });
                Ok(answer::json(200, &answer))
            }
            _ => Err(Denied::Malformed(
                "expected one of /claim, /start, /heartbeat, /progress, /goodbye".to_owned(),
            )),
        }
    }

    /// Updates the runner of an instance with `decide`. Returns the runner as it is now, or `None` if no record
    /// leads to it.
    async fn change(
        &self,
        caller: &InstanceId,
        named: &InstanceId,
        now: Timestamp,
        decide: impl Fn(&Runner) -> Runner,
    ) -> Result<Option<Runner>, Denied> {
        checkin::same_instance(caller, named).map_err(Denied::Refused)?;
        let changed = commit_retrying(&self.store, async || {
            let Some(Stored {
                record: runner,
                version,
            }) = self.runner(caller).await?
            else {
                return Ok::<_, Denied>((Vec::new(), None));
            };
            let next = decide(&runner);
            let change = (next != runner).then(|| Change::update(version, next.clone()));
            Ok((Vec::from_iter(change), Some((runner.ending, next))))
        })
        .await?;
        let Some((ending_before, runner)) = changed else {
            return Ok(None);
        };
        // A draining runner too: the call that recorded the notice may have died before it rescheduled the job.
        if runner.ending != ending_before || runner.state == RunnerState::Draining {
            reschedule_job(&self.store, &self.bus, &runner, now).await?;
        }
        Ok(Some(runner))
    }

    /// Returns the runner on the calling instance.
    async fn runner(&self, caller: &InstanceId) -> Result<Option<Stored<Runner>>, Denied> {
        let Some(runner) = self.store.runner_on(caller).await? else {
            return Ok(None);
        };
        tracing::Span::current().record("runner", runner.record.name.as_str());
        if runner.record.instance() != Some(caller) {
            return Err(Denied::Refused("the runner belongs to another instance"));
        }
        Ok(Some(runner))
    }
}

/// A launch is recorded a moment after it.
const UNRECORDED: Denied = Denied::Later("no runner is recorded for this instance yet", None);

fn read<T: DeserializeOwned>(request: &LambdaFunctionUrlRequest) -> Result<T, Denied> {
    let text = request.body.as_deref().unwrap_or_default();
    let malformed = |error: String| Denied::Malformed(format!("the body cannot be read: {error}"));
    if text.len() > MAX_BODY_BYTES {
        return Err(malformed(format!("it is longer than {MAX_BODY_BYTES} bytes")));
    }
    if request.is_base64_encoded {
        let bytes = STANDARD.decode(text).map_err(|error| malformed(error.to_string()))?;
        serde_json::from_slice(&bytes)
    } else {
        serde_json::from_str(text)
    }
    .map_err(|error| malformed(error.to_string()))
}
