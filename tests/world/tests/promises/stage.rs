//! All functions on one world, with a clock that the test holds.

use std::cell::Cell;
use std::time::Duration;

use aws_lambda_events::lambda_function_urls::{
    LambdaFunctionUrlRequest, LambdaFunctionUrlRequestContextAuthorizerDescription,
    LambdaFunctionUrlRequestContextAuthorizerIamDescription, LambdaFunctionUrlResponse,
};
use dayfly_config::labels::Label;
use dayfly_engine::interruption::Word;
use dayfly_flows::{Policies, PriceCache};
use dayfly_interruption::Ec2Event;
use dayfly_metrics::Metered;
use dayfly_records::event::{Conclusion, Event, JobEvent, RunEvent};
use dayfly_records::{JobState, Record, RunSum, Runner, Wish};
use dayfly_runtime::span;
use dayfly_sweeper::Task;
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::{DeliveryId, InstallationId, InstanceId, JobId, Region, RunAttempt, RunId, RunnerId, SubnetId};
use dayfly_types::time::Timestamp;
use dayfly_world::{Fate, World};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

/// The run of all jobs here.
pub const RUN: RunId = RunId(500);

/// A handler's call, so that it can be made again, or die at one of its own calls.
#[derive(Clone, Debug)]
pub enum Call {
    Launch(Event),
    JobEvents(Event),
    Report(Event),
    CountForPull(u64, Box<RunSum>, Wish),
    Sweep,
    Patrol,
    Ec2(InstanceId, Word),
    CheckIn(InstanceId, &'static str, serde_json::Value),
}

/// Where the stack policy lies.
pub const POLICY: &str = "/dayfly/policy";

/// What each line that a call logs carries, as the functions' processes have it.
fn span_of(call: &Call) -> Span {
    match call {
        Call::Launch(event) | Call::JobEvents(event) | Call::Report(event) => span::of_event(event, "request"),
        Call::CountForPull(pull, ..) => tracing::info_span!("pull", pull),
        Call::Sweep | Call::Patrol => tracing::info_span!("sweeper"),
        Call::Ec2(instance, _) => tracing::info_span!("event", %instance),
        Call::CheckIn(..) => tracing::info_span!("checkin", instance = Empty, runner = Empty),
    }
}

/// What a call came to.
#[derive(Debug)]
pub enum Answer {
    Done,
    Failed(String),
    Http(i64, serde_json::Value),
}

pub struct Stage {
    pub world: World,
    now: Cell<Timestamp>,
    invocations: Cell<usize>,
}

impl Stage {
    pub fn new() -> Self {
        let world = World::new();
        world.set_parameter(
            "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id",
            "ami-0123456789abcdef0",
        );
        world.set_parameter(
            "/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id",
            "ami-0aaaaaaaaaaaaaaaa",
        );
        let stage = Self {
            world,
            now: Cell::new(Timestamp::from_seconds(1_800_000_000)),
            invocations: Cell::default(),
        };
        stage.world.cloud().set_time(stage.now());
        stage
    }

    pub fn now(&self) -> Timestamp {
        self.now.get()
    }

    pub fn wait(&self, span: Duration) {
        self.now.set(self.now().after(span));
        self.world.cloud().set_time(self.now());
    }

    fn deadlines() -> Deadlines {
        Deadlines::default()
    }

    /// Of a process that has just begun: only the table remembers.
    fn prices() -> PriceCache {
        PriceCache::new(Region::new("eu-west-1"))
    }

    /// Makes a call to its end.
    pub fn make(&self, call: Call) -> Answer {
        let span = span_of(&call);
        let answer = self.world.run(self.future(call).instrument(span));
        if let Answer::Failed(error) = &answer {
            panic!("{error}");
        }
        answer
    }

    /// Makes a call, and lets it fail.
    pub fn make_whatever(&self, call: Call) -> Answer {
        let span = span_of(&call);
        self.world.run(self.future(call).instrument(span))
    }

