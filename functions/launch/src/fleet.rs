//! One call to EC2, and the record of what came of it.

use std::collections::BTreeMap;

use dayfly_engine::fleet::{self, Assigned};
use dayfly_engine::outcome::Attempted;
use dayfly_engine::pools;
use dayfly_flows::{Effort, FlowError};
use dayfly_ports::{
    Bus, Clock, Fleet, FleetAnswer, FleetInstance, FleetRequest, GitHub, InstanceView, Parameters, Quotas, Schedule,
    Scope, Store, StoreError, Surroundings,
};
use dayfly_records::{Change, FleetCall, Launched, Runner, Stored};
use dayfly_types::capacity::{FleetError, FleetErrorKind, InstanceLifecycle, Placement, Pool};
use dayfly_types::ids::{InstanceId, InstanceType, QueueId, RunnerName, Zone};
use dayfly_types::time::Timestamp;
use tracing::{Instrument as _, Span};

use crate::queue::Begun;
use crate::{Function, memory, quota};

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule, P: Parameters, K: Clock, Q: Quotas>
    Function<S, G, F, B, C, P, K, Q>
{
    /// The pools of these types to ask for a runner's next attempt, after what befell them of late.
    pub(crate) async fn placements(
        &self,
        runner: &Runner,
        types: &[InstanceType],
        now: Timestamp,
    ) -> Result<Vec<Placement>, FlowError> {
        let option = runner.plan.option();
        let subnets = match option.spec.subnets.as_slice() {
            [] => &self.subnets,
            own => own,
        };
        let all = self.zones.placements(&self.fleet, subnets, types).await?;
        let memory = memory::recall(&self.store).await;
        Ok(pools::steer(all, option.lifecycle, &memory, now))
    }

    /// Makes a call that is recorded, and records what comes of it. Answers in which queues somebody
    /// waits now, to be launched in the next way.
    pub(crate) async fn make(&self, begun: Begun) -> Result<Vec<QueueId>, FlowError> {
        let Begun { call, runners } = begun;
        let span = span_of(&call.record);
        let answer = self.fleet.create(&request(&call.record)).instrument(span.clone()).await;
        let now = self.clock.now();
        span.in_scope(|| {
            tracing::info!(count = runners.len(), queue = %call.record.queue, ?answer, "asked EC2 for instances");
        });
        match answer {
            Ok(answer) => self.answered(call, runners, answer, now).await,
            Err(error) if is_unclear(&error) => {
                let lifecycle = call.record.option.lifecycle;
                span.in_scope(|| dayfly_metrics::launch_errors(lifecycle, std::slice::from_ref(&error)));
                self.unclear(call, runners, error, now).await
            }
            Err(error) => {
                let answer = FleetAnswer {
                    instances: Vec::new(),
                    errors: vec![error],
                };
                self.answered(call, runners, answer, now).await
            }
        }
    }

    /// A call that is due: whoever made it died, or its answer was not clear.
    pub(crate) async fn call_due(&self, call: Stored<FleetCall>, now: Timestamp) -> Result<Vec<QueueId>, FlowError> {
        let mine = fleet::take_over(call.record, now);
        match self
            .store
            .commit(vec![Change::update(call.version, mine.clone())])
            .await
        {
            Err(StoreError::Conflict) => return Ok(Vec::new()),
            done => done?,
        }
        let mut runners = Vec::new();
        for name in &mine.runners {
            // One whose record is gone has no need of an instance; patrol finds it.
            runners.extend(self.store.runner(name).await?);
        }
        let call = Stored::over(call.version, mine);
        self.make(Begun { call, runners }).await
    }

    async fn answered(
        &self,
        call: Stored<FleetCall>,
        runners: Vec<Stored<Runner>>,
        mut answer: FleetAnswer,
        now: Timestamp,
    ) -> Result<Vec<QueueId>, FlowError> {
        answer.errors = quota::explained(&self.quotas, self.region.as_str(), &call.record, answer.errors).await;
        let span = span_of(&call.record);
        span.in_scope(|| dayfly_metrics::launch_errors(call.record.option.lifecycle, &answer.errors));
        memory::remember(&self.store, call.record.option.lifecycle, &answer.errors, now).await;
        let repeated = call.version != dayfly_records::Version::FIRST;
        let is_unplaced = answer.instances.iter().any(|one| one.zone.is_none());
        let views = if !answer.instances.is_empty() && (repeated || is_unplaced) {
            self.views_of(&call.record).await
        } else {
            Ok(BTreeMap::new())
        };
        let views = match views {
            Ok(views) => views,
            // Those of an earlier call whose answer was lost are older than this one, and how old decides
            // how long they live.
            Err(error) if repeated => return self.unclear(call, runners, error, now).await,
            Err(error) => {
                span.in_scope(|| tracing::warn!(%error, "the instances' zones could not be looked up"));
                BTreeMap::new()
            }
        };
        let launched = self.launched(answer.instances, &views, now).await;
        let known = self.recorded_before(&launched, repeated).await?;
        let Assigned { launched, without } = fleet::assign(&call.record, launched, &known);
        let mut outcomes: Vec<(RunnerName, Attempted)> = Vec::new();
        outcomes.extend(launched.into_iter().map(|(name, one)| (name, Attempted::Launched(one))));
        let errors = if answer.errors.is_empty() {
            vec![no_reason()]
        } else {
            answer.errors
        };
        outcomes.extend(without.into_iter().map(|name| {
            let errors = errors.clone();
            (name, Attempted::Failed { errors })
        }));
        self.conclude(call, runners, outcomes, now).await
    }

    /// Records the outcome for every runner, then that the call is over.
    async fn conclude(
        &self,
        call: Stored<FleetCall>,
        runners: Vec<Stored<Runner>>,
        outcomes: Vec<(RunnerName, Attempted)>,
        now: Timestamp,
    ) -> Result<Vec<QueueId>, FlowError> {
        let queues = self.record(Some(&call.record.id), runners, outcomes, now).await?;
        let over = FleetCall {
            due_at: None,
            ..call.record
        };
        match self.store.commit(vec![Change::update(call.version, over)]).await {
            // Somebody else has taken it over, and comes to the same.
            Ok(()) | Err(StoreError::Conflict) => Ok(queues),
            Err(error) => Err(error.into()),
        }
    }

    async fn unclear(
        &self,
        call: Stored<FleetCall>,
        runners: Vec<Stored<Runner>>,
        error: FleetError,
        now: Timestamp,
    ) -> Result<Vec<QueueId>, FlowError> {
        span_of(&call.record).in_scope(|| tracing::warn!(%error, "it is not clear what a call to EC2 came to"));
        if let Some(next) = fleet::unclear(call.record.clone(), error.kind, now, &self.deadlines) {
            return match self.store.commit(vec![Change::update(call.version, next)]).await {
                Ok(()) | Err(StoreError::Conflict) => Ok(Vec::new()),
                Err(error) => Err(error.into()),
            };
        }
        let views = self.fleet.of_fleet(&call.record.id).await?;
        let there = views.into_iter().filter(|view| !view.state.is_ended());
        let launched: Vec<Launched> = there.map(seen).collect();
        let known = self.recorded_before(&launched, true).await?;
        let Assigned { launched, without } = fleet::assign(&call.record, launched, &known);
        let got = launched.into_iter().map(|(name, one)| (name, Attempted::Launched(one)));
        let never = without.into_iter().map(|name| {
            let error = error.clone();
            if error.kind == FleetErrorKind::TokenUsed {
                return (name, Attempted::Failed { errors: vec![error] });
            }
            (name, Attempted::NeverAnswered { error })
        });
        let outcomes = got.chain(never).collect();
        self.conclude(call, runners, outcomes, now).await
    }

    /// What is known of the instances of an answer. One that EC2 does not name yet was launched just now.
    async fn launched(
        &self,
        instances: Vec<FleetInstance>,
        views: &BTreeMap<InstanceId, InstanceView>,
        now: Timestamp,
    ) -> Vec<Launched> {
        let mut launched = Vec::new();
        for one in instances {
            let view = views.get(&one.instance);
            let zone = one.zone.or_else(|| view.map(|view| view.zone.clone()));
            let pool = Pool {
                instance_type: one.instance_type,
                zone: zone.unwrap_or_else(Zone::unknown),
            };
            let ends = (&self.store, &self.fleet);
            let on_demand = self.prices.on_demand(ends, &pool.instance_type, Effort::Ask, now).await;
            let on_demand = on_demand.ok().flatten();
            let price = match one.lifecycle {
                InstanceLifecycle::OnDemand => on_demand.map(|price| price.per_hour),
                InstanceLifecycle::Spot => self.prices.spot(ends, &pool, now).await,
            };
            launched.push(Launched {
                at: view.map_or(now, |view| view.launched_at),
                at_by_ec2: view.is_some(),
                instance: one.instance,
                instance_type: pool.instance_type,
                zone: pool.zone,
                lifecycle: one.lifecycle,
                price_per_hour: price,
                on_demand,
            });
        }
        launched
    }

    /// What EC2 says of a call's instances, of those that it names yet: some that were launched just
    /// now it may not.
    async fn views_of(&self, call: &FleetCall) -> Result<BTreeMap<InstanceId, InstanceView>, FleetError> {
        let found = self.fleet.of_fleet(&call.id).await?;
        Ok(found.into_iter().map(|view| (view.instance.clone(), view)).collect())
    }

    /// Which of the instances were given to runners before, by whoever died in the middle of it.
    async fn recorded_before(
        &self,
        launched: &[Launched],
        repeated: bool,
    ) -> Result<BTreeMap<InstanceId, RunnerName>, StoreError> {
        let mut known = BTreeMap::new();
        if repeated {
            for one in launched {
                if let Some(found) = self.store.instance(&one.instance).await? {
                    known.insert(found.record.instance, found.record.runner);
                }
            }
        }
        Ok(known)
    }
}

