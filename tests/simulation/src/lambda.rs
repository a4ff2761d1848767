//! Lambda: who calls a function, how often it is retried, and how it ends.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use aws_lambda_events::lambda_function_urls::{
    LambdaFunctionUrlRequest, LambdaFunctionUrlRequestContextAuthorizerDescription,
    LambdaFunctionUrlRequestContextAuthorizerIamDescription, LambdaFunctionUrlResponse,
};
use dayfly_engine::runner::interruption::Ec2Signal;
use dayfly_flows::{Policies, PriceCache};
use dayfly_interruption::Ec2Event;
use dayfly_ports::PortSet;
use dayfly_records::event::Event;
use dayfly_sweeper::Task;
use dayfly_types::ids::{InstanceId, Region, SubnetId};
use dayfly_types::time::Timestamp;

use crate::checkin::CheckIn;
use crate::engine::TaskId;
use crate::plan::Outage;
use crate::policy_limits::POLICY_PARAMETER;
use crate::ports::Ports;
use crate::sim::{Happening, Sim};

/// A call of a function, with its payload.
#[derive(Clone, Debug)]
pub enum Caller {
    Bus(Box<Event>),
    Schedule(Task),
    /// EC2, with an event about an instance.
    Ec2(InstanceId, Ec2Signal, Timestamp),
    Agent(InstanceId, CheckIn),
    /// GitHub, with the delivery of this index.
    GitHub(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    Webhook,
    Launch,
    Checkin,
    JobEvents,
    Interruption,
    Sweeper,
    Reporter,
}

impl Function {
    /// Its timeout, as in the template.
    fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::Webhook => 10,
            Self::Launch | Self::JobEvents => 60,
            Self::Checkin | Self::Interruption | Self::Reporter => 30,
            Self::Sweeper => 120,
        })
    }
}

impl Caller {
    #[must_use]
    pub fn function(&self) -> Function {
        match self {
            Self::Bus(event) => match **event {
                Event::JobQueued(_) | Event::LaunchDue(_) | Event::QueueDue(_) => Function::Launch,
                Event::JobInProgress(_) | Event::JobCompleted(_) | Event::RunCompleted(_) | Event::CostDue(_) => {
                    Function::JobEvents
                }
                Event::CheckRunDue(_) | Event::CommentDue(_) | Event::CapDue(_) => Function::Reporter,
            },
            Self::Schedule(_) => Function::Sweeper,
            Self::Ec2(..) => Function::Interruption,
            Self::Agent(..) => Function::Checkin,
            Self::GitHub(_) => Function::Webhook,
        }
    }

    fn subject(&self) -> String {
        match self {
            Self::Bus(event) => match &**event {
                Event::JobQueued(job) | Event::JobInProgress(job) | Event::JobCompleted(job) => {
                    format!("{} {}", event.kind(), job.key())
                }
                Event::LaunchDue(due) => format!("{} {}", event.kind(), due.key),
                Event::QueueDue(due) => format!("{} {}", event.kind(), due.queue),
                Event::CheckRunDue(due) => format!("{} {}", event.kind(), due.key),
                Event::CommentDue(due) => format!("{} {}#{}", event.kind(), due.repository, due.pull),
                Event::CostDue(due) => format!("{} {}", event.kind(), due.runner),
                Event::CapDue(due) => format!("{} {}", event.kind(), due.budget),
                Event::RunCompleted(run) => format!("{} {}/{}", event.kind(), run.run, run.attempt),
            },
            Self::Schedule(task) => format!("{task:?}"),
            Self::Ec2(instance, word, _) => format!("{word:?} {instance}"),
            Self::Agent(instance, what) => format!("{} {instance}", what.verb()),
            Self::GitHub(delivery) => format!("delivery {delivery}"),
        }
    }
}

/// The running calls.
#[derive(Default)]
pub struct Lambda {
    calls: BTreeMap<u64, Call>,
    last: u64,
}

struct Call {
    task: TaskId,
    caller: Caller,
    tries: u32,
    /// Whether it is about an instance that was known at its start.
    of_ours: bool,
}

/// How a call ended.
pub enum Fate {
    Answered(u16, String),
    Done,
    Failed(String),
    Died(&'static str),
}

/// The waits before an event is delivered to a function again.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>
const RETRIES: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];

/// A call that dies after an effect makes fewer than so many before.
const MOST_EFFECTS_BEFORE_DEATH: u64 = 16;

