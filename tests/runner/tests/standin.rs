//! The stand-in as a process, against the twin.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use dayfly_agent::hooks;
use dayfly_agent::processes::{self, Process};
use dayfly_host::lay_out_runner;
use dayfly_twin::{Conclusion, Job, RepoId, SHUTDOWN_ANNOTATION, Status, Twin, TwinConfig};
use dayfly_types::checkin::JobMessage;
use dayfly_types::ids::{RunAttempt, RunId};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Longer than any step of a test: a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(30);
const NAME: &str = "octo-org/demo";

/// A twin with a runner that is registered for its repository.
struct Lab {
    twin: Twin,
    repo: RepoId,
    folder: TempDir,
    jit_config: String,
}

impl Lab {
    async fn new() -> Self {
        let mut config = TwinConfig::default();
        config.timings.renew = Duration::from_millis(200);
        let twin = Twin::start(config).await.unwrap();
        let repo = twin.create_repo(NAME);
        let jit_config = register(&twin, repo).await;
        let folder = tempfile::tempdir().unwrap();
        lay_out_runner(env!("CARGO_BIN_EXE_dayfly-runner-standin").as_ref(), folder.path()).unwrap();
        Self {
            twin,
            repo,
            folder,
            jit_config,
        }
    }

    /// Pushes a workflow of one job with these steps, as YAML.
    fn push(&self, steps: &str) {
        let text = format!(
            "on: push\njobs:\n  build:\n    runs-on: [self-hosted, dayfly-gpu]\n    env: {{COLOUR: blue}}\n    steps:\n{steps}"
        );
        self.twin
            .push(self.repo, "Add a workflow", &[(".github/workflows/ci.yml", &text)])
            .unwrap();
    }

    fn start(&self, variables: &[(&str, &str)]) -> Runner {
        let child = Command::new(self.folder.path().join("run.sh"))
            .env("ACTIONS_RUNNER_INPUT_JITCONFIG", &self.jit_config)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Runner(child)
    }

    async fn job_that(&self, what: &str, right: impl Fn(&Job) -> bool) -> Job {
        self.twin
            .wait_for(what, PATIENCE, |state| state.jobs().find(|job| right(job)).cloned())
            .await
            .unwrap()
    }

    async fn completed(&self) -> Job {
        self.job_that("the job to be completed", |job| job.status == Status::Completed)
            .await
    }

    async fn running(&self) -> Job {
        self.job_that("the step to speak", |job| lines(job).contains(&"ready".to_owned()))
            .await
    }

    /// A hook, as a file.
    fn hook(&self, body: &str) -> String {
        let path = self.folder.path().join("hook.sh");
        fs::write(&path, body).unwrap();
        path.display().to_string()
    }
}

async fn register(twin: &Twin, repo: RepoId) -> String {
    let client = reqwest::Client::builder().user_agent("standin-tests").build().unwrap();
    let installation = twin.installation_of(repo).unwrap();
    let url = format!("{}/app/installations/{installation}/access_tokens", twin.url());
    let answer = client
        .post(url)
        .bearer_auth(twin.app_jwt().unwrap())
        .send()
        .await
        .unwrap();
    let token: Value = answer.json().await.unwrap();
    let answer = client
        .post(format!(
            "{}/repos/{NAME}/actions/runners/generate-jitconfig",
            twin.url()
        ))
        .bearer_auth(token["token"].as_str().unwrap())
        .json(&json!({"name": "dayfly-1-1-1", "runner_group_id": 1, "labels": ["self-hosted", "dayfly-gpu"]}))
        .send()
        .await
        .unwrap();
    let made: Value = answer.json().await.unwrap();
    made["encoded_jit_config"].as_str().expect("a registration").to_owned()
}

fn lines(job: &Job) -> Vec<String> {
    job.log.iter().map(|line| line.text.clone()).collect()
}

/// A runner's process, killed even after a failed test.
struct Runner(Child);

impl Drop for Runner {
    fn drop(&mut self) {
        if let Some(pid) = self.0.id() {
            processes::kill_descendants(pid.cast_signed());
        }
    }
}

async fn exit_code(mut runner: Runner) -> Option<i32> {
    tokio::time::timeout(PATIENCE, runner.0.wait())
        .await
        .expect("it ends")
        .unwrap()
        .code()
}

