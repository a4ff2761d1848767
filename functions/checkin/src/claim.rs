//! The claim: the JIT config is minted late, once, and handed out once.

use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_engine::checkin::{self, Claim};
use dayfly_engine::registration::{self, Turn};
use dayfly_flows::{MAX_CONFLICTS, acquire};
use dayfly_ports::{ApiError, Bus, GitHub, JitConfig, Minted, Parameters, Scope, Store, StoreError};
use dayfly_records::{Change, Runner, Stored, Version};
use dayfly_types::checkin::{ClaimAnswer, JobMessage};
use dayfly_types::ids::{InstanceId, RunnerId};
use dayfly_types::time::Timestamp;
use secrecy::ExposeSecret as _;

use crate::{Denied, Function};

/// No instance is told to come back later than this, unless it has a turn by then: what stood in the way
/// may be over sooner than GitHub said.
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
                Claim::Mint(minting) => minting,
                Claim::Later(why) => return Err(Denied::Later(why, None)),
                Claim::Refuse(why) => return Err(Denied::Refused(why)),
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
            match self
                .store
                .commit(vec![Change::update(version, (*minting).clone())])
                .await
            {
                Err(StoreError::Conflict) => continue,
                done => done?,
            }
            tracing::Span::current().record("runner", minting.name.as_str());
            let name = minting.name.registration(caller, minting.mints);
            match self.mint(&minting, &name).await {
                Ok(Minted::Config(config)) => {
                    return self
                        .hand_out(caller, Stored::over(version, *minting), config, agent_version, now)
                        .await;
                }
                // A registration whose answer was lost: the next name is free.
                Ok(Minted::NameTaken) => self.let_go(Stored::over(version, *minting)).await?,
                Err(error) => {
                    self.let_go(Stored::over(version, *minting)).await?;
                    let wait = error.wait().map(|wait| wait.min(LONGEST_WAIT));
                    return Err(Denied::Unavailable(error.to_string(), wait));
                }
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// How long the runner has to wait until it is its turn to be registered; nothing if it is. One that
    /// has no turn yet is given one, and it is written down if it lies ahead: whoever comes back for it
    /// does not draw again. Of a turn that nobody wrote down nothing is lost but that turn.
    async fn wait_for_turn(
        &self,
        runner: &Runner,
        version: Version,
        now: Timestamp,
    ) -> Result<Option<Duration>, StoreError> {
        match registration::turn(runner, now) {
            Turn::Now => return Ok(None),
            Turn::After(wait) => return Ok(Some(wait)),
            Turn::None => {}
        }
        let (bucket, terms) = registration::wanted(runner);
        let turn = match acquire(&self.store, bucket, terms, now).await? {
            Ok(turn) if turn <= now => return Ok(None),
            Ok(turn) => turn,
            Err(wait) => return Ok(Some(wait.max(LONGEST_WAIT))),
        };
        let waits = registration::waits(runner, turn, now, &self.deadlines);
        match self.store.commit(vec![Change::update(version, waits)]).await {
            // The runner has moved on: the next claim finds out to where.
            Ok(()) | Err(StoreError::Conflict) => Ok(Some(turn.since(now))),
            Err(error) => Err(error),
        }
    }

    async fn mint(&self, runner: &Runner, name: &str) -> Result<Minted, ApiError> {
        self.github.mint(&scope(runner), name, &runner.labels).await
    }

    /// Gives a registration up, so that the next claim may make another.
    async fn let_go(&self, minting: Stored<Runner>) -> Result<(), Denied> {
        let failed = checkin::mint_failed(&minting.record);
        match self.store.commit(vec![Change::update(minting.version, failed)]).await {
            // Somebody has moved the runner on; the next load shows it.
            Ok(()) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Records that the config is handed out, then hands it out: in this order, so that nobody
    /// else can get it, whatever happens in between.
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
            match self
                .store
                .commit(vec![Change::update(minting.version, enrolled.clone())])
                .await
            {
                Err(StoreError::Conflict) => match self.store.runner(&minting.record.name).await? {
                    Some(current) => minting = current,
                    None => break,
                },
                done => {
                    done?;
                    tracing::info!(runner = %enrolled.name, runner_id = %config.runner, agent_version, "handed the JIT config out");
                    return Ok(self.claim_answer(caller, &enrolled, &config));
                }
            }
        }
        self.take_back(&minting.record, config.runner).await;
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

    /// Removes a registration that nobody will use. The sweeper would find it too, later.
    async fn take_back(&self, runner: &Runner, id: RunnerId) {
        if let Err(error) = self.github.remove_runner(&scope(runner), id).await {
            tracing::warn!(runner = %runner.name, %error, "an unused registration is left to the sweeper");
        }
    }
}

pub(crate) fn scope(runner: &Runner) -> Scope {
    Scope {
        installation: runner.installation,
        repository: runner.repository.clone(),
    }
}
