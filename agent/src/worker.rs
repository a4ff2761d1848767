//! The shell around [`machine`](crate::machine): it has the clock, the network and the processes, and makes no
//! decisions.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dayfly_types::checkin::{
    ClaimAnswer, ClaimRequest, GoodbyeReason, GoodbyeRequest, HeartbeatRequest, JobMessage, OrderAnswer,
    ProgressRequest, Stage, StartAnswer, StartRequest,
};
use dayfly_types::ids::{InstanceId, RunAttempt, RunId};
use dayfly_types::time::Timestamp;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::checkin::{Checkin, CheckinError};
use crate::imds::{Imds, ImdsError};
use crate::interruption::{self, InterruptionDetails};
use crate::machine::{Action, Event, JitConfig, State, decide};
use crate::notice;
use crate::runner::Runner;
use crate::script::Script;
use crate::settings::Settings;
use crate::{hooks, log, poweroff, startup};

/// The worker's name in the list of processes.
pub const WORKER: &CStr = c"dayfly-worker";
/// How long a heartbeat is retried before the next one replaces it.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(15);
/// How long a report is retried. A late one still has the time at which the stage was reached.
const REPORT_PATIENCE: Duration = Duration::from_secs(60);
/// How long permission to start a job is asked for. Meanwhile the job waits on a machine that is billed.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How long a goodbye is retried.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(15);
/// How long a goodbye waits for the reports and heartbeats before it.
const REPORTS_PATIENCE: Duration = Duration::from_secs(3);
/// Pause between tries to reach IMDS at the start.
const IMDS_PAUSE: Duration = Duration::from_secs(1);
/// A shorter interval in a claim's answer is a mistake.
const MIN_HEARTBEAT: Duration = Duration::from_secs(1);

/// The log of a job for which the control plane does not answer in time.
const UNANSWERED: &str = "\
Dayfly did not answer in time whether this job may run on this machine. Nothing is wrong with the job: it is run again.
The machine was launched for another run's job with the same labels. No step of this job has run.";

/// Does the agent's work. `supervisor` is the process id of the parent, which powers off afterwards.
#[must_use]
pub fn work(settings: Settings, supervisor: &str) -> ExitCode {
    abort_on_panic();
    // Otherwise its name in a process list would be that of `/proc/self/exe`.
    if let Err(error) = prctl::set_name(WORKER) {
        log::warn("no_process_name", error.desc(), &[]);
    }
    if let Err(error) = prctl::set_pdeathsig(Signal::SIGTERM) {
        log::warn("no_parent_death_signal", error.desc(), &[]);
    }
    let done = block_on(run(settings));
    if getppid().to_string() != supervisor {
        log::error("supervisor_lost", "powering off in its place", &[]);
        poweroff::power_off();
    }
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error("agent_failed", &error, &[]);
            ExitCode::FAILURE
        }
    }
}

/// Says goodbye for a worker that ended because of `why`.
#[must_use]
pub fn goodbye_for_lost_worker(settings: &Settings, why: &str) -> ExitCode {
    let result = block_on(async {
        let (checkin, instance) = connect(settings).await.map_err(|error| error.to_string())?;
        let reason = GoodbyeReason::RunnerFailed;
        let detail = Some(format!("the agent ended: {why}"));
        let body = GoodbyeRequest {
            instance,
            reason,
            detail,
        };
        let answer = checkin.post::<OrderAnswer>("goodbye", &body, GOODBYE_PATIENCE).await;
        answer.map_err(|error| error.to_string())
    });
    match result {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            log::warn("goodbye_failed", &error, &[]);
            ExitCode::FAILURE
        }
    }
}

/// Makes a panic in any task end the worker, so that the supervisor sees it. Otherwise the other tasks would wait
/// for one that is gone.
fn abort_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        log::error("panic", &panic.to_string(), &[]);
        std::process::abort();
    }));
}

fn block_on<T>(future: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?
        .block_on(future)
}

async fn connect(settings: &Settings) -> Result<(Checkin, InstanceId), ImdsError> {
    let imds = Imds::new(settings.imds_endpoint.clone());
    let instance = imds.instance_id().await?;
    log::set_instance(&instance);
    let region = match &settings.region {
        Some(region) => region.clone(),
        None => imds.region().await?,
    };
    Ok((
        Checkin::new(settings.checkin_url.clone(), region, imds),
        InstanceId::new(instance),
    ))
}