fn listener_of(runner: &Runner) -> Process {
    let below = processes::descendants(&processes::all(), runner.0.id().unwrap().cast_signed());
    below.into_iter().find(|it| it.name == "Runner.Listener").unwrap()
}

#[tokio::test]
async fn output_of_a_step_can_be_an_output_of_the_job() {
    let lab = Lab::new().await;
    lab.push(
        "      - id: tests\n        run: echo verdict=passed >> $GITHUB_OUTPUT\n    outputs:\n      verdict: ${{ steps.tests.outputs.verdict }}\n",
    );
    let _runner = lab.start(&[]);
    assert_eq!(lab.completed().await.outputs["verdict"], "passed");
}

#[tokio::test]
async fn steps_run_in_bash_with_the_jobs_environment_and_are_logged() {
    let lab = Lab::new().await;
    lab.push(
        "      - run: echo \"$COLOUR $GITHUB_REPOSITORY\"; echo SHAPE=round >>\"$GITHUB_ENV\"
      - {run: 'echo \"$SHAPE $SIZE\"; echo oops >&2; pwd', env: {SIZE: big}}
      - run: env
",
    );
    let runner = lab.start(&[]);
    let job = lab.completed().await;
    assert_eq!(exit_code(runner).await, Some(0));
    assert_eq!(job.conclusion, Some(Conclusion::Success));
    let lines = lines(&job);
    let work = fs::canonicalize(lab.folder.path()).unwrap().join("_work/demo/demo");
    assert_eq!(
        lines[..4],
        [
            format!("blue {NAME}"),
            "round big".into(),
            "oops".into(),
            work.display().to_string()
        ]
    );
    assert!(
        !lines.iter().any(|line| line.contains(&lab.jit_config)),
        "the job gets the registration"
    );
    lab.twin.stop().await;
}

#[tokio::test]
async fn failed_step_fails_the_job_and_skips_the_rest() {
    let lab = Lab::new().await;
    lab.push("      - run: 'false | true'\n      - run: echo never\n");
    let runner = lab.start(&[]);
    let job = lab.completed().await;
    assert_eq!(exit_code(runner).await, Some(0));
    assert_eq!(job.conclusion, Some(Conclusion::Failure));
    assert!(!lines(&job).contains(&"never".to_owned()));
    lab.twin.stop().await;
}

#[tokio::test]
async fn failed_started_hook_fails_the_job_before_any_step() {
    let lab = Lab::new().await;
    lab.push("      - run: echo never\n");
    let hook = lab.hook("echo 'no such label'; exit 1");
    let runner = lab.start(&[("ACTIONS_RUNNER_HOOK_JOB_STARTED", &hook)]);
    let job = lab.completed().await;
    assert_eq!(exit_code(runner).await, Some(0));
    assert_eq!(job.conclusion, Some(Conclusion::Failure));
    assert_eq!(lines(&job), ["no such label"]);
    lab.twin.stop().await;
}

/// The agent's messenger hooks, for a job of this run attempt.
async fn messenger(lab: &Lab, attempt: u32) -> String {
    let job = lab.job_that("a job", |_| true).await;
    let message = JobMessage {
        run: RunId(job.run.0),
        attempt: RunAttempt(attempt),
        text: format!("No g5.xlarge can be had.\n{COMMANDS}"),
    };
    let folder = lab.folder.path().join("agent");
    let (scripts, _) = hooks::install(&folder, None, Some(&message)).unwrap();
    scripts.started.display().to_string()
}

const COMMANDS: &str = "::add-mask::had\n::error::nobody said this\n::stop-commands::x";

#[tokio::test]
async fn messenger_fails_the_job_with_its_reason_and_no_step_runs() {
    let lab = Lab::new().await;
    lab.push("      - run: echo never\n");
    let started = messenger(&lab, 1).await;
    let runner = lab.start(&[("ACTIONS_RUNNER_HOOK_JOB_STARTED", &started)]);
    let job = lab.completed().await;
    assert_eq!(exit_code(runner).await, Some(0));
    assert_eq!(job.conclusion, Some(Conclusion::Failure));
    let errors: Vec<&str> = job.annotations.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(errors, ["No g5.xlarge can be had."]);
    let lines = lines(&job).join("\n");
    assert!(lines.starts_with("##[error]No g5.xlarge can be had.\n"), "{lines}");
    assert!(lines.ends_with(&format!("\n{COMMANDS}")), "{lines}");
    assert!(!lines.contains("never"), "{lines}");
    lab.twin.stop().await;
}