    /// Makes several calls at once, in the order that `pick` gives to their steps.
    pub fn make_at_once(&self, calls: Vec<Call>, pick: impl FnMut(usize) -> usize, each: impl Fn()) {
        let handlers = calls.into_iter().map(|call| self.future(call)).collect();
        for answer in self.world.run_at_once(handlers, pick, each) {
            if let Answer::Failed(error) = answer {
                panic!("{error}");
            }
        }
    }

    /// Makes a call that dies instead of its own call number `fatal`. Answers whether it died.
    pub fn make_and_die(&self, call: Call, fatal: u32) -> bool {
        matches!(self.world.run_until_call(Some(fatal), self.future(call)), Fate::Died)
    }

    /// How many functions were invoked so far.
    pub fn invocations(&self) -> usize {
        self.invocations.get()
    }

    async fn future(&self, call: Call) -> Answer {
        self.invocations.set(self.invocations.get() + 1);
        let now = self.now();
        match call {
            Call::Launch(event) => done(Box::pin(self.launch().handle(event, now)).await),
            Call::JobEvents(event) => done(Box::pin(self.job_events().handle(event, now)).await),
            Call::Report(event) => done(self.reporter().handle(event, now).await),
            Call::CountForPull(pull, sum, wish) => {
                let repository = "octo/gpu".parse().unwrap();
                done(self.reporter().add_to_pull(&repository, pull, wish, *sum, now).await)
            }
            Call::Sweep => self.scheduled(Task::Sweep).await,
            Call::Patrol => self.scheduled(Task::Patrol).await,
            Call::Ec2(instance, word) => done(
                self.interruption()
                    .handle(
                        &Ec2Event {
                            instance,
                            word: Some(word),
                            at: Some(now),
                        },
                        now,
                    )
                    .await,
            ),
            Call::CheckIn(instance, verb, body) => {
                http(self.checkin().handle(signed(&instance, verb, &body), now).await)
            }
        }
    }

    fn launch(
        &self,
    ) -> dayfly_launch::Function<Metered<World, World>, World, World, World, World, World, World, World> {
        dayfly_launch::Function {
            store: Metered::new(self.world.clone(), self.world.clone()),
            github: self.world.clone(),
            fleet: self.world.clone(),
            bus: self.world.clone(),
            schedule: self.world.clone(),
            parameters: self.world.clone(),
            clock: self.world.clone(),
            quotas: self.world.clone(),
            region: Region::new("eu-west-1"),
            images: dayfly_launch::ImageCache::default(),
            zones: dayfly_launch::ZoneCache::default(),
            prices: Self::prices(),
            subnets: vec![SubnetId::new("subnet-1")],
            deadlines: Self::deadlines(),
            policies: Policies::new(Some(POLICY.to_owned())),
        }
    }

    fn job_events(&self) -> dayfly_job_events::Function<Metered<World, World>, World, World, World> {
        dayfly_job_events::Function {
            store: Metered::new(self.world.clone(), self.world.clone()),
            github: self.world.clone(),
            fleet: self.world.clone(),
            bus: self.world.clone(),
            prices: Self::prices(),
            deadlines: Self::deadlines(),
        }
    }

    fn reporter(&self) -> dayfly_reporter::Function<World, World, World, World> {
        dayfly_reporter::Function {
            store: self.world.clone(),
            github: self.world.clone(),
            clock: self.world.clone(),
            alerts: self.world.clone(),
            stack: "dayfly".to_owned(),
            web_url: "https://github.com".to_owned(),
            logs: dayfly_report::check_run::Logs {
                region: "eu-west-1".to_owned(),
                stack: "dayfly".to_owned(),
            },
            deadlines: Self::deadlines(),
        }
    }

    fn sweeper(&self) -> dayfly_sweeper::Function<Metered<World, World>, World, World, World, World> {
        dayfly_sweeper::Function {
            store: Metered::new(self.world.clone(), self.world.clone()),
            github: self.world.clone(),
            fleet: self.world.clone(),
            bus: self.world.clone(),
            schedule: self.world.clone(),
            prices: Self::prices(),
            deadlines: Self::deadlines(),
        }
    }