/// Connects once IMDS answers. It may come up later than the agent.
async fn connect_patiently(settings: &Settings) -> Result<(Checkin, InstanceId), String> {
    let start = Instant::now();
    loop {
        match connect(settings).await {
            Ok(connected) => return Ok(connected),
            Err(error) if start.elapsed() > settings.unreachable => return Err(error.to_string()),
            Err(error) => log::warn("imds_unreachable", &error.to_string(), &[]),
        }
        tokio::time::sleep(IMDS_PAUSE).await;
    }
}

async fn run(settings: Settings) -> Result<(), String> {
    let start = Instant::now();
    let signals = |kind| signal(kind).map_err(|error| format!("no signal handler: {error}"));
    let mut terminate = signals(SignalKind::terminate())?;
    let mut interrupt = signals(SignalKind::interrupt())?;
    let (checkin, instance) = tokio::select! {
        connected = connect_patiently(&settings) => connected?,
        _ = terminate.recv() => return Err("asked to end before it began".to_owned()),
    };
    let (events, mut inbox) = unbounded_channel();
    let mut state = State::new(settings.max_lifetime, settings.unreachable);
    let mut shell = Shell {
        settings,
        instance,
        checkin: Arc::new(checkin),
        events,
        reports: JoinSet::new(),
        runner: None,
        claimed: Arc::default(),
        hook: None,
        startup: None,
    };
    log::info("agent_up", env!("CARGO_PKG_VERSION"), &[]);
    shell.report(Stage::AgentUp, None);
    shell.claim();
    shell.watch_spot();
    while let Some(deadline) = state.deadline() {
        let event = tokio::select! {
            // The channel does not close: the shell holds a sender.
            Some(event) = inbox.recv() => event,
            () = tokio::time::sleep_until(start + deadline) => Event::Tick,
            _ = terminate.recv() => Event::Shutdown,
            _ = interrupt.recv() => Event::Shutdown,
        };
        if event != Event::Tick {
            log::info("event", &format!("{event:?}"), &[]);
        }
        for action in decide(&mut state, event, start.elapsed()) {
            log::info("action", &format!("{action:?}"), &[]);
            shell.act(action);
        }
    }
    Ok(())
}

struct Shell {
    settings: Settings,
    instance: InstanceId,
    checkin: Arc<Checkin>,
    events: UnboundedSender<Event>,
    reports: JoinSet<()>,
    runner: Option<Runner>,
    claimed: Arc<OnceLock<Claimed>>,
    hook: Option<Script>,
    startup: Option<Script>,
}

/// The part of a claim's answer that the machine does not need.
struct Claimed {
    runner: String,
    on_interruption: Option<String>,
    startup_script: Option<String>,
    env: BTreeMap<String, String>,
    message: Option<JobMessage>,
}

impl Shell {
    fn act(&mut self, action: Action) {
        match action {
            Action::RunStartup => self.run_startup(),
            Action::KillStartup => {
                if let Some(startup) = self.startup.take() {
                    startup.kill();
                }
            }
            Action::StartRunner(jit_config) => self.start_runner(jit_config),
            Action::RequestJobStart { run, attempt } => self.request_job_start(run, attempt),
            Action::RunHook { at, limit } => self.run_hook(at, limit),
            Action::KillHook => {
                if let Some(hook) = self.hook.take() {
                    hook.kill();
                }
            }
            Action::SignalRunner => {
                if let Some(runner) = &self.runner {
                    runner.interrupt();
                }
            }
            Action::KillRunner | Action::PowerOff => {
                if let Some(runner) = &self.runner {
                    runner.kill();
                }
            }
            Action::Heartbeat { phase, interruption } => {
                let body = HeartbeatRequest {
                    instance: self.instance.clone(),
                    phase,
                    interruption,
                };
                let (checkin, events) = (Arc::clone(&self.checkin), self.events.clone());
                // Drops those that are done.
                while self.reports.try_join_next().is_some() {}
                self.reports.spawn(async move {
                    let answer: Result<OrderAnswer, _> = checkin.post("heartbeat", &body, HEARTBEAT_PATIENCE).await;
                    emit(
                        &events,
                        match answer {
                            Ok(answer) => {
                                pass_on_notice(&events, answer);
                                Event::HeartbeatAnswered(answer.order)
                            }
                            Err(error) => {
                                log::warn("heartbeat_failed", &error.to_string(), &[]);
                                Event::HeartbeatFailed
                            }
                        },
                    );
                });
            }
            Action::Report { stage, detail } => self.report(stage, detail),
            Action::Goodbye { reason, detail } => self.goodbye(reason, detail),
        }
    }

