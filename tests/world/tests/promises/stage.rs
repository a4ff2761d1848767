//! All functions in one world, with a clock that the test controls.

use std::cell::Cell;
use std::time::Duration;

use aws_lambda_events::lambda_function_urls::{
    LambdaFunctionUrlRequest, LambdaFunctionUrlRequestContextAuthorizerDescription,
    LambdaFunctionUrlRequestContextAuthorizerIamDescription, LambdaFunctionUrlResponse,
};
use dayfly_config::labels::Label;
use dayfly_engine::runner::interruption::Ec2Signal;
use dayfly_flows::{Policies, PriceCache};
use dayfly_interruption::Ec2Event;
use dayfly_metrics::Metered;
use dayfly_ports::PortSet;
use dayfly_records::event::{Conclusion, Event, JobEvent, RunEvent};
use dayfly_records::{CommentSettings, JobState, Record, RunSum, Runner};
use dayfly_runtime::span;
use dayfly_sweeper::Task;
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::{
    DeliveryId, InstallationId, InstanceId, JobId, Region, RunAttempt, RunId, RunnerId, RunnerName, SubnetId,
};
use dayfly_types::time::Timestamp;
use dayfly_world::{Fate, World};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

/// The run of all jobs here.
pub const RUN: RunId = RunId(500);

/// A handler's call, which can be repeated, or die at one of its own calls.
#[derive(Clone, Debug)]
pub enum Call {
    Launch(Event),
    JobEvents(Event),
    Report(Event),
    CountForPull(u64, Box<RunSum>, CommentSettings),
    Sweep,
    Patrol,
    Ec2(InstanceId, Ec2Signal),
    CheckIn(InstanceId, &'static str, serde_json::Value),
}

/// The SSM parameter with the stack policy.
pub const POLICY: &str = "/dayfly/policy";

/// Returns the span of a call's log lines, as in the functions' processes.
fn span_of(call: &Call) -> Span {
    match call {
        Call::Launch(event) | Call::JobEvents(event) | Call::Report(event) => span::of_event(event, "request"),
        Call::CountForPull(pull, ..) => tracing::info_span!("pull", pull),
        Call::Sweep | Call::Patrol => tracing::info_span!("sweeper"),
        Call::Ec2(instance, _) => tracing::info_span!("event", %instance),
        Call::CheckIn(..) => tracing::info_span!("checkin", instance = Empty, runner = Empty),
    }
}

type SharedPorts = PortSet<Metered<World, World>, World, World, World>;
type LaunchPorts = dayfly_launch::LaunchPortSet<SharedPorts, World, World, World, World>;

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

    /// Empty as in a new process: only the table remembers.
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

    /// Makes a call that may fail.
    pub fn make_fallible(&self, call: Call) -> Answer {
        let span = span_of(&call);
        self.world.run(self.future(call).instrument(span))
    }

    /// Makes several calls at once, with their steps in the order that `pick` gives.
    pub fn make_interleaved(&self, calls: Vec<Call>, pick: impl FnMut(usize) -> usize, each: impl Fn()) {
        let handlers = calls.into_iter().map(|call| self.future(call)).collect();
        for answer in self.world.run_interleaved(handlers, pick, each) {
            if let Answer::Failed(error) = answer {
                panic!("{error}");
            }
        }
    }

    /// Makes a call that dies instead of its own call number `fatal`. Returns whether it died.
    pub fn make_and_die(&self, call: Call, fatal: u32) -> bool {
        matches!(self.world.run_until_call(Some(fatal), self.future(call)), Fate::Died)
    }

    /// Returns the number of invocations so far.
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
            Call::CountForPull(pull, sum, settings) => {
                let repository = "octo/gpu".parse().unwrap();
                done(
                    self.reporter()
                        .add_to_pull(&repository, pull, settings, *sum, now)
                        .await,
                )
            }
            Call::Sweep => Box::pin(self.scheduled(Task::Sweep)).await,
            Call::Patrol => Box::pin(self.scheduled(Task::Patrol)).await,
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

    fn shared_ports(&self) -> SharedPorts {
        PortSet {
            store: Metered::new(self.world.clone(), self.world.clone()),
            github: self.world.clone(),
            fleet: self.world.clone(),
            bus: self.world.clone(),
        }
    }

