//! EC2: pools with capacity, instances, tokens, answers that lag, and a limit on calls.

use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_core::ids::{InstanceId, RunnerName, Zone};
use dayfly_core::time::Timestamp;
use dayfly_ports::{FleetAnswer, FleetError, FleetErrorKind, FleetInstance, FleetRequest, InstanceState, InstanceView};

use crate::dice::Dice;

/// How long EC2 names an instance that has ended.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// How many write calls are free, and how many more each second.
const BUCKET: (f64, f64) = (50.0, 2.0);

/// An instance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// What EC2 says of it.
    pub view: InstanceView,
    /// When EC2's lists show it.
    pub shown_from: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When EC2 said that it will take it back.
    pub notice_at: Option<Timestamp>,
}

/// What EC2 knows.
#[derive(Default)]
pub struct Cloud {
    /// All instances that there ever were.
    pub instances: BTreeMap<InstanceId, Instance>,
    tokens: BTreeMap<String, (FleetRequest, FleetAnswer)>,
    tokens_left: f64,
    filled_at: Option<Timestamp>,
    /// `CreateFleet` calls by runner.
    pub creates: BTreeMap<RunnerName, u32>,
    /// What Service Quotas tells: vCPUs by the quota's code.
    pub quotas: BTreeMap<String, u32>,
}

/// A failure of a kind.
pub fn error(kind: FleetErrorKind, code: &str) -> FleetError {
    FleetError {
        kind,
        code: code.to_owned(),
        message: "as the history has it".to_owned(),
        pool: None,
    }
}

impl Cloud {
    /// Takes a write call out of the bucket. Answers whether there was one.
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

    /// Launches an instance, unless the token's call was made before. Answers what EC2 says, and
    /// the new instance.
    ///
    /// # Errors
    /// The token came with another request.
    pub fn create(
        &mut self,
        request: &FleetRequest,
        drought: bool,
        forget_tokens: bool,
        dice: &mut Dice,
        now: Timestamp,
    ) -> Result<(FleetAnswer, Option<InstanceId>), String> {
        *self.creates.entry(request.runner.clone()).or_default() += 1;
        if let Some((before, answer)) = self.tokens.get(&request.client_token).filter(|_| !forget_tokens) {
            if before != request {
                return Err(format!("token {} came with another request", request.client_token));
            }
            return Ok((answer.clone(), None));
        }
        let (answer, instance) = if drought {
            let errors = vec![error(FleetErrorKind::Capacity, "InsufficientInstanceCapacity")];
            (
                FleetAnswer {
                    instances: Vec::new(),
                    errors,
                },
                None,
            )
        } else {
            let launched = self.launch(request, dice, now);
            let id = launched.instance.clone();
            (
                FleetAnswer {
                    instances: vec![launched],
                    errors: Vec::new(),
                },
                Some(id),
            )
        };
        self.tokens
            .insert(request.client_token.clone(), (request.clone(), answer.clone()));
        Ok((answer, instance))
    }

    fn launch(&mut self, request: &FleetRequest, dice: &mut Dice, now: Timestamp) -> FleetInstance {
        let instance = InstanceId::new(format!("i-{:017x}", self.instances.len() + 1));
        let zone = format!("eu-west-1{}", dice.one_of(&["a", "b", "c"]));
        let view = InstanceView {
            instance: instance.clone(),
            state: InstanceState::Pending,
            instance_type: dice.one_of(&request.instance_types).clone(),
            zone: Zone::new(zone),
            spot: request.spot,
            launched_at: now,
            runner: Some(request.runner.clone()),
            scope: Some(request.scope.clone()),
        };
        let launched = FleetInstance {
            instance: instance.clone(),
            instance_type: view.instance_type.clone(),
            zone: dice.happens(0.9).then(|| view.zone.clone()),
            spot: view.spot,
        };
        let shown_from = now.after(dice.millis(0, 20_000));
        self.instances.insert(
            instance,
            Instance {
                view,
                shown_from,
                ended_at: None,
                notice_at: None,
            },
        );
        launched
    }

    /// Moves an instance to its end. Answers whether it had not ended before.
    pub fn end(&mut self, instance: &InstanceId, now: Timestamp) -> bool {
        let Some(found) = self.instances.get_mut(instance) else {
            return false;
        };
        if found.ended_at.is_some() {
            return false;
        }
        found.ended_at = Some(now);
        found.view.state = InstanceState::ShuttingDown;
        true
    }

    /// What EC2 names, of those that `wanted` picks.
    pub fn named(&self, now: Timestamp, tags: bool, wanted: impl Fn(&Instance) -> bool) -> Vec<InstanceView> {
        self.instances
            .values()
            .filter(|one| one.shown_from <= now && one.ended_at.is_none_or(|at| now.since(at) < REMEMBERED))
            .filter(|one| wanted(one))
            .map(|one| InstanceView {
                runner: one.view.runner.clone().filter(|_| tags),
                scope: one.view.scope.clone().filter(|_| tags),
                ..one.view.clone()
            })
            .collect()
    }

    /// The instances that have not ended.
    pub fn living(&self) -> impl Iterator<Item = &Instance> {
        self.instances.values().filter(|one| one.ended_at.is_none())
    }
}
