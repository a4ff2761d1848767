//! A job, from its started-hook to its completion.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dayfly_twin::runner_protocol::{EndedBy, JitConfig, JobMessage, Order, StepMessage};
use dayfly_twin::{Conclusion, JobId};
use tokio::time::{Instant, sleep_until};

use crate::commands::{Commands, ProcessedLine};
use crate::service::{CallError, Service};
use crate::shell::Script;
use crate::{Signals, print_line};

/// GitHub's step before the job's own. Hooks report in it.
const SET_UP_JOB: u32 = 1;
/// How long lines are gathered before they are sent.
const GATHER: Duration = Duration::from_millis(100);
/// How long output is read after a script's end, from processes that it left running.
const OUTPUT_TAIL: Duration = Duration::from_millis(500);

/// Why a job ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StopReason {
    Cancelled,
    ShutDown,
    /// The service says that the job is over, so its result does not matter.
    Over,
}

/// The result of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScriptResult {
    Succeeded,
    Failed,
    Stopped(StopReason),
}

struct JobRun<'a> {
    service: &'a Service,
    job: JobMessage,
    variables: BTreeMap<String, String>,
    /// The steps' outputs, by step id.
    outputs: BTreeMap<String, BTreeMap<String, String>>,
    workspace: PathBuf,
    temp: PathBuf,
    signals: &'a mut Signals,
    renew_at: Instant,
    commands: Commands,
}

/// Runs the job, and returns its conclusion.
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
    let mut run = JobRun {
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
        ScriptResult::Succeeded => (Conclusion::Success, None),
        ScriptResult::Failed => (Conclusion::Failure, None),
        ScriptResult::Stopped(StopReason::Cancelled) => (Conclusion::Cancelled, None),
        ScriptResult::Stopped(StopReason::ShutDown) => {
            print_line("The runner has received a shutdown signal.");
            (Conclusion::Failure, Some(EndedBy::ShutdownSignal))
        }
        ScriptResult::Stopped(StopReason::Over) => return Ok(Conclusion::Cancelled.as_str()),
    };
    let completed = service
        .complete(run.job.job_id, conclusion, ended_by, run.outputs)
        .await;
    log_failure(completed);
    Ok(conclusion.as_str())
}

impl JobRun<'_> {
    async fn all(&mut self) -> io::Result<ScriptResult> {
        let started = self.hook("ACTIONS_RUNNER_HOOK_JOB_STARTED").await?;
        let ended = match started {
            ScriptResult::Succeeded => self.steps().await?,
            // GitHub then runs no step.
            other => other,
        };
        // After a shutdown signal GitHub's runner skips the rest.
        if ended == ScriptResult::Stopped(StopReason::ShutDown) {
            return Ok(ended);
        }
        let completed = self.hook("ACTIONS_RUNNER_HOOK_JOB_COMPLETED").await?;
        Ok(if ended == ScriptResult::Succeeded {
            completed
        } else {
            ended
        })
    }

    async fn hook(&mut self, variable: &str) -> io::Result<ScriptResult> {
        match std::env::var(variable) {
            Ok(script) if !script.is_empty() => {
                let variables = self.variables.clone();
                self.script(Path::new(&script), &variables, SET_UP_JOB).await
            }
            _ => Ok(ScriptResult::Succeeded),
        }
    }

    async fn steps(&mut self) -> io::Result<ScriptResult> {
        let mut ended = ScriptResult::Succeeded;
        for step in self.job.steps.clone() {
            let number = step.number;
            let Some(text) = step.run.clone().filter(|_| ended == ScriptResult::Succeeded) else {
                log_failure(
                    self.service
                        .step(self.job.job_id, number, Some(Conclusion::Skipped))
                        .await,
                );
                continue;
            };
            log_failure(self.service.step(self.job.job_id, number, None).await);
            ended = self.step(&step, &text).await?;
            let conclusion = match ended {
                ScriptResult::Succeeded => Conclusion::Success,
                ScriptResult::Failed => Conclusion::Failure,
                ScriptResult::Stopped(_) => Conclusion::Cancelled,
            };
            log_failure(self.service.step(self.job.job_id, number, Some(conclusion)).await);
        }
        Ok(ended)
    }

    async fn step(&mut self, step: &StepMessage, text: &str) -> io::Result<ScriptResult> {
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

    /// Runs a script and sends its output, until it ends or the job has to.
    async fn script(
        &mut self,
        file: &Path,
        variables: &BTreeMap<String, String>,
        number: u32,
    ) -> io::Result<ScriptResult> {
        let (mut script, mut output) = Script::start(file, &self.workspace, variables)?;
        let mut log = StepLines::new(self.service, self.job.job_id, number);
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
                        Ok(Some(line)) => log.add(self.commands.process(&line)),
                        _ => all_read = true,
                    }
                    None
                }
                succeeded = script.succeeded(), if ended.is_none() => {
                    ended = Some(if succeeded? { ScriptResult::Succeeded } else { ScriptResult::Failed });
                    give_up = Some(Instant::now() + OUTPUT_TAIL);
                    None
                }
                () = until(give_up) => { all_read = true; None }
                () = until(log.due()) => { log.send().await; None }
                () = sleep_until(self.renew_at) => {
                    self.renew_at = Instant::now() + renew_every;
                    match self.service.renew(self.job.job_id).await {
                        Ok(Order::Continue) => None,
                        Ok(Order::Cancel) => Some(StopReason::Cancelled),
                        Err(CallError::Refused(_)) => Some(StopReason::Over),
                        Err(CallError::Http(error)) => { print_line(&format!("Renewal failed: {error}")); None }
                    }
                }
                () = self.signals.any() => Some(StopReason::ShutDown),
            };
            if let Some(stop) = stop {
                script.kill();
                log.send().await;
                return Ok(ScriptResult::Stopped(stop));
            }
        }
    }
}

/// Reads a file of a step with lines of `name=value`.
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

/// Prints a failed report. It is missing on the job's page, and the job goes on.
fn log_failure(result: Result<(), CallError>) {
    if let Err(error) = result {
        print_line(&format!("A report was not taken: {error}"));
    }
}

/// The lines of a step that are to be sent.
struct StepLines<'a> {
    service: &'a Service,
    job: JobId,
    step: u32,
    lines: Vec<String>,
    errors: Vec<String>,
    due: Option<Instant>,
}

impl<'a> StepLines<'a> {
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

    fn add(&mut self, line: ProcessedLine) {
        self.lines.extend(line.line);
        self.errors.extend(line.error);
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
            log_failure(self.service.log(self.job, self.step, lines, errors).await);
        }
    }
}

/// The variables of every step.
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
