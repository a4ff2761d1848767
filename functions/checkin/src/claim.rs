//! The claim: the JIT config is minted late, once, and handed out once.

use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_engine::runner::checkin::{self, ClaimDecision};
use dayfly_engine::runner::registration::{self, RegistrationTurn};
use dayfly_flows::{MAX_CONFLICTS, acquire, commit_if_current};
use dayfly_ports::{ApiError, Bus, GitHub, JitConfig, Minted, Parameters, Scope, Store, StoreError};
use dayfly_records::{Change, Runner, Stored, Version};
use dayfly_types::checkin::{ClaimAnswer, JobMessage};
use dayfly_types::ids::{InstanceId, RunnerId};
use dayfly_types::time::Timestamp;
use secrecy::ExposeSecret as _;

use crate::{Denied, Function};

/// The longest wait an instance without a turn is given: the cause may be over sooner than GitHub said.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

impl<S: Store, G: GitHub, B: Bus, P: Parameters> Function<S, G, B, P> {
    /// Registers the caller's runner with GitHub and answers with its JIT config.
    pub(crate) async fn claim(
        &self,
        caller: &InstanceId,
        agent_version: &str,
        now: Timestamp,
    ) -> Result<ClaimAnswer, Denied> {
        for _ in 0..MAX_CONFLICTS {
            let runner = self.store.runner_on(caller).await?;
            let minting = match checkin::claim(runner.as_ref().map(|stored| &stored.record), caller, now) {
                ClaimDecision::Mint(minting) => minting,
                ClaimDecision::Later(why) => return Err(Denied::Later(why, None)),
                ClaimDecision::Refuse(why) => return Err(Denied::Refused(why)),
            };
            let Some(Stored {
                record: runner,
                version,
            }) = runner
            else {
                return Err(Denied::Later("no runner is recorded for this instance yet", None));
            };
            if let Some(wait) = self.wait_for_turn(&runner, version, now).await? {
                return Err(Denied::Later("GitHub takes other registrations first", Some(wait)));
            }
            let change = Change::update(version, (*minting).clone());
            if !commit_if_current(&self.store, vec![change]).await? {
                continue;
            }
            tracing::Span::current().record("runner", minting.name.as_str());
            let name = minting.name.registration(caller, minting.mints);
            match self.mint(&minting, &name).await {
                Ok(Minted::Config(config)) => {
                    return self
                        .hand_out(caller, Stored::over(version, *minting), config, agent_version, now)
                        .await;
                }
                // An earlier registration whose answer was lost: the next name is free.
                Ok(Minted::NameTaken) => self.undo_mint(Stored::over(version, *minting)).await?,
                Err(error) => {
                    self.undo_mint(Stored::over(version, *minting)).await?;
                    let wait = error.wait().map(|wait| wait.min(LONGEST_WAIT));
                    return Err(Denied::Unavailable(error.to_string(), wait));
                }
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Returns how long the runner waits for its turn to be registered, or `None` if it is its turn. A runner
    /// without a turn acquires one. A turn that lies ahead is recorded, so that the runner does not acquire
    /// again; if that write is lost, only the turn is lost.
    async fn wait_for_turn(
        &self,
        runner: &Runner,
        version: Version,
        now: Timestamp,
    ) -> Result<Option<Duration>, StoreError> {
        match registration::turn(runner, now) {
            RegistrationTurn::Now => return Ok(None),
            RegistrationTurn::After(wait) => return Ok(Some(wait)),
            RegistrationTurn::None => {}
        }
        let (bucket, terms) = registration::token_request(runner);
        let turn = match acquire(&self.store, bucket, terms, now).await? {
            Ok(turn) if turn <= now => return Ok(None),
            Ok(turn) => turn,
            Err(wait) => return Ok(Some(wait.max(LONGEST_WAIT))),
        };
        let waits = registration::wait_for_turn(runner, turn, now, &self.deadlines);
        // After a conflict the runner has moved on: the next claim finds out where.
        commit_if_current(&self.store, vec![Change::update(version, waits)]).await?;
        Ok(Some(turn.since(now)))
    }

    async fn mint(&self, runner: &Runner, name: &str) -> Result<Minted, ApiError> {
        self.github.mint(&Scope::of_runner(runner), name, &runner.labels).await
    }

    /// Gives a registration up, so that the next claim can make another.
    async fn undo_mint(&self, minting: Stored<Runner>) -> Result<(), Denied> {
        let failed = checkin::mint_failed(&minting.record);
        // After a conflict another call has moved the runner on; the next load shows it.
        commit_if_current(&self.store, vec![Change::update(minting.version, failed)]).await?;
        Ok(())
    }

    /// Records that the config is handed out, then hands it out: in this order, it is never handed out twice.
    async fn hand_out(
        &self,
        caller: &InstanceId,
        mut minting: Stored<Runner>,
        config: JitConfig,
        agent_version: &str,
        now: Timestamp,
    ) -> Result<ClaimAnswer, Denied> {
        for _ in 0..MAX_CONFLICTS {
            let Some(enrolled) = checkin::enrolled(&minting.record, config.runner, now, &self.deadlines) else {
                break;
            };
            let change = Change::update(minting.version, enrolled.clone());
            if commit_if_current(&self.store, vec![change]).await? {
                tracing::info!(runner = %enrolled.name, runner_id = %config.runner, agent_version, "handed the JIT config out");
                return Ok(self.claim_answer(caller, &enrolled, &config));
            }
            match self.store.runner(&minting.record.name).await? {
                Some(current) => minting = current,
                None => break,
            }
        }
        self.remove_unused(&minting.record, config.runner).await;
        Err(Denied::Refused("the runner has begun to end while it was registered"))
    }

    fn claim_answer(&self, caller: &InstanceId, runner: &Runner, config: &JitConfig) -> ClaimAnswer {
        let startup = runner.startup_limit(&self.deadlines);
        let spec = runner.plan.spec();
        let lifetime = runner.lifetime_deadline(&self.deadlines);
        ClaimAnswer {
            runner: runner.name.registration(caller, runner.mints),
            jit_config: config.encoded.expose_secret().to_owned(),
            heartbeat_seconds: self.deadlines.heartbeat.as_secs(),
            lifetime_seconds: lifetime.since(runner.since).as_secs(),
            drain_seconds: self.deadlines.drain.as_secs(),
            on_interruption: spec.on_interruption.clone(),
            startup_script: startup.and(spec.startup_script.clone()),
            startup_seconds: startup.unwrap_or_default().as_secs(),
            env: match runner.message {
                None => spec.env.clone(),
                Some(_) => BTreeMap::new(),
            },
            message: runner.message.as_ref().map(|message| JobMessage {
                run: message.run,
                attempt: message.job.attempt,
                text: message.text.clone(),
            }),
        }
    }

    /// Removes a registration that will not be used. The sweeper would find it too, later.
    async fn remove_unused(&self, runner: &Runner, id: RunnerId) {
        if let Err(error) = self.github.remove_runner(&Scope::of_runner(runner), id).await {
            tracing::warn!(runner = %runner.name, %error, "an unused registration is left to the sweeper");
        }
    }
}