    fn start_runner(&mut self, jit_config: JitConfig) {
        let claimed = self.claimed.get();
        let message = claimed.and_then(|claimed| claimed.message.as_ref());
        let none = BTreeMap::new();
        let env = claimed.map_or(&none, |claimed| &claimed.env);
        match Runner::start(&self.settings, jit_config, env, message, self.events.clone()) {
            Ok(runner) => {
                self.runner = Some(runner);
                emit(&self.events, Event::RunnerStarted);
            }
            Err(error) => emit(&self.events, Event::RunnerNotStarted(error.to_string())),
        }
    }

    fn run_startup(&mut self) {
        let started = match self.claimed.get() {
            Some(Claimed {
                startup_script: Some(text),
                env,
                ..
            }) => startup::start(&self.settings, text, env, self.events.clone()),
            _ => Err(std::io::Error::other("there is none")),
        };
        match started {
            Ok(startup) => self.startup = Some(startup),
            Err(error) => {
                log::warn("startup_not_started", &error.to_string(), &[]);
                let ended = Event::StartupEnded {
                    ok: false,
                    outcome: format!("not started: {error}"),
                    last_lines: String::new(),
                };
                emit(&self.events, ended);
            }
        }
    }

    /// Asks for permission to start a job, and answers its hook.
    fn request_job_start(&self, run: RunId, attempt: RunAttempt) {
        let body = StartRequest {
            instance: self.instance.clone(),
            run,
            attempt,
        };
        let (checkin, events) = (Arc::clone(&self.checkin), self.events.clone());
        let folder = self.settings.state_dir.clone();
        tokio::spawn(async move {
            let (refusal, event) = match checkin.post::<StartAnswer>("start", &body, START_PATIENCE).await {
                Ok(StartAnswer { refusal: None }) => (None, Event::JobStarted),
                Ok(StartAnswer { refusal }) => (refusal, Event::JobStartDenied { answered: true }),
                Err(error) => {
                    log::warn("start_unanswered", &error.to_string(), &[]);
                    (Some(UNANSWERED.to_owned()), Event::JobStartDenied { answered: false })
                }
            };
            // Without an answer the hook fails the job by itself.
            if let Err(error) = hooks::answer_start(&folder, refusal.as_deref()) {
                log::error("start_not_answered", &error.to_string(), &[]);
            }
            emit(&events, event);
        });
    }

    fn run_hook(&mut self, at: String, limit: Duration) {
        let Some(Claimed {
            runner,
            on_interruption: Some(text),
            ..
        }) = self.claimed.get()
        else {
            return emit(&self.events, Event::HookEnded("there is none".to_owned()));
        };
        let details = InterruptionDetails {
            at,
            limit,
            runner: runner.clone(),
        };
        let step = self.runner.as_ref().and_then(Runner::step);
        match interruption::start(&self.settings, text, &details, step, self.events.clone()) {
            Ok(hook) => self.hook = Some(hook),
            Err(error) => {
                log::warn("hook_not_started", &error.to_string(), &[]);
                emit(&self.events, Event::HookEnded(format!("not started: {error}")));
            }
        }
    }

