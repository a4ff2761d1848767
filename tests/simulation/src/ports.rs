//! The functions' calls to the world: each takes its time, may be refused, and may take effect without
//! an answer.

mod aws;
mod fleet;
mod github;
mod store;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use dayfly_ports::{ApiError, ApiErrorKind, Clock, FleetError, FleetErrorKind};
use dayfly_types::time::Timestamp;

use crate::cloud;
use crate::dice::Dice;
use crate::plan::Outage;
use crate::sim::{Happening, Sim};

/// The SSM parameter with the webhook's secret.
pub const WEBHOOK_SECRET_PARAMETER: &str = "/dayfly/github/webhook-secret";
pub const WEBHOOK_SECRET: &str = "a secret of this world";

/// How long an unanswered call takes.
const NO_ANSWER: Duration = Duration::from_secs(9);

/// The ports of one call of a function.
#[derive(Clone)]
pub struct Ports {
    sim: Rc<Sim>,
    dice: Rc<RefCell<Dice>>,
    call: u64,
    /// How many more effects the call survives, if it dies.
    dies_after: Rc<Cell<Option<u64>>>,
}

/// A service, with its latency and its outages.
#[derive(Clone, Copy)]
enum Service {
    Table,
    Bus,
    Scheduler,
    Parameters,
    Quotas,
    Alerts,
    Ec2,
    GitHub,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Bus => "bus",
            Self::Scheduler => "scheduler",
            Self::Parameters => "parameters",
            Self::Quotas => "quotas",
            Self::Alerts => "alerts",
            Self::Ec2 => "EC2",
            Self::GitHub => "GitHub",
        }
    }

    fn takes(self, dice: &mut Dice) -> Duration {
        match self {
            Self::Table => dice.millis(2, 12),
            Self::Bus | Self::Scheduler | Self::Parameters | Self::Quotas | Self::Alerts => dice.millis(5, 40),
            Self::Ec2 => dice.millis(80, 1500),
            Self::GitHub => dice.millis(40, 500),
        }
    }

    fn outage(self) -> Option<Outage> {
        match self {
            Self::Table => Some(Outage::Table),
            Self::Bus => Some(Outage::Bus),
            Self::Scheduler => Some(Outage::SchedulerApi),
            Self::Parameters | Self::Quotas => None,
            Self::Alerts => Some(Outage::Alerts),
            Self::Ec2 => Some(Outage::Ec2),
            Self::GitHub => Some(Outage::GitHub),
        }
    }
}

impl Ports {
    /// The ports of a call with these random numbers, which may die after so many effects.
    pub fn new(sim: Rc<Sim>, dice: Dice, call: u64, dies_after: Option<u64>) -> Self {
        Self {
            sim,
            dice: Rc::new(RefCell::new(dice)),
            call,
            dies_after: Rc::new(Cell::new(dies_after)),
        }
    }

    /// An effect has happened, and the call may die before it learns of that.
    fn may_die(&self) {
        let left = self.dies_after.get().map(|left| left - 1);
        self.dies_after.set(left.filter(|left| *left > 0));
        if left == Some(0) {
            let dies = Happening::Kill(self.call, "died after an effect");
            self.sim.engine.plan(Duration::ZERO, dies);
        }
    }

    /// Makes a call, with latency before and after its effect. In an outage it has no effect, or gets
    /// no answer.
    async fn make<T>(
        &self,
        service: Service,
        what: &'static str,
        happens: impl FnOnce(&Rc<Sim>, &mut Dice) -> T,
    ) -> Result<T, String> {
        let (there, back, trouble, silent) = {
            let mut dice = self.dice.borrow_mut();
            let takes = service.takes(&mut dice);
            let trouble = service.outage().is_some_and(|outage| self.sim.hit(outage, &mut dice));
            (takes / 2, takes / 2, trouble, dice.happens(0.3))
        };
        self.sim.engine.sleep(there).await;
        self.sim.tally.borrow_mut().port(service.name(), what);
        if trouble && !silent {
            self.sim.engine.sleep(back).await;
            return Err(format!("{what} does not work"));
        }
        let done = happens(&self.sim, &mut self.dice.borrow_mut());
        self.may_die();
        self.sim.engine.sleep(if trouble { NO_ANSWER } else { back }).await;
        if trouble {
            return Err(format!("{what} is not answered"));
        }
        Ok(done)
    }

    async fn github<T>(
        &self,
        what: &'static str,
        happens: impl FnOnce(&Rc<Sim>, &mut Dice) -> T,
    ) -> Result<T, ApiError> {
        let limited = self.sim.hit(Outage::GitHubLimit, &mut self.dice.borrow_mut());
        if limited {
            return Err(ApiError {
                kind: ApiErrorKind::RateLimited(Some(self.dice.borrow_mut().seconds(10, 600))),
                call: what,
                message: "API rate limit exceeded".to_owned(),
            });
        }
        let now = self.sim.now();
        if let Some(wait) = self.sim.promises.borrow_mut().ask_github(now) {
            return Err(ApiError {
                kind: ApiErrorKind::RateLimited(Some(wait)),
                call: what,
                message: "API rate limit exceeded".to_owned(),
            });
        }
        self.make(Service::GitHub, what, happens)
            .await
            .map_err(|message| ApiError {
                kind: ApiErrorKind::Unavailable,
                call: what,
                message,
            })
    }

    async fn ec2<T>(
        &self,
        what: &'static str,
        happens: impl FnOnce(&Rc<Sim>, &mut Dice) -> T,
    ) -> Result<T, FleetError> {
        self.make(Service::Ec2, what, happens)
            .await
            .map_err(|message| FleetError {
                kind: FleetErrorKind::Unknown,
                code: "NoAnswer".to_owned(),
                message,
                pool: None,
            })
    }

    /// Asks for a price.
    async fn priced<T>(
        &self,
        what: &'static str,
        happens: impl FnOnce(&Rc<Sim>, &mut Dice) -> T,
    ) -> Result<T, FleetError> {
        if self.sim.hit(Outage::Prices, &mut self.dice.borrow_mut()) {
            return Err(cloud::error(FleetErrorKind::Unknown, "InternalError"));
        }
        self.ec2(what, happens).await
    }

    /// Makes a rate-limited write to EC2.
    async fn ec2_write<T>(
        &self,
        what: &'static str,
        happens: impl FnOnce(&Rc<Sim>, &mut Dice) -> T,
    ) -> Result<T, FleetError> {
        let throttled = self.sim.hit(Outage::Ec2Throttle, &mut self.dice.borrow_mut())
            || !self.sim.cloud.borrow_mut().take_call(self.sim.now());
        if throttled {
            self.sim.tally.borrow_mut().throttles += 1;
            return Err(cloud::error(FleetErrorKind::Throttled, "RequestLimitExceeded"));
        }
        self.ec2(what, happens).await
    }
}

impl Clock for Ports {
    fn now(&self) -> Timestamp {
        self.sim.now()
    }

    async fn sleep(&self, span: Duration) {
        self.sim.engine.sleep(span).await;
    }
}
