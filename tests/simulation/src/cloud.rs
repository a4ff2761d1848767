//! EC2: pools with capacity, instances, client tokens, lagging answers, and an API rate limit.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use dayfly_ports::{FleetAnswer, FleetError, FleetErrorKind, FleetInstance, FleetRequest, InstanceState, InstanceView};
use dayfly_types::capacity::{InstanceLifecycle, Placement, Pool};
use dayfly_types::ids::{FleetId, InstanceId};
use dayfly_types::time::Timestamp;

use crate::dice::Dice;

/// How long EC2 lists an instance that has ended.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(3600);

/// How often a call is made at most if only capacity is missing.
const MOST_TIMES: u32 = 8;

/// The write calls in a full bucket, and the refill per second.
const BUCKET: (f64, f64) = (50.0, 2.0);

#[derive(Clone, Debug)]
pub struct Instance {
    /// EC2's description.
    pub view: InstanceView,
    /// From when EC2's lists include it.
    pub shown_from: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// When EC2 sent the interruption notice.
    pub notice_at: Option<Timestamp>,
    /// From when it runs and is billed.
    pub running_at: Timestamp,
    pub ended_by_ec2: bool,
    /// Whether the control plane terminated it.
    pub ended_by_us: bool,
}

impl Instance {
    /// Whether EC2 reclaimed it as spot capacity.
    #[must_use]
    pub fn was_taken_back(&self) -> bool {
        self.ended_by_ec2 && self.view.lifecycle == InstanceLifecycle::Spot
    }
}

/// Which pools are empty for a call.
#[derive(Clone, Debug)]
pub struct Drought {
    /// The share of empty pools.
    pub dry: f64,
    /// The salt of each pool's draw, which lasts some minutes.
    pub salt: u64,
    /// The probability that a pool with capacity still returns one instance less.
    pub partial: f64,
    /// EC2's error.
    pub error: (FleetErrorKind, &'static str),
}

impl Drought {
    /// No drought.
    #[must_use]
    pub fn none() -> Self {
        Self {
            dry: 0.0,
            salt: 0,
            partial: 0.0,
            error: (FleetErrorKind::Capacity, "InsufficientInstanceCapacity"),
        }
    }

    fn holds(&self, pool: &Pool) -> bool {
        Dice::of(self.salt, "pool", &pool.to_string()).happens(self.dry)
    }
}

#[derive(Default)]
pub struct Cloud {
    /// All instances ever launched.
    pub instances: BTreeMap<InstanceId, Instance>,
    /// The living, and the recently ended.
    recent: BTreeSet<InstanceId>,
    /// The recently ended, earliest first.
    ended: VecDeque<(Timestamp, InstanceId)>,
    tokens: BTreeMap<FleetId, (FleetRequest, FleetAnswer)>,
    tokens_left: f64,
    filled_at: Option<Timestamp>,
    /// How often each `CreateFleet` call was made.
    creates: BTreeMap<FleetId, u32>,
    /// Calls that were made too often.
    pub stormed: BTreeMap<FleetId, u32>,
    /// The values in Service Quotas: vCPUs by quota code.
    pub quotas: BTreeMap<String, u32>,
}

pub fn error(kind: FleetErrorKind, code: &str) -> FleetError {
    FleetError {
        kind,
        code: code.to_owned(),
        message: "as the history has it".to_owned(),
        pool: None,
    }
}

impl Cloud {
    /// Takes a write call from the bucket. Returns whether one was left.
    pub fn take_call(&mut self, now: Timestamp) -> bool {
        let elapsed = self.filled_at.map_or(f64::MAX, |at| now.since(at).as_secs_f64());
        self.filled_at = Some(now);
        self.tokens_left = (self.tokens_left + elapsed * BUCKET.1).min(BUCKET.0);
        if self.tokens_left < 1.0 {
            return false;
        }
        self.tokens_left -= 1.0;
        true
    }