impl Sim {
    /// Calls a function, unless too many run.
    pub fn call(self: &Rc<Self>, caller: Caller, tries: u32) {
        let number = {
            let mut lambda = self.lambda.borrow_mut();
            lambda.last += 1;
            lambda.last
        };
        let function = caller.function();
        let subject = caller.subject();
        let mut dice = self.dice("call", &format!("{subject} {number}"));
        if self.hit(Outage::LambdaThrottle, &mut dice) {
            self.note("throttled", &subject, String::new);
            self.throttled(caller, tries, dice.seconds(20, 120));
            return;
        }
        self.tally.borrow_mut().call(function, self.elapsed() > self.over_by());
        self.note("call", &subject, || format!("[{number}]"));
        if self.hit(Outage::LambdaKill, &mut dice) {
            let after = dice.millis(0, 1500);
            self.engine.plan(after, Happening::Kill(number, "killed"));
        }
        self.engine.plan(function.limit(), Happening::Kill(number, "timed out"));
        let of_ours = self.is_of_ours(&caller);
        let dies_after = self
            .hit(Outage::LambdaDies, &mut dice)
            .then(|| dice.number(1, MOST_EFFECTS_BEFORE_DEATH));
        let ports = Ports::new(Rc::clone(self), dice, number, dies_after);
        let handler = handle(Rc::clone(self), caller.clone(), ports);
        let sim = Rc::clone(self);
        let task = self.engine.start(async move {
            let fate = Box::pin(handler).await;
            sim.ends(number, fate);
        });
        self.lambda.borrow_mut().calls.insert(
            number,
            Call {
                task,
                caller,
                tries,
                of_ours,
            },
        );
    }

    /// Kills a call at any point.
    pub fn kill(self: &Rc<Self>, number: u64, why: &'static str) {
        let Some(task) = self.lambda.borrow().calls.get(&number).map(|call| call.task) else {
            return;
        };
        self.engine.kill(task);
        self.tally.borrow_mut().killed();
        self.ends(number, Fate::Died(why));
    }

    fn ends(self: &Rc<Self>, number: u64, fate: Fate) {
        let Some(Call {
            caller, tries, of_ours, ..
        }) = self.lambda.borrow_mut().calls.remove(&number)
        else {
            return;
        };
        match &fate {
            Fate::Failed(error) => self.note("failed", &caller.subject(), || format!("[{number}] {error}")),
            Fate::Died(why) => self.note("died", &caller.subject(), || format!("[{number}] {why}")),
            Fate::Answered(status, body) => {
                self.note("answered", &caller.subject(), || format!("[{number}] {status} {body}"));
            }
            Fate::Done => self.note("done", &caller.subject(), || format!("[{number}]")),
        }
        let well = matches!(fate, Fate::Done | Fate::Answered(200..300, _));
        match caller {
            Caller::Agent(instance, what) => match fate {
                Fate::Answered(status, body) => self.agent_is_answered(&instance, what, status, &body),
                Fate::Done | Fate::Failed(_) | Fate::Died(_) => self.agent_is_answered(&instance, what, 502, ""),
            },
            Caller::GitHub(delivery) => self.delivery_ended(delivery, well),
            // Neither is retried: the next one comes soon.
            Caller::Schedule(_) => {}
            caller if well => self.heard(&caller, of_ours),
            caller => {
                if let Some(wait) = RETRIES.get(tries as usize) {
                    self.engine.plan(*wait, Happening::Call(caller, tries + 1));
                } else {
                    self.note("dead letter", &caller.subject(), String::new);
                    self.tally.borrow_mut().dead_letters += 1;
                }
            }
        }
    }

    /// Records an event that reached its function.
    fn heard(&self, caller: &Caller, of_ours: bool) {
        match caller {
            Caller::Bus(event) => {
                if let Event::JobCompleted(job) = &**event {
                    self.promises.borrow_mut().end_settled(job.key(), self.now());
                }
            }
            Caller::Ec2(instance, word, _) if of_ours => self.word_heard(instance, *word),
            _ => {}
        }
    }

    fn throttled(self: &Rc<Self>, caller: Caller, tries: u32, wait: Duration) {
        match caller {
            Caller::Agent(instance, what) => self.agent_is_answered(&instance, what, 429, ""),
            Caller::GitHub(delivery) => self.delivery_ended(delivery, false),
            Caller::Schedule(_) => {}
            caller => self.engine.plan(wait, Happening::Call(caller, tries)),
        }
    }
}

