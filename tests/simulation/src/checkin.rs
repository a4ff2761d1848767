//! The agents' calls: retried as the real agent does, and lost while the network is cut.

use std::rc::Rc;
use std::time::Duration;

use dayfly_agent::machine::{Event, JitConfig};
use dayfly_types::checkin::{
    ClaimAnswer, ClaimRequest, ErrorBody, GoodbyeReason, GoodbyeRequest, HeartbeatRequest, InterruptionNotice, Order,
    OrderAnswer, Phase, ProgressRequest, Stage, StartAnswer, StartRequest,
};
use dayfly_types::ids::{InstanceId, RunAttempt, RunId};
use dayfly_types::time::Timestamp;

use crate::guards::Guard;
use crate::machine::NEVER;
use crate::plan::Outage;
use crate::sim::{Happening, Sim};

#[derive(Clone, Debug)]
pub struct CheckIn {
    what: What,
    since: Timestamp,
    tries: u32,
}

/// The kind of a call.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Claim,
    Start(RunId, RunAttempt),
    Heartbeat(Phase, Option<InterruptionNotice>),
    Progress(Stage, Timestamp, Option<String>),
    Goodbye(GoodbyeReason, Option<String>),
}

impl CheckIn {
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self.what {
            What::Claim => "claim",
            What::Start(..) => "start",
            What::Heartbeat(..) => "heartbeat",
            What::Progress(..) => "progress",
            What::Goodbye(..) => "goodbye",
        }
    }

    #[must_use]
    pub fn body(&self, instance: &InstanceId) -> String {
        let instance = instance.clone();
        let body = match &self.what {
            What::Claim => serde_json::to_string(&ClaimRequest {
                instance,
                agent_version: "1".to_owned(),
            }),
            What::Start(run, attempt) => serde_json::to_string(&StartRequest {
                instance,
                run: *run,
                attempt: *attempt,
            }),
            What::Heartbeat(phase, interruption) => serde_json::to_string(&HeartbeatRequest {
                instance,
                phase: *phase,
                interruption: interruption.clone(),
            }),
            What::Progress(stage, at, detail) => serde_json::to_string(&ProgressRequest {
                instance,
                stage: *stage,
                at: *at,
                detail: detail.clone(),
            }),
            What::Goodbye(reason, detail) => serde_json::to_string(&GoodbyeRequest {
                instance,
                reason: *reason,
                detail: detail.clone(),
            }),
        };
        body.unwrap_or_default()
    }

    fn patience(&self) -> Duration {
        match self.what {
            What::Claim => NEVER,
            What::Heartbeat(..) | What::Goodbye(..) => Duration::from_secs(15),
            What::Progress(..) | What::Start(..) => Duration::from_secs(60),
        }
    }
}

impl Sim {
    pub(crate) fn checks_in(self: &Rc<Self>, instance: &InstanceId, what: What) {
        let call = CheckIn {
            what,
            since: self.now(),
            tries: 0,
        };
        self.engine
            .plan(Duration::from_millis(60), Happening::Calls(instance.clone(), call));
    }

    /// An agent's call reaches the function, unless the network is cut.
    pub fn agent_calls(self: &Rc<Self>, instance: &InstanceId, what: CheckIn) {
        let reach = self.with(instance, |machine| (machine.frozen, machine.cut));
        let mut dice = self.dice("late", &format!("{instance} {}", self.now().millis()));
        if self.hit(Outage::AgentLate, &mut dice) {
            let late = Happening::Arrives(instance.clone(), what);
            self.engine.plan(dice.seconds(1, 60), late);
            return;
        }
        match reach {
            Some((false, false)) => self.call(crate::lambda::Caller::Agent(instance.clone(), what), 0),
            Some((false, true)) => {
                let silence = Happening::NoAnswer(instance.clone(), what);
                self.engine.plan(Duration::from_secs(10), silence);
            }
            _ => {}
        }
    }

    /// A late call of an agent arrives, if the instance still runs.
    pub fn arrives(self: &Rc<Self>, instance: &InstanceId, what: CheckIn) {
        if self.with(instance, |machine| machine.frozen) == Some(false) {
            self.call(crate::lambda::Caller::Agent(instance.clone(), what), 0);
        }
    }

    /// A call gets no answer.
    pub fn agent_hears_nothing(self: &Rc<Self>, instance: &InstanceId, what: CheckIn) {
        self.later(instance, what);
    }