    /// Launches instances, unless the token's call was made before. Returns EC2's answer and the new
    /// instances.
    ///
    /// # Errors
    /// The token came with another request.
    pub fn create(
        &mut self,
        request: &FleetRequest,
        drought: &Drought,
        forget_tokens: bool,
        dice: &mut Dice,
        now: Timestamp,
    ) -> Result<(FleetAnswer, Vec<InstanceId>), String> {
        let times = self.creates.entry(request.fleet.clone()).or_default();
        *times += 1;
        if *times > MOST_TIMES {
            self.stormed.insert(request.fleet.clone(), *times);
        }
        if let Some((before, answer)) = self.tokens.get(&request.fleet).filter(|_| !forget_tokens) {
            if before != request {
                return Err(format!("token {} came with another request", request.fleet));
            }
            return Ok((answer.clone(), Vec::new()));
        }
        let mut answer = FleetAnswer::default();
        let (dry, wet): (Vec<&Placement>, Vec<&Placement>) =
            request.placements.iter().partition(|one| drought.holds(&one.pool));
        for _ in 0..request.count {
            // A pool may have capacity for some instances only.
            if !wet.is_empty() && !dice.happens(drought.partial) {
                let pool = dice.one_of(&wet).pool.clone();
                answer.instances.push(self.launch(request, &pool, dice, now));
            }
        }
        if answer.instances.len() < request.count as usize {
            let (kind, code) = drought.error;
            let of = if dry.is_empty() { &wet } else { &dry };
            answer.errors = of
                .iter()
                .map(|one| FleetError {
                    pool: Some(one.pool.clone()),
                    ..error(kind, code)
                })
                .collect();
        }
        let new = answer.instances.iter().map(|one| one.instance.clone()).collect();
        self.tokens
            .insert(request.fleet.clone(), (request.clone(), answer.clone()));
        Ok((answer, new))
    }

    fn launch(&mut self, request: &FleetRequest, pool: &Pool, dice: &mut Dice, now: Timestamp) -> FleetInstance {
        let instance = InstanceId::new(format!("i-{:017x}", self.instances.len() + 1));
        let view = InstanceView {
            instance: instance.clone(),
            state: InstanceState::Pending,
            instance_type: pool.instance_type.clone(),
            zone: pool.zone.clone(),
            lifecycle: request.lifecycle,
            launched_at: now,
            ended_at: None,
            fleet: Some(request.fleet.clone()),
            scope: Some(request.scope.clone()),
        };
        let launched = FleetInstance {
            instance: instance.clone(),
            instance_type: view.instance_type.clone(),
            zone: dice.happens(0.9).then(|| view.zone.clone()),
            lifecycle: view.lifecycle,
        };
        let view_id = format!("{} {}", now.millis(), self.instances.len());
        let shown_from = now.after(dice.millis(0, 20_000));
        self.recent.insert(instance.clone());
        self.instances.insert(
            instance,
            Instance {
                view,
                shown_from,
                ended_at: None,
                notice_at: None,
                running_at: now.after(Dice::of(0, "pending", &view_id).millis(2_000, 12_000)),
                ended_by_ec2: false,
                ended_by_us: false,
            },
        );
        launched
    }

    /// Ends an instance. Returns whether it had not ended before.
    pub fn end(&mut self, instance: &InstanceId, now: Timestamp) -> bool {
        let Some(found) = self.instances.get_mut(instance) else {
            return false;
        };
        if found.ended_at.is_some() {
            return false;
        }
        found.ended_at = Some(now);
        found.view.state = InstanceState::ShuttingDown;
        self.ended.push_back((now, instance.clone()));
        while self.ended.front().is_some_and(|(at, _)| now.since(*at) >= REMEMBERED) {
            if let Some((_, forgotten)) = self.ended.pop_front() {
                self.recent.remove(&forgotten);
            }
        }
        true
    }

    /// Returns EC2's list of the instances that `wanted` picks.
    pub fn named(&self, now: Timestamp, tags: bool, wanted: impl Fn(&Instance) -> bool) -> Vec<InstanceView> {
        self.recent()
            .filter(|one| one.shown_from <= now && one.ended_at.is_none_or(|at| now.since(at) < REMEMBERED))
            .filter(|one| wanted(one))
            .map(|one| InstanceView {
                fleet: one.view.fleet.clone().filter(|_| tags),
                scope: one.view.scope.clone().filter(|_| tags),
                ended_at: one.ended_at,
                ..one.view.clone()
            })
            .collect()
    }

    /// Returns the instances that have not ended.
    pub fn living(&self) -> impl Iterator<Item = &Instance> {
        self.recent().filter(|one| one.ended_at.is_none())
    }

    /// Returns the living and the recently ended instances.
    pub(crate) fn recent(&self) -> impl Iterator<Item = &Instance> {
        self.recent.iter().filter_map(|id| self.instances.get(id))
    }
}