    /// Asks for the runner until there is an answer. The machine decides how long.
    fn claim(&self) {
        let body = ClaimRequest {
            instance: self.instance.clone(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let (checkin, events) = (Arc::clone(&self.checkin), self.events.clone());
        let claimed = Arc::clone(&self.claimed);
        tokio::spawn(async move {
            let postponed = |wait| emit(&events, Event::ClaimPostponed(wait));
            match checkin.wait_for::<ClaimAnswer>("claim", &body, postponed).await {
                Ok(answer) => {
                    log::set_runner(&answer.runner);
                    let hook = answer.on_interruption.is_some();
                    let startup = answer.startup();
                    claimed.get_or_init(|| Claimed {
                        runner: answer.runner.clone(),
                        on_interruption: answer.on_interruption.clone(),
                        startup_script: answer.startup_script.clone(),
                        env: answer.env.clone(),
                        message: answer.message.clone(),
                    });
                    emit(
                        &events,
                        Event::Claimed {
                            heartbeat: answer.heartbeat().max(MIN_HEARTBEAT),
                            lifetime: answer.lifetime(),
                            drain: answer.drain(),
                            hook,
                            startup,
                            jit_config: JitConfig(answer.jit_config),
                        },
                    );
                }
                Err(CheckinError::Refused(reason) | CheckinError::Later(reason, _)) => {
                    log::error("claim_refused", &reason, &[]);
                    emit(&events, Event::ClaimRefused);
                }
            }
        });
    }

    fn report(&mut self, stage: Stage, detail: Option<String>) {
        let body = ProgressRequest {
            instance: self.instance.clone(),
            stage,
            at: now(),
            detail,
        };
        let (checkin, events) = (Arc::clone(&self.checkin), self.events.clone());
        self.reports.spawn(async move {
            match checkin.post::<OrderAnswer>("progress", &body, REPORT_PATIENCE).await {
                Ok(answer) => {
                    pass_on_notice(&events, answer);
                    emit(&events, Event::ProgressAnswered(answer.order));
                }
                Err(error) => {
                    let stage = format!("{stage:?}");
                    log::warn("report_failed", &error.to_string(), &[("stage", &stage)]);
                }
            }
        });
    }

    fn goodbye(&mut self, reason: GoodbyeReason, detail: Option<String>) {
        let body = GoodbyeRequest {
            instance: self.instance.clone(),
            reason,
            detail,
        };
        let (checkin, events) = (Arc::clone(&self.checkin), self.events.clone());
        let mut reports = std::mem::take(&mut self.reports);
        tokio::spawn(async move {
            let reported = async { while reports.join_next().await.is_some() {} };
            // Those that are not done by then are dropped with their set.
            let _ = tokio::time::timeout(REPORTS_PATIENCE, reported).await;
            let answer = checkin.post::<OrderAnswer>("goodbye", &body, GOODBYE_PATIENCE).await;
            match &answer {
                Ok(answer) => pass_on_notice(&events, *answer),
                Err(error) => log::warn("goodbye_failed", &error.to_string(), &[]),
            }
            emit(&events, Event::GoodbyeDone(answer.ok().map(|it| it.order)));
        });
    }

    /// Polls for the interruption notice until it comes, and logs a rebalance recommendation.
    fn watch_spot(&self) {
        let (checkin, events) = (Arc::clone(&self.checkin), self.events.clone());
        let pause = self.settings.spot_poll;
        tokio::spawn(async move {
            let mut recommended = false;
            loop {
                match checkin.imds().spot_notice().await {
                    Ok(Some(notice)) => {
                        let left = notice::left(&notice, now());
                        return emit(&events, Event::SpotNotice { notice, left });
                    }
                    Ok(None) => {}
                    Err(error) => log::warn("spot_notice_unread", &error.to_string(), &[]),
                }
                if !recommended && let Ok(Some(recommendation)) = checkin.imds().rebalance().await {
                    log::info("rebalance_recommended", &recommendation, &[]);
                    recommended = true;
                }
                tokio::time::sleep(pause).await;
            }
        });
    }
}

/// Emits the notice in `answer`, if any: the control plane may have received it first.
fn pass_on_notice(events: &UnboundedSender<Event>, answer: OrderAnswer) {
    if let Some(at) = answer.taken_back_at
        && let Some(notice) = notice::from_control_plane(at)
    {
        let left = notice::left(&notice, now());
        emit(events, Event::SpotNotice { notice, left });
    }
}

/// Sends `event`. A closed channel means that the agent is ending.
fn emit(events: &UnboundedSender<Event>, event: Event) {
    drop(events.send(event));
}

/// The wall clock.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