    /// The function has answered an agent.
    pub fn agent_is_answered(self: &Rc<Self>, instance: &InstanceId, what: CheckIn, status: u16, body: &str) {
        let cut = self.with(instance, |machine| machine.cut && !machine.is_deaf());
        if cut == Some(true) {
            let silence = Happening::NoAnswer(instance.clone(), what);
            self.engine.plan(Duration::from_secs(10), silence);
            return;
        }
        match status {
            200 => {
                let now = self.now();
                // A start request is no heartbeat: it is answered without a write. Nor is a call a sign
                // of life once the runner is lost.
                let must_stop = serde_json::from_str(body).is_ok_and(|it: OrderAnswer| it.order == Order::Stop);
                if !matches!(what.what, What::Start(..)) && !must_stop {
                    self.with(instance, |machine| machine.heard_at = Some(now));
                }
                let hostile = self.with(instance, |machine| machine.hostile) == Some(true);
                if let Ok(answer) = serde_json::from_str::<ClaimAnswer>(body) {
                    let message = answer.message.is_some() && self.has(Guard::Message);
                    self.with(instance, |machine| machine.messenger = message);
                }
                let hook = self.dice("hook", instance.as_str()).happens(0.5);
                for event in events_from(&what, body, hook, now) {
                    self.feed(instance, if hostile { disobeyed(event) } else { event });
                }
            }
            400 | 403 => self.refused(instance, &what),
            _ => {
                let refusal: Option<ErrorBody> = serde_json::from_str(body).ok();
                let wait = refusal.and_then(|refusal| refusal.retry_after());
                if let (Some(wait), What::Claim) = (wait, &what.what) {
                    self.feed(instance, Event::ClaimPostponed(wait));
                }
                self.after(instance, what, wait);
            }
        }
    }

    pub(crate) fn later(self: &Rc<Self>, instance: &InstanceId, what: CheckIn) {
        self.after(instance, what, None);
    }

    /// Calls again after the requested wait, if any.
    fn after(self: &Rc<Self>, instance: &InstanceId, mut what: CheckIn, wait: Option<Duration>) {
        let pause = wait.unwrap_or(Duration::from_secs(1 << what.tries.min(4)));
        if self.now().since(what.since) + pause >= what.patience() {
            self.refused(instance, &what);
            return;
        }
        what.tries += 1;
        self.engine.plan(pause, Happening::Calls(instance.clone(), what));
    }

    pub(crate) fn refused(self: &Rc<Self>, instance: &InstanceId, what: &CheckIn) {
        let event = match what.what {
            What::Claim => Event::ClaimRefused,
            What::Start(..) => {
                self.job_kept(instance);
                Event::JobStartDenied { answered: false }
            }
            What::Heartbeat(..) => Event::HeartbeatFailed,
            What::Progress(..) => return,
            What::Goodbye(..) => Event::GoodbyeDone(None),
        };
        self.feed(instance, event);
    }
}

/// A hostile instance's reaction to an answer.
fn disobeyed(event: Event) -> Event {
    match event {
        Event::Claimed {
            jit_config,
            heartbeat,
            drain,
            hook,
            startup,
            ..
        } => Event::Claimed {
            jit_config,
            heartbeat,
            lifetime: NEVER,
            drain,
            hook,
            startup,
        },
        Event::HeartbeatAnswered(_) => Event::HeartbeatAnswered(Order::Continue),
        Event::ProgressAnswered(_) => Event::ProgressAnswered(Order::Continue),
        other => other,
    }
}

/// Returns the events that an answer causes. Chance decides whether the repository has an interruption
/// hook.
fn events_from(what: &CheckIn, body: &str, hook: bool, now: Timestamp) -> Vec<Event> {
    if matches!(what.what, What::Claim) {
        let claimed = serde_json::from_str(body).map(|answer: ClaimAnswer| Event::Claimed {
            heartbeat: answer.heartbeat(),
            lifetime: answer.lifetime(),
            drain: answer.drain(),
            hook,
            startup: answer.startup(),
            jit_config: JitConfig(answer.jit_config),
        });
        return claimed.into_iter().collect();
    }
    if matches!(what.what, What::Start(..)) {
        let admitted = serde_json::from_str(body).is_ok_and(|answer: StartAnswer| answer.refusal.is_none());
        return vec![if admitted {
            Event::JobStarted
        } else {
            Event::JobStartDenied { answered: true }
        }];
    }
    let Ok(OrderAnswer { order, taken_back_at }) = serde_json::from_str(body) else {
        return Vec::new();
    };
    let notice = taken_back_at.map(|at| Event::SpotNotice {
        notice: InterruptionNotice {
            action: "terminate".to_owned(),
            at: at.seconds().to_string(),
        },
        left: at.since(now),
    });
    let answered = match what.what {
        What::Heartbeat(..) => Event::HeartbeatAnswered(order),
        What::Progress(..) => Event::ProgressAnswered(order),
        What::Goodbye(..) | What::Claim | What::Start(..) => Event::GoodbyeDone(Some(order)),
    };
    notice.into_iter().chain([answered]).collect()
}
