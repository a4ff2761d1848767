//! One job, from its started-hook to its completion.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dayfly_twin::runner_protocol::{EndedBy, JitConfig, JobMessage, Order, StepMessage};
use dayfly_twin::{Conclusion, JobId};
use tokio::time::{Instant, sleep_until};

use crate::commands::{Commands, Shown};
use crate::service::{CallError, Service};
use crate::shell::Script;
use crate::{Signals, say};

/// GitHub's step before the job's own: hooks report there.
const SET_UP_JOB: u32 = 1;
/// Lines are sent together for this long.
const GATHER: Duration = Duration::from_millis(100);
/// How long a script's output may go on after its end, by what it left running.
const OUTPUT_TAIL: Duration = Duration::from_millis(500);

/// Why a job ends before its steps do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Cancelled,
    ShutDown,
    /// The service says that the job is over: nobody asks how it ended.
    Over,
}

/// How one script ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Succeeded,
    Failed,
    Stopped(Stop),
}

struct Run<'a> {
    service: &'a Service,
    job: JobMessage,
    variables: BTreeMap<String, String>,
    /// What the steps put out, by their ids.
    outputs: BTreeMap<String, BTreeMap<String, String>>,
    workspace: PathBuf,
    temp: PathBuf,
    signals: &'a mut Signals,
    renew_at: Instant,
    commands: Commands,
}

/// Runs the job to its end, and says how it ended.
pub async fn run(
    service: &Service,
    config: &JitConfig,
    folder: &Path,
    job: JobMessage,
    signals: &mut Signals,
) -> io::Result<impl Display + use<>> {
    let work = folder.join(&config.runner.work_folder);
    let name = job.repository.rsplit('/').next().unwrap_or_default();
    let workspace = work.join(name).join(name);
    let temp = work.join("_temp");
    std::fs::create_dir_all(&workspace)?;
    std::fs::create_dir_all(&temp)?;
    let variables = variables(&job, &config.runner.agent_name, &workspace, &temp);
    let renew_at = Instant::now() + service.renew_every();
    let mut run = Run {
        service,
        job,
        variables,
        outputs: BTreeMap::new(),
        workspace,
        temp,
        signals,
        renew_at,
        commands: Commands::default(),
    };
    let (conclusion, ended_by) = match run.all().await? {
        Ended::Succeeded => (Conclusion::Success, None),
        Ended::Failed => (Conclusion::Failure, None),
        Ended::Stopped(Stop::Cancelled) => (Conclusion::Cancelled, None),
        Ended::Stopped(Stop::ShutDown) => {
            say("The runner has received a shutdown signal.");
            (Conclusion::Failure, Some(EndedBy::ShutdownSignal))
        }
        Ended::Stopped(Stop::Over) => return Ok(Conclusion::Cancelled.as_str()),
    };
    let completed = service
        .complete(run.job.job_id, conclusion, ended_by, run.outputs)
        .await;
    note(completed);
    Ok(conclusion.as_str())
}