    /// What the sweeper does each time that a schedule calls it.
    async fn scheduled(&self, task: Task) -> Answer {
        let sweeper = self.sweeper();
        let swept = sweeper.handle(task, self.now()).await;
        if let Ok(swept) = &swept {
            sweeper.tell_runners(task, *swept).await;
        }
        done(swept)
    }

    fn interruption(&self) -> dayfly_interruption::Function<Metered<World, World>, World> {
        dayfly_interruption::Function {
            store: Metered::new(self.world.clone(), self.world.clone()),
            bus: self.world.clone(),
            deadlines: Self::deadlines(),
        }
    }

    fn checkin(&self) -> dayfly_checkin::Function<Metered<World, World>, World, World, World> {
        dayfly_checkin::Function {
            store: Metered::new(self.world.clone(), self.world.clone()),
            github: self.world.clone(),
            bus: self.world.clone(),
            parameters: self.world.clone(),
            policies: Policies::new(Some(POLICY.to_owned())),
            deadlines: Self::deadlines(),
        }
    }

    /// Hands every event on the bus to the function that its rule names.
    pub fn deliver(&self) {
        while let Some(event) = self.world.next_event() {
            let call = match event {
                Event::JobQueued(_) | Event::LaunchDue(_) | Event::QueueDue(_) => Call::Launch(event),
                Event::JobInProgress(_) | Event::JobCompleted(_) | Event::RunCompleted(_) | Event::CostDue(_) => {
                    Call::JobEvents(event)
                }
                Event::CheckRunDue(_) | Event::CommentDue(_) | Event::CapDue(_) => Call::Report(event),
            };
            self.make(call);
        }
    }

    /// A minute passes, and with it a sweep if the schedule is on.
    pub fn minute(&self) {
        self.wait(Duration::from_mins(1));
        if self.world.schedule_is_on() {
            self.make(Call::Sweep);
            self.deliver();
        }
    }

    pub fn minutes(&self, count: u32) {
        for _ in 0..count {
            self.minute();
        }
    }

    /// What GitHub would tell of a job.
    pub fn job(&self, job: u64) -> JobEvent {
        let runner = self
            .world
            .hub()
            .jobs
            .get(&JobId(job))
            .and_then(|job| job.runner_name.clone());
        JobEvent {
            delivery: DeliveryId::new(format!("d-{job}")),
            received_at: self.now(),
            created_at: Some(self.now()),
            installation: InstallationId(7),
            repository: "octo/gpu".parse().unwrap(),
            job: JobId(job),
            run: RUN,
            attempt: RunAttempt(1),
            name: "test".into(),
            workflow: Some("ci".into()),
            actor: Some("alice".into()),
            head_sha: "abc".into(),
            labels: vec![Label::new("dayfly-gpu")],
            runner_name: runner,
            runner_id: None,
            conclusion: None,
        }
    }

    /// A job is queued, and GitHub tells of it.
    pub fn queue(&self, job: u64) {
        self.world.hub().queue(RUN, JobId(job));
        self.make(Call::Launch(Event::JobQueued(self.job(job))));
        self.deliver();
    }

    /// Where the table says that a job stands.
    pub fn job_state(&self, job: u64) -> Option<JobState> {
        self.world.table().records().find_map(|record| match record {
            Record::Job(found) if found.key.job == JobId(job) => Some(found.state.clone()),
            _ => None,
        })
    }

    /// An instance boots, claims, and its runner listens.
    pub fn boot(&self, instance: &InstanceId) -> RunnerId {
        let Answer::Http(200, answer) = self.claim(instance) else {
            panic!("the claim was not answered")
        };
        let name = answer["runner"].as_str().unwrap().to_owned();
        let hub = self.world.hub();
        *hub.runners
            .iter()
            .find(|(_, runner)| runner.name == name)
            .expect("the runner is registered")
            .0
    }

    pub fn claim(&self, instance: &InstanceId) -> Answer {
        self.make(Call::CheckIn(
            instance.clone(),
            "claim",
            serde_json::json!({ "instance": instance, "agent_version": "1" }),
        ))
    }

