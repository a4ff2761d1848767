//! One call to EC2, and the record of what came of it.

use dayfly_core::decide::launch::{self, Attempted};
use dayfly_core::ids::{InstanceId, InstanceType, Zone};
use dayfly_core::money::MicroDollars;
use dayfly_core::record::{Change, Launched, Runner, Stored};
use dayfly_core::time::Timestamp;
use dayfly_lifecycle::{FlowError, MAX_CONFLICTS};
use dayfly_ports::{
    Bus, Fleet, FleetAnswer, FleetError, FleetErrorKind, FleetInstance, FleetRequest, GitHub, InstanceView, Parameters,
    Schedule, Scope, Store, StoreError,
};

use crate::Function;

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule, P: Parameters> Function<S, G, F, B, C, P> {
    /// Launches the instance of a claimed runner and records how that went.
    pub(crate) async fn attempt(&self, runner: Runner, now: Timestamp) -> Result<(), FlowError> {
        let answer = self.fleet.create(&self.request(&runner)).await;
        let attempted = match answer {
            Ok(FleetAnswer { instances, errors }) => match instances.into_iter().next() {
                Some(instance) => Attempted::Launched(self.launched(&runner, instance, now).await),
                None => failed(&errors),
            },
            Err(error) => failed_whole(&error),
        };
        tracing::info!(runner = %runner.name, token = runner.client_token(), ?attempted, "asked EC2 for an instance");
        self.record(runner, attempted, now).await
    }

    fn request(&self, runner: &Runner) -> FleetRequest {
        let spec = &runner.plan.spec;
        FleetRequest {
            client_token: runner.client_token(),
            runner: runner.name.clone(),
            scope: Scope {
                installation: runner.installation,
                repository: runner.repository.clone(),
            },
            instance_types: spec.instance_types.clone(),
            subnets: self.subnets.clone(),
            image: runner.plan.image.clone(),
            root_device: runner.plan.root_device.clone(),
            disk_gib: spec.disk_gib,
            spot: spec.spot,
        }
    }

    async fn launched(&self, runner: &Runner, instance: FleetInstance, now: Timestamp) -> Launched {
        let FleetInstance {
            instance,
            instance_type,
            zone,
            spot,
        } = instance;
        // An earlier call may have launched it, and its answer been lost.
        let repeated = runner.requested_at != now;
        let view = if zone.is_none() || repeated {
            self.view_of(runner, &instance).await
        } else {
            None
        };
        let zone = zone
            .or_else(|| view.as_ref().map(|view| view.zone.clone()))
            .unwrap_or_else(|| Zone::new("unknown"));
        let price_per_hour = if spot {
            self.spot_price(&instance_type, &zone).await
        } else {
            None
        };
        Launched {
            instance,
            instance_type,
            zone,
            spot,
            price_per_hour,
            at: view.map_or(now, |view| view.launched_at),
        }
    }

    /// What EC2 says of a runner's instance, if it names it yet: one that was launched just now it may
    /// not.
    async fn view_of(&self, runner: &Runner, instance: &InstanceId) -> Option<InstanceView> {
        match self.fleet.of_runner(&runner.name).await {
            Ok(found) => found.into_iter().find(|view| view.instance == *instance),
            Err(error) => {
                tracing::warn!(runner = %runner.name, %error, "the instance could not be looked up");
                None
            }
        }
    }

    async fn spot_price(&self, instance_type: &InstanceType, zone: &Zone) -> Option<MicroDollars> {
        match self.fleet.spot_price(instance_type, zone).await {
            Ok(price) => price,
            Err(error) => {
                tracing::warn!(%instance_type, %zone, %error, "the spot price could not be learnt");
                None
            }
        }
    }

    /// Records how a launch went, on whatever the runner has become meanwhile.
    async fn record(&self, runner: Runner, attempted: Attempted, now: Timestamp) -> Result<(), FlowError> {
        for _ in 0..MAX_CONFLICTS {
            let Some(current) = self.store.runner(&runner.name).await? else {
                // The table was emptied under us; the instance's tag leads patrol to it.
                tracing::error!(runner = %runner.name, "the runner's record is gone");
                return Ok(());
            };
            let job = self.store.job(current.record.wanted_by).await?;
            let changes = self.changes(&current, job, attempted.clone(), now).await?;
            match self.store.commit(changes).await {
                Err(StoreError::Conflict) => {}
                done => return Ok(done?),
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn changes(
        &self,
        current: &Stored<Runner>,
        job: Option<Stored<dayfly_core::record::Job>>,
        attempted: Attempted,
        now: Timestamp,
    ) -> Result<Vec<Change>, FlowError> {
        let job_version = job.as_ref().map(|stored| stored.version);
        let recorded = launch::record(
            current.record.clone(),
            job.map(|stored| stored.record),
            attempted,
            now,
            &self.deadlines,
        );
        let mut changes = vec![Change::update(current.version, recorded.runner)];
        if let Some(instance) = recorded.instance {
            let known = self.store.instance(&instance.instance).await?;
            changes.push(Change::put(known.as_ref(), instance));
        }
        if let (Some(job), Some(version)) = (recorded.job, job_version) {
            changes.push(Change::update(version, job));
        }
        Ok(changes)
    }
}

fn failed(errors: &[FleetError]) -> Attempted {
    if errors.is_empty() {
        return Attempted::Failed {
            words: "EC2 answered with neither instance nor error".to_owned(),
            hopeless: false,
        };
    }
    // EC2 repeats itself for every pool that it tried.
    let mut words: Vec<String> = errors.iter().map(ToString::to_string).collect();
    words.sort();
    words.dedup();
    Attempted::Failed {
        words: words.join("; "),
        hopeless: errors.iter().all(|error| error.kind == FleetErrorKind::BadRequest),
    }
}

fn failed_whole(error: &FleetError) -> Attempted {
    let words = error.to_string();
    match error.kind {
        // The same call again tells what became of it, and is no new call for EC2's throttle.
        FleetErrorKind::Unknown | FleetErrorKind::Throttled => Attempted::Unclear { words },
        FleetErrorKind::BadRequest => Attempted::Failed { words, hopeless: true },
        FleetErrorKind::Capacity | FleetErrorKind::Quota | FleetErrorKind::Price => {
            Attempted::Failed { words, hopeless: false }
        }
    }
}