impl Run<'_> {
    async fn all(&mut self) -> io::Result<Ended> {
        let started = self.hook("ACTIONS_RUNNER_HOOK_JOB_STARTED").await?;
        let ended = match started {
            Ended::Succeeded => self.steps().await?,
            // GitHub runs no step then.
            other => other,
        };
        // GitHub's runner skips whatever is left to run once it has been told to shut down.
        if ended == Ended::Stopped(Stop::ShutDown) {
            return Ok(ended);
        }
        let completed = self.hook("ACTIONS_RUNNER_HOOK_JOB_COMPLETED").await?;
        Ok(if ended == Ended::Succeeded { completed } else { ended })
    }

    async fn hook(&mut self, variable: &str) -> io::Result<Ended> {
        match std::env::var(variable) {
            Ok(script) if !script.is_empty() => {
                let variables = self.variables.clone();
                self.script(Path::new(&script), &variables, SET_UP_JOB).await
            }
            _ => Ok(Ended::Succeeded),
        }
    }

    async fn steps(&mut self) -> io::Result<Ended> {
        let mut ended = Ended::Succeeded;
        for step in self.job.steps.clone() {
            let number = step.number;
            let Some(text) = step.run.clone().filter(|_| ended == Ended::Succeeded) else {
                note(
                    self.service
                        .step(self.job.job_id, number, Some(Conclusion::Skipped))
                        .await,
                );
                continue;
            };
            note(self.service.step(self.job.job_id, number, None).await);
            ended = self.step(&step, &text).await?;
            let conclusion = match ended {
                Ended::Succeeded => Conclusion::Success,
                Ended::Failed => Conclusion::Failure,
                Ended::Stopped(_) => Conclusion::Cancelled,
            };
            note(self.service.step(self.job.job_id, number, Some(conclusion)).await);
        }
        Ok(ended)
    }

    async fn step(&mut self, step: &StepMessage, text: &str) -> io::Result<Ended> {
        let file = self.temp.join(format!("step-{}.sh", step.number));
        std::fs::write(&file, text)?;
        let mut variables = self.variables.clone();
        variables.extend(step.env.clone());
        let exports = self.temp.join(format!("env-{}", step.number));
        std::fs::write(&exports, "")?;
        variables.insert("GITHUB_ENV".to_owned(), exports.display().to_string());
        let outputs = self.temp.join(format!("output-{}", step.number));
        std::fs::write(&outputs, "")?;
        variables.insert("GITHUB_OUTPUT".to_owned(), outputs.display().to_string());
        let ended = self.script(&file, &variables, step.number).await?;
        self.variables.extend(pairs(&exports));
        if let Some(id) = &step.id {
            self.outputs.insert(id.clone(), pairs(&outputs));
        }
        Ok(ended)
    }

    /// Runs a script and passes on its output, until it ends or the job has to.
    async fn script(&mut self, file: &Path, variables: &BTreeMap<String, String>, number: u32) -> io::Result<Ended> {
        let (mut script, mut output) = Script::start(file, &self.workspace, variables)?;
        let mut log = Log::new(self.service, self.job.job_id, number);
        let mut ended = None;
        let mut all_read = false;
        let mut give_up = None;
        let renew_every = self.service.renew_every();
        loop {
            if let Some(ended) = ended.filter(|_| all_read) {
                log.send().await;
                return Ok(ended);
            }
            let stop = tokio::select! {
                line = output.next_line(), if !all_read => {
                    match line {
                        Ok(Some(line)) => log.add(self.commands.show(&line)),
                        _ => all_read = true,
                    }
                    None
                }
                succeeded = script.succeeded(), if ended.is_none() => {
                    ended = Some(if succeeded? { Ended::Succeeded } else { Ended::Failed });
                    give_up = Some(Instant::now() + OUTPUT_TAIL);
                    None
                }
                () = until(give_up) => { all_read = true; None }
                () = until(log.due()) => { log.send().await; None }
                () = sleep_until(self.renew_at) => {
                    self.renew_at = Instant::now() + renew_every;
                    match self.service.renew(self.job.job_id).await {
                        Ok(Order::Continue) => None,
                        Ok(Order::Cancel) => Some(Stop::Cancelled),
                        Err(CallError::Refused(_)) => Some(Stop::Over),
                        Err(CallError::Http(error)) => { say(&format!("Renewal failed: {error}")); None }
                    }
                }
                () = self.signals.any() => Some(Stop::ShutDown),
            };
            if let Some(stop) = stop {
                script.kill();
                log.send().await;
                return Ok(Ended::Stopped(stop));
            }
        }
    }
}

/// What a step has written to a file, line by line: `name=value`.
fn pairs(file: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// A report that did not arrive is missing on the job's page; the job goes on.
fn note(result: Result<(), CallError>) {
    if let Err(error) = result {
        say(&format!("A report was not taken: {error}"));
    }
}

/// Lines on their way.
struct Log<'a> {
    service: &'a Service,
    job: JobId,
    step: u32,
    lines: Vec<String>,
    errors: Vec<String>,
    due: Option<Instant>,
}

impl<'a> Log<'a> {
    fn new(service: &'a Service, job: JobId, step: u32) -> Self {
        Self {
            service,
            job,
            step,
            lines: Vec::new(),
            errors: Vec::new(),
            due: None,
        }
    }

    fn add(&mut self, shown: Shown) {
        self.lines.extend(shown.line);
        self.errors.extend(shown.error);
        self.due.get_or_insert_with(|| Instant::now() + GATHER);
    }

    fn due(&self) -> Option<Instant> {
        self.due
    }

    async fn send(&mut self) {
        self.due = None;
        if !self.lines.is_empty() {
            let lines = std::mem::take(&mut self.lines);
            let errors = std::mem::take(&mut self.errors);
            note(self.service.log(self.job, self.step, lines, errors).await);
        }
    }
}

/// The variables that every step has.
fn variables(job: &JobMessage, runner: &str, workspace: &Path, temp: &Path) -> BTreeMap<String, String> {
    let own = [
        ("CI", "true".to_owned()),
        ("GITHUB_ACTIONS", "true".to_owned()),
        ("GITHUB_REPOSITORY", job.repository.clone()),
        ("GITHUB_SHA", job.sha.clone()),
        ("GITHUB_REF", job.git_ref.clone()),
        ("GITHUB_RUN_ID", job.run_id.to_string()),
        ("GITHUB_RUN_ATTEMPT", job.run_attempt.to_string()),
        ("GITHUB_RUN_NUMBER", job.run_number.to_string()),
        ("GITHUB_JOB", job.job_key.clone()),
        ("GITHUB_WORKFLOW", job.workflow_name.clone()),
        ("GITHUB_EVENT_NAME", job.event_name.clone()),
        ("GITHUB_ACTOR", job.actor.clone()),
        ("GITHUB_WORKSPACE", workspace.display().to_string()),
        ("RUNNER_NAME", runner.to_owned()),
        ("RUNNER_OS", "Linux".to_owned()),
        ("RUNNER_TEMP", temp.display().to_string()),
    ];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    own.chain(job.env.clone()).collect()
}