    fn launch(&self) -> dayfly_launch::Function<LaunchPorts> {
        dayfly_launch::Function {
            ports: dayfly_launch::LaunchPortSet {
                shared: self.shared_ports(),
                schedule: self.world.clone(),
                parameters: self.world.clone(),
                clock: self.world.clone(),
                quotas: self.world.clone(),
            },
            region: Region::new("eu-west-1"),
            images: dayfly_launch::ImageCache::default(),
            zones: dayfly_launch::ZoneCache::default(),
            prices: Self::prices(),
            subnets: vec![SubnetId::new("subnet-1")],
            deadlines: Self::deadlines(),
            policies: Policies::new(Some(POLICY.to_owned())),
        }
    }

    fn job_events(&self) -> dayfly_job_events::Function<SharedPorts> {
        dayfly_job_events::Function {
            ports: self.shared_ports(),
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
            logs: dayfly_report::check_run::LogLinks {
                region: "eu-west-1".to_owned(),
                stack: "dayfly".to_owned(),
            },
            deadlines: Self::deadlines(),
        }
    }

    fn sweeper(&self) -> dayfly_sweeper::Function<SharedPorts, World> {
        dayfly_sweeper::Function {
            ports: self.shared_ports(),
            schedule: self.world.clone(),
            prices: Self::prices(),
            deadlines: Self::deadlines(),
        }
    }

    /// What the sweeper does when a schedule calls it.
    async fn scheduled(&self, task: Task) -> Answer {
        let sweeper = self.sweeper();
        let swept = sweeper.handle(task, self.now()).await;
        if let Ok(swept) = &swept {
            sweeper.publish_runner_count(task, *swept).await;
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

    /// Passes every event on the bus to the function that its rule names.
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

    /// Lets a minute pass, with a sweep if the schedule is on.
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

    /// Returns GitHub's webhook data of a job.
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

    /// Queues a job, which GitHub reports.
    pub fn queue(&self, job: u64) {
        self.world.hub().queue(RUN, JobId(job));
        self.make(Call::Launch(Event::JobQueued(self.job(job))));
        self.deliver();
    }

    /// Returns the state of a job in the table.
    pub fn job_state(&self, job: u64) -> Option<JobState> {
        self.world.table().records().find_map(|record| match record {
            Record::Job(found) if found.key.job == JobId(job) => Some(found.state.clone()),
            _ => None,
        })
    }

    /// Boots an instance, which claims and listens.
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

    /// Assigns a job to a runner, which GitHub reports.
    pub fn start(&self, runner: RunnerId, job: u64) {
        self.ask_to_start(runner, job);
        self.world.hub().assign(runner, JobId(job));
        self.make(Call::JobEvents(Event::JobInProgress(self.job(job))));
        self.deliver();
    }

    /// The agent of a runner's instance asks if the job may start, as it does before each job.
    fn ask_to_start(&self, runner: RunnerId, job: u64) {
        let name = self.world.hub().runners.get(&runner).map(|one| one.name.clone());
        let name = name.unwrap_or_default();
        let mut instances = self
            .world
            .cloud()
            .living()
            .map(|view| view.instance.clone())
            .collect::<Vec<_>>();
        instances.retain(|instance| RunnerName::is_registered_from(&name, instance));
        if let Some(instance) = instances.pop() {
            let job = self.job(job);
            let body = serde_json::json!({ "instance": instance, "run": job.run, "attempt": job.attempt });
            self.make(Call::CheckIn(instance, "start", body));
        }
    }

    /// Ends a job, which GitHub reports.
    pub fn complete(&self, job: u64, conclusion: Conclusion) {
        self.make(Call::JobEvents(self.completed(job, conclusion)));
        self.deliver();
    }

    /// Ends a job and returns GitHub's event of it.
    pub fn completed(&self, job: u64, conclusion: Conclusion) -> Event {
        self.world.hub().complete(JobId(job), conclusion);
        Event::JobCompleted(JobEvent {
            conclusion: Some(conclusion),
            ..self.job(job)
        })
    }

    /// Returns GitHub's event of the run's end.
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

    /// Returns the living instances.
    pub fn instances(&self) -> Vec<InstanceId> {
        self.world.cloud().living().map(|view| view.instance.clone()).collect()
    }

    /// Returns the only living instance.
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

    /// Returns what is left, which is nothing once everything is over.
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

/// Returns a call as the Function URL passes it on after checking the signature.
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

/// Returns the same numbers for the same seed, everywhere.
pub fn dice(seed: u64) -> impl FnMut(usize) -> usize {
    let state = Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    move |below| {
        let next = state.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.set(next);
        usize::try_from(next >> 33).unwrap() % below
    }
}
