//! The call to EC2, and what its answer means for each of its runners.

mod quota;

use std::collections::BTreeMap;

use dayfly_engine::launch::fleet::{self, Assignment};
use dayfly_engine::launch::outcome::TryOutcome;
use dayfly_flows::{FlowError, PriceLookup};
use dayfly_ports::{
    Clock as _, Fleet as _, FleetAnswer, FleetInstance, FleetRequest, InstanceOverrides, InstanceView, Scope,
    Store as _, StoreError,
};
use dayfly_records::{Change, FleetCall, Launched, Runner, Stored, Version};
use dayfly_types::capacity::{FleetError, FleetErrorKind, InstanceLifecycle, Pool};
use dayfly_types::ids::{InstanceId, RunnerName, Zone};
use dayfly_types::time::Timestamp;
use tracing::{Instrument as _, Span};

use crate::open::OpenCall;
use crate::{Function, LaunchPorts};

/// EC2's word on a call.
type Answer = Result<FleetAnswer, FleetError>;

/// What came of a call for each of its runners.
type Outcomes = Vec<(RunnerName, TryOutcome)>;

impl<P: LaunchPorts> Function<P> {
    /// Makes a call that is recorded, unless that is too late. Returns EC2's answer, and when it came.
    pub(crate) async fn create_fleet(&self, open: &OpenCall) -> (Answer, Timestamp) {
        let call = &open.call.record;
        let now = self.ports.clock().now();
        if !fleet::is_made(call, now, &self.deadlines) {
            return (Err(never_answered()), now);
        }
        let span = span_of(call);
        let answer = self.ports.fleet().create(&request(call)).instrument(span.clone()).await;
        let now = self.ports.clock().now();
        span.in_scope(|| {
            tracing::info!(count = open.runners.len(), queue = %call.queue, ?answer, "asked EC2 for instances");
        });
        (answer, now)
    }

    /// Takes over a call that is due: the invocation that made it died, or EC2's answer was not
    /// clear. Returns `None` if another invocation was faster.
    pub(crate) async fn take_over_call(
        &self,
        call: Stored<FleetCall>,
        now: Timestamp,
    ) -> Result<Option<OpenCall>, FlowError> {
        let taken = fleet::take_over(call.record, now);
        if !self.commit(vec![Change::update(call.version, taken.clone())]).await? {
            return Ok(None);
        }
        let mut runners = Vec::new();
        for name in &taken.runners {
            // A runner without a record needs no instance; patrol finds one that it has.
            runners.extend(self.ports.store().runner(name).await?);
        }
        let call = Stored::over(call.version, taken);
        Ok(Some(OpenCall { call, runners }))
    }

    /// The call that a runner is in, if it is in one.
    pub(crate) async fn call_of(&self, runner: &Runner) -> Result<Option<FleetCall>, StoreError> {
        let Some(fleet) = &runner.fleet else {
            return Ok(None);
        };
        let call = self.ports.store().fleet_call(fleet).await?;
        Ok(call.map(|stored| stored.record))
    }

    /// What an answer means for each runner of a call. Returns `None` if it is not clear what the call has
    /// launched: it is recorded as due again.
    pub(crate) async fn outcomes(
        &self,
        call: &Stored<FleetCall>,
        answer: Answer,
        now: Timestamp,
    ) -> Result<Option<Outcomes>, FlowError> {
        match answer {
            Ok(answer) => self.outcomes_of_answer(call, answer, now).await,
            Err(error) if is_unclear(&error) => {
                let lifecycle = call.record.option.lifecycle;
                let errors = std::slice::from_ref(&error);
                span_of(&call.record).in_scope(|| dayfly_metrics::launch_errors(lifecycle, errors));
                self.outcomes_of_unclear(call, error, now).await
            }
            Err(error) => {
                let answer = FleetAnswer {
                    instances: Vec::new(),
                    errors: vec![error],
                };
                self.outcomes_of_answer(call, answer, now).await
            }
        }
    }

    async fn outcomes_of_answer(
        &self,
        call: &Stored<FleetCall>,
        mut answer: FleetAnswer,
        now: Timestamp,
    ) -> Result<Option<Outcomes>, FlowError> {
        let lifecycle = call.record.option.lifecycle;
        answer.errors = quota::explain(self.ports.quotas(), self.region.as_str(), &call.record, answer.errors).await;
        let span = span_of(&call.record);
        span.in_scope(|| dayfly_metrics::launch_errors(lifecycle, &answer.errors));
        self.remember_failures(lifecycle, &answer.errors, now).await;
        let is_repeated = call.version != Version::FIRST;
        let lacks_zone = answer.instances.iter().any(|one| one.zone.is_none());
        let views = if !answer.instances.is_empty() && (is_repeated || lacks_zone) {
            self.views_of(&call.record).await
        } else {
            Ok(BTreeMap::new())
        };
        let views = match views {
            Ok(views) => views,
            // The instances of an earlier call whose answer was lost are older than this answer, and their
            // age decides how long they live.
            Err(error) if is_repeated => return self.outcomes_of_unclear(call, error, now).await,
            Err(error) => {
                span.in_scope(|| tracing::warn!(%error, "the instances' zones could not be looked up"));
                BTreeMap::new()
            }
        };
        let launched = self.launched(answer.instances, &views, now).await;
        let known = if is_repeated {
            self.recorded_before(&launched).await?
        } else {
            BTreeMap::new()
        };
        let errors = if answer.errors.is_empty() {
            vec![no_reason()]
        } else {
            answer.errors
        };
        let without = || TryOutcome::Failed { errors: errors.clone() };
        Ok(Some(assign(&call.record, launched, &known, without)))
    }