/// What the log lines of a call carry: its runners, of which there are [`fleet::MOST`] at most, so that whoever
/// looks for the number of a job finds them.
fn span_of(call: &FleetCall) -> Span {
    let names: Vec<&str> = call.runners.iter().map(RunnerName::as_str).collect();
    tracing::info_span!("call", fleet = %call.id, runners = names.join(" "))
}

fn request(call: &FleetCall) -> FleetRequest {
    let spec = &call.option.spec;
    FleetRequest {
        fleet: call.id.clone(),
        scope: Scope {
            installation: call.installation,
            repository: call.repository.clone(),
        },
        count: u32::try_from(call.runners.len()).unwrap_or(u32::MAX),
        placements: call.placements.clone(),
        image: call.option.image.clone(),
        root_device: call.option.root_device.clone(),
        disk_gib: spec.disk_gib,
        volume: spec.volume,
        tags: spec.tags.clone(),
        surroundings: Surroundings {
            security_groups: spec.security_groups.clone(),
            instance_profile: spec.instance_profile.clone(),
        },
        lifecycle: call.option.lifecycle,
        strategy: spec.allocation_strategy,
        max_price: spec.max_price,
    }
}

/// Whether it is not said what the call has launched. The same call again may tell, and is no new one
/// for EC2's throttle.
fn is_unclear(error: &FleetError) -> bool {
    match error.kind {
        FleetErrorKind::Unknown | FleetErrorKind::Throttled | FleetErrorKind::TokenUsed => true,
        FleetErrorKind::BadRequest
        | FleetErrorKind::Capacity
        | FleetErrorKind::Quota
        | FleetErrorKind::QuotaTooSmall
        | FleetErrorKind::Price
        | FleetErrorKind::TooDear => false,
    }
}

fn no_reason() -> FleetError {
    FleetError {
        kind: FleetErrorKind::Unknown,
        code: "NoInstance".to_owned(),
        message: "EC2 launched fewer instances than it was asked for and gave no reason".to_owned(),
        pool: None,
    }
}

fn seen(view: InstanceView) -> Launched {
    Launched {
        instance: view.instance,
        instance_type: view.instance_type,
        zone: view.zone,
        lifecycle: view.lifecycle,
        price_per_hour: None,
        on_demand: None,
        at: view.launched_at,
        at_by_ec2: true,
    }
}