#[tokio::test]
async fn messenger_with_another_job_reports_a_mistake() {
    let lab = Lab::new().await;
    lab.push("      - run: echo never\n");
    let started = messenger(&lab, 2).await;
    let runner = lab.start(&[("ACTIONS_RUNNER_HOOK_JOB_STARTED", &started)]);
    let job = lab.completed().await;
    assert_eq!(exit_code(runner).await, Some(0));
    assert_eq!(job.conclusion, Some(Conclusion::Failure));
    let lines = lines(&job).join("\n");
    assert!(lines.contains("by mistake") && !lines.contains("g5.xlarge"), "{lines}");
    assert!(!lines.contains("never"), "{lines}");
    lab.twin.stop().await;
}

#[tokio::test]
async fn stop_commands_ends_with_its_token() {
    let lab = Lab::new().await;
    lab.push("      - run: echo ::error::of the step; echo ::add-mask::hush; echo hush\n");
    let hook = lab.hook("printf '::stop-commands::t0ken\\n::error::of the hook\\n::t0ken::\\n'");
    let runner = lab.start(&[("ACTIONS_RUNNER_HOOK_JOB_STARTED", &hook)]);
    let job = lab.completed().await;
    assert_eq!(exit_code(runner).await, Some(0));
    assert_eq!(job.conclusion, Some(Conclusion::Success));
    let errors: Vec<&str> = job.annotations.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(errors, ["of the step"]);
    let shown = [
        "::stop-commands::t0ken",
        "::error::of the hook",
        "::t0ken::",
        "##[error]of the step",
        "***",
    ];
    assert_eq!(lines(&job), shown);
    lab.twin.stop().await;
}

#[tokio::test]
async fn signal_to_the_listener_fails_the_job_and_kills_the_step() {
    let lab = Lab::new().await;
    lab.push("      - run: trap '' INT TERM; echo ready; sleep 72001\n");
    let hook = lab.hook("touch \"$RUNNER_TEMP/completed\"");
    let runner = lab.start(&[("ACTIONS_RUNNER_HOOK_JOB_COMPLETED", &hook)]);
    lab.running().await;
    let listener = listener_of(&runner);
    let below = processes::descendants(&processes::all(), listener.pid);
    processes::signal(listener.pid, Signal::SIGINT);
    let job = lab.completed().await;
    assert_eq!(exit_code(runner).await, Some(0));
    assert_eq!(job.conclusion, Some(Conclusion::Failure));
    assert!(job.annotations.iter().any(|it| it.message == SHUTDOWN_ANNOTATION));
    assert!(
        !lab.folder.path().join("_work/_temp/completed").exists(),
        "GitHub's runner runs nothing after a shutdown"
    );
    let left = processes::all();
    assert!(below.iter().all(|it| !left.contains(it)), "some of {below:?} are left");
    lab.twin.stop().await;
}

#[tokio::test]
async fn cancelled_run_cancels_the_job() {
    let lab = Lab::new().await;
    lab.push("      - run: echo ready; sleep 72002\n");
    let runner = lab.start(&[]);
    let job = lab.running().await;
    lab.twin.cancel(job.run).unwrap();
    let job = lab.completed().await;
    assert_eq!(exit_code(runner).await, Some(0));
    assert_eq!(job.conclusion, Some(Conclusion::Cancelled));
    lab.twin.stop().await;
}

#[tokio::test]
async fn idle_listener_ends_on_a_signal() {
    let lab = Lab::new().await;
    let runner = lab.start(&[]);
    let online = |state: &dayfly_twin::State| state.runners().any(|it| it.session.is_some()).then_some(());
    lab.twin.wait_for("a session", PATIENCE, online).await.unwrap();
    processes::signal(listener_of(&runner).pid, Signal::SIGINT);
    assert_eq!(exit_code(runner).await, Some(0));
    lab.twin.stop().await;
}

#[tokio::test]
async fn refused_version_is_reported_only_on_request() {
    let lab = Lab::new().await;
    let old = ("RUNNER_STANDIN_VERSION", "2.311.0");
    assert_eq!(exit_code(lab.start(&[old])).await, Some(0));
    let asked = ("ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE", "1");
    assert_eq!(exit_code(lab.start(&[old, asked])).await, Some(7));
    lab.twin.stop().await;
}