    /// Records that a call whose answer is not clear is due again. Once its answer is awaited no longer,
    /// EC2 is asked which instances have the call's tag.
    async fn outcomes_of_unclear(
        &self,
        call: &Stored<FleetCall>,
        error: FleetError,
        now: Timestamp,
    ) -> Result<Option<Outcomes>, FlowError> {
        span_of(&call.record).in_scope(|| tracing::warn!(%error, "it is not clear what a call to EC2 has launched"));
        if let Some(next) = fleet::retry_unclear(call.record.clone(), error.kind, now, &self.deadlines) {
            self.commit(vec![Change::update(call.version, next)]).await?;
            return Ok(None);
        }
        let views = self.ports.fleet().instances_of(&call.record.id).await?;
        // Those that have ended, too: their cost is counted with their runners.
        let launched: Vec<Launched> = views.into_iter().map(launched_as_seen).collect();
        let known = self.recorded_before(&launched).await?;
        let without = || {
            let error = error.clone();
            match error.kind {
                FleetErrorKind::TokenUsed => TryOutcome::Failed { errors: vec![error] },
                _ => TryOutcome::NeverAnswered { error },
            }
        };
        Ok(Some(assign(&call.record, launched, &known, without)))
    }

    /// Records that a call is over. Another invocation that took it over does the same.
    pub(crate) async fn close_call(&self, call: Stored<FleetCall>) -> Result<(), FlowError> {
        let over = FleetCall {
            due_at: None,
            ..call.record
        };
        self.commit(vec![Change::update(call.version, over)]).await?;
        Ok(())
    }

    /// What is known of the instances of an answer. One that EC2 does not list yet was launched just now.
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
            let on_demand = self
                .prices
                .on_demand(&self.ports, &pool.instance_type, PriceLookup::AskAws, now)
                .await;
            let on_demand = on_demand.ok().flatten();
            let price = match one.lifecycle {
                InstanceLifecycle::OnDemand => on_demand.map(|price| price.per_hour),
                InstanceLifecycle::Spot => self.prices.spot(&self.ports, &pool, now).await,
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

    /// The instances of a call that EC2 lists, which may lack some that were launched just now.
    async fn views_of(&self, call: &FleetCall) -> Result<BTreeMap<InstanceId, InstanceView>, FleetError> {
        let found = self.ports.fleet().instances_of(&call.id).await?;
        Ok(found.into_iter().map(|view| (view.instance.clone(), view)).collect())
    }

    /// The instances that were recorded for runners before, by an invocation that then died.
    async fn recorded_before(&self, launched: &[Launched]) -> Result<BTreeMap<InstanceId, RunnerName>, StoreError> {
        let mut known = BTreeMap::new();
        for one in launched {
            if let Some(found) = self.ports.store().instance(&one.instance).await? {
                known.insert(found.record.instance, found.record.runner);
            }
        }
        Ok(known)
    }
}

/// Gives each runner of a call its instance; one without an instance gets the outcome `without`.
fn assign(
    call: &FleetCall,
    launched: Vec<Launched>,
    known: &BTreeMap<InstanceId, RunnerName>,
    outcome_without: impl Fn() -> TryOutcome,
) -> Outcomes {
    let Assignment { launched, without } = fleet::assign(call, launched, known);
    let launched = launched
        .into_iter()
        .map(|(name, one)| (name, TryOutcome::Launched(one)));
    let without = without.into_iter().map(|name| (name, outcome_without()));
    launched.chain(without).collect()
}

/// The span of a call's log lines. It names the runners, at most [`fleet::MOST`], so that a search for the
/// number of a job finds the lines.
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
        overrides: InstanceOverrides {
            security_groups: spec.security_groups.clone(),
            instance_profile: spec.instance_profile.clone(),
        },
        lifecycle: call.option.lifecycle,
        strategy: spec.allocation_strategy,
        max_price: spec.max_price,
    }
}

/// Whether an error leaves open what the call has launched. The same call again may find out, and is not
/// a new one for EC2's throttle.
fn is_unclear(error: &FleetError) -> bool {
    match error.kind {
        FleetErrorKind::Unknown | FleetErrorKind::Throttled | FleetErrorKind::TokenUsed => true,
        FleetErrorKind::BadRequest
        | FleetErrorKind::Capacity
        | FleetErrorKind::Quota
        | FleetErrorKind::QuotaTooSmall
        | FleetErrorKind::Price
        | FleetErrorKind::PriceLimitTooLow => false,
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

/// The error of a call whose answer did not come in time.
fn never_answered() -> FleetError {
    FleetError {
        kind: FleetErrorKind::Unknown,
        code: "NeverAnswered".to_owned(),
        message: "no answer of EC2 was received for so long that the launch was given up".to_owned(),
        pool: None,
    }
}

fn launched_as_seen(view: InstanceView) -> Launched {
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