async fn handle(sim: Rc<Sim>, caller: Caller, ports: Ports) -> Fate {
    let now = sim.now();
    let deadlines = sim.deadlines.clone();
    match (caller.function(), caller) {
        (Function::Launch, Caller::Bus(event)) => {
            let function = dayfly_launch::Function {
                ports: dayfly_launch::LaunchPortSet {
                    shared: shared(&ports),
                    schedule: ports.clone(),
                    parameters: ports.clone(),
                    clock: ports.clone(),
                    quotas: ports,
                },
                region: Region::new("eu-west-1"),
                images: dayfly_launch::ImageCache::default(),
                zones: dayfly_launch::ZoneCache::default(),
                prices: PriceCache::new(Region::new("eu-west-1")),
                subnets: ["subnet-a", "subnet-b", "subnet-c"].map(SubnetId::new).to_vec(),
                deadlines,
                policies: Policies::new(sim.plan.policy(Duration::ZERO).map(|_| POLICY_PARAMETER.to_owned())),
            };
            done(Box::pin(function.handle(*event, now)).await)
        }
        (Function::Reporter, Caller::Bus(event)) => {
            let function = dayfly_reporter::Function {
                store: ports.clone(),
                github: ports.clone(),
                clock: ports.clone(),
                alerts: ports,
                stack: "dayfly".to_owned(),
                web_url: "https://github.com".to_owned(),
                logs: dayfly_report::check_run::LogLinks {
                    region: "eu-west-1".to_owned(),
                    stack: "dayfly".to_owned(),
                },
                deadlines,
            };
            done(Box::pin(function.handle(*event, now)).await)
        }
        (_, Caller::Bus(event)) => {
            let function = dayfly_job_events::Function {
                ports: shared(&ports),
                prices: PriceCache::new(Region::new("eu-west-1")),
                deadlines,
            };
            done(Box::pin(function.handle(*event, now)).await)
        }
        (_, Caller::Schedule(task)) => {
            let function = dayfly_sweeper::Function {
                ports: shared(&ports),
                schedule: ports,
                prices: PriceCache::new(Region::new("eu-west-1")),
                deadlines,
            };
            done(Box::pin(function.handle(task, now)).await)
        }
        (_, Caller::Ec2(instance, word, at)) => {
            let function = dayfly_interruption::Function {
                store: ports.clone(),
                bus: ports,
                deadlines,
            };
            let event = Ec2Event {
                instance,
                word: Some(word),
                at: Some(at),
            };
            done(function.handle(&event, now).await)
        }
        (_, Caller::Agent(instance, what)) => {
            let function = dayfly_checkin::Function {
                store: ports.clone(),
                github: ports.clone(),
                bus: ports.clone(),
                parameters: ports,
                policies: Policies::new(None),
                deadlines,
            };
            let request = signed(&instance, &what);
            http(function.handle(request, now).await)
        }
        (_, Caller::GitHub(delivery)) => {
            let request = sim.webhook_request(delivery);
            let name = crate::ports::WEBHOOK_SECRET_PARAMETER.to_owned();
            let function = dayfly_webhook::Function::new(ports.clone(), ports.clone(), ports, name);
            http(function.handle(request, now).await)
        }
    }
}

/// The ports that several functions share.
fn shared(ports: &Ports) -> PortSet<Ports, Ports, Ports, Ports> {
    PortSet {
        store: ports.clone(),
        github: ports.clone(),
        fleet: ports.clone(),
        bus: ports.clone(),
    }
}

fn done<T, E: std::fmt::Display>(result: Result<T, E>) -> Fate {
    match result {
        Ok(_) => Fate::Done,
        Err(error) => Fate::Failed(error.to_string()),
    }
}

fn http(response: LambdaFunctionUrlResponse) -> Fate {
    let status = u16::try_from(response.status_code).unwrap_or(500);
    Fate::Answered(status, response.body.unwrap_or_default())
}

/// Returns a call as the Function URL passes it on after checking the signature.
fn signed(instance: &InstanceId, what: &CheckIn) -> LambdaFunctionUrlRequest {
    let mut iam = LambdaFunctionUrlRequestContextAuthorizerIamDescription::default();
    iam.user_id = Some(format!("AROAEXAMPLE:{instance}"));
    let mut authorizer = LambdaFunctionUrlRequestContextAuthorizerDescription::default();
    authorizer.iam = Some(iam);
    let mut request = LambdaFunctionUrlRequest::default();
    request.request_context.authorizer = Some(authorizer);
    request.raw_path = Some(format!("/{}", what.verb()));
    request.body = Some(what.body(instance));
    request
}