    pub fn heartbeat(&self, instance: &InstanceId, phase: &str) -> Answer {
        self.make(Call::CheckIn(
            instance.clone(),
            "heartbeat",
            serde_json::json!({ "instance": instance, "phase": phase }),
        ))
    }

    /// GitHub gives a job to a runner, and tells of it.
    pub fn start(&self, runner: RunnerId, job: u64) {
        self.world.hub().assign(runner, JobId(job));
        self.make(Call::JobEvents(Event::JobInProgress(self.job(job))));
        self.deliver();
    }

    /// A job ends, and GitHub tells of it.
    pub fn complete(&self, job: u64, conclusion: Conclusion) {
        self.make(Call::JobEvents(self.completed(job, conclusion)));
        self.deliver();
    }

    /// What GitHub would tell of a job's end, once it has ended.
    pub fn completed(&self, job: u64, conclusion: Conclusion) -> Event {
        self.world.hub().complete(JobId(job), conclusion);
        Event::JobCompleted(JobEvent {
            conclusion: Some(conclusion),
            ..self.job(job)
        })
    }

    /// What GitHub would tell of the run's end.
    pub fn run_completed(&self) -> Event {
        Event::RunCompleted(RunEvent {
            delivery: DeliveryId::new("d-run"),
            received_at: self.now(),
            installation: InstallationId(7),
            repository: "octo/gpu".parse().unwrap(),
            run: RUN,
            attempt: RunAttempt(1),
            conclusion: Some(Conclusion::Failure),
        })
    }

    /// The instances that live.
    pub fn instances(&self) -> Vec<InstanceId> {
        self.world.cloud().living().map(|view| view.instance.clone()).collect()
    }

    /// The one instance that lives.
    pub fn instance(&self) -> InstanceId {
        let mut instances = self.instances();
        assert_eq!(instances.len(), 1, "{instances:?}");
        instances.remove(0)
    }

    pub fn runners(&self) -> Vec<Runner> {
        let table = self.world.table();
        table
            .records()
            .filter_map(|record| Runner::try_from(record.clone()).ok())
            .collect()
    }

    /// What is left. Nothing, once everything is over.
    pub fn left(&self) -> Vec<String> {
        let mut left: Vec<String> = self.instances().iter().map(ToString::to_string).collect();
        left.extend(
            self.world
                .hub()
                .runners
                .values()
                .map(|runner| format!("registered: {}", runner.name)),
        );
        left.extend(
            self.world
                .table()
                .live()
                .map(|record| format!("live: {}", Record::id(record))),
        );
        if self.world.schedule_is_on() {
            left.push("the minute schedule".to_owned());
        }
        left
    }
}

fn done<T, E: std::fmt::Display>(result: Result<T, E>) -> Answer {
    result.map_or_else(|error| Answer::Failed(error.to_string()), |_| Answer::Done)
}

fn http(response: LambdaFunctionUrlResponse) -> Answer {
    let body = serde_json::from_str(&response.body.unwrap_or_default()).unwrap_or_default();
    Answer::Http(response.status_code, body)
}

/// A call as the Function URL hands it on, once it has checked the signature.
pub fn signed(instance: &InstanceId, verb: &str, body: &serde_json::Value) -> LambdaFunctionUrlRequest {
    let mut iam = LambdaFunctionUrlRequestContextAuthorizerIamDescription::default();
    iam.user_id = Some(format!("AROAEXAMPLE:{instance}"));
    let mut authorizer = LambdaFunctionUrlRequestContextAuthorizerDescription::default();
    authorizer.iam = Some(iam);
    let mut request = LambdaFunctionUrlRequest::default();
    request.request_context.authorizer = Some(authorizer);
    request.raw_path = Some(format!("/{verb}"));
    request.body = Some(body.to_string());
    request
}

/// The same numbers for the same seed, everywhere.
pub fn dice(seed: u64) -> impl FnMut(usize) -> usize {
    let state = Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    move |below| {
        let next = state.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.set(next);
        usize::try_from(next >> 33).unwrap() % below
    }
}
