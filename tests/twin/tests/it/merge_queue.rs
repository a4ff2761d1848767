//! Merge queues, and the workflow of `docs/merge-queue.md` that keeps an entry through an interruption.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use dayfly_twin::runner_protocol::{CompleteJob, EndedBy, JobMessage};
use dayfly_twin::{Conclusion, MergeFate, RunId, StepSpec};
use serde_json::json;

use crate::support::{FakeRunner, Lab, ONE_JOB, find_job};

/// The first YAML of the document is the workflow.
fn workflow_of_the_document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/merge-queue.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, from) = text.split_once("```yaml\n").unwrap();
    from.split_once("\n```").unwrap().0.to_owned()
}

impl Lab {
    /// Queues a change with a workflow; its entry and its run.
    fn enqueue(&self, workflow: &str, required: &[&str]) -> (usize, RunId) {
        let files = [(".github/workflows/gpu.yml", workflow)];
        let entry = self.twin.enqueue(self.repo, "main", &files, required).unwrap();
        (entry, self.twin.inspect(|world| world.merge_entries()[entry].runs[0]))
    }

    fn fate(&self, entry: usize) -> MergeFate {
        self.twin.inspect(|world| world.merge_entries()[entry].fate)
    }

    fn is_there(&self, run: RunId, name: &str) -> bool {
        self.twin.inspect(|world| find_job(world, run, name).is_some())
    }

    /// The gate runs on a GitHub-hosted runner, and does what its step says.
    async fn gate(&self, run: RunId) -> Conclusion {
        let name = "gpu-passed";
        let gate = self.until("the gate", |world| find_job(world, run, name)).await;
        let end = if gate.spec.steps.iter().all(succeeds) {
            Conclusion::Success
        } else {
            Conclusion::Failure
        };
        self.twin.run_elsewhere(gate.id, end).unwrap();
        end
    }
}

fn succeeds(step: &StepSpec) -> bool {
    let script = step.run.as_deref().unwrap();
    let status = Command::new("bash").args(["-ec", script]).envs(&step.env).status();
    status.unwrap().success()
}

/// Runs the job's scripts beside a `gpu-tests` that ends so.
fn outputs(job: &JobMessage, tests_pass: bool) -> BTreeMap<String, BTreeMap<String, String>> {
    // Tests beside this one have jobs of the same ids.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("dayfly-merge-queue-{}-{count}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let tests = folder.join("gpu-tests");
    std::fs::write(&tests, format!("#!/bin/sh\nexit {}\n", u8::from(!tests_pass))).unwrap();
    std::fs::set_permissions(&tests, Permissions::from_mode(0o755)).unwrap();
    let mut outputs = BTreeMap::new();
    for (step, script) in job.steps.iter().filter_map(|step| Some((step, step.run.as_ref()?))) {
        let file = folder.join("output");
        std::fs::write(&file, "").unwrap();
        let status = Command::new("bash")
            .args(["-ec", script])
            .current_dir(&folder)
            .env("GITHUB_OUTPUT", &file)
            .status()
            .unwrap();
        assert!(status.success(), "the verdict is in the output, not in the status");
        let written = std::fs::read_to_string(&file).unwrap();
        let pairs = written.lines().filter_map(|line| line.split_once('='));
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        outputs.insert(step.id.clone().unwrap(), pairs);
    }
    std::fs::remove_dir_all(&folder).unwrap();
    outputs
}

async fn comes_to_an_end(runner: &FakeRunner, tests_pass: bool) {
    let job = runner.take().await;
    let end = CompleteJob {
        conclusion: Conclusion::Success,
        ended_by: None,
        outputs: outputs(&job, tests_pass),
    };
    assert_eq!(runner.complete(job.job_id, end).await, 200);
}

async fn is_interrupted(runner: &FakeRunner) {
    let job = runner.take().await;
    let end = CompleteJob {
        conclusion: Conclusion::Failure,
        ended_by: Some(EndedBy::ShutdownSignal),
        outputs: BTreeMap::new(),
    };
    assert_eq!(runner.complete(job.job_id, end).await, 200);
}

#[tokio::test]
async fn a_rerun_comes_too_late_if_the_interrupted_job_is_required() {
    let lab = Lab::start().await;
    lab.push(ONE_JOB);
    let before = lab
        .twin
        .inspect(|world| world.repo_named("octo-org", "demo").unwrap().branches["main"].clone());
    let (entry, run) = lab.enqueue(&ONE_JOB.replace("on: push", "on: merge_group"), &["build"]);
    let job = lab.job_named(run, "build").id;
    lab.twin.run_elsewhere(job, Conclusion::Failure).unwrap();
    assert_eq!(lab.fate(entry), MergeFate::Removed);
    let (status, _) = lab.api.post(&format!("/actions/jobs/{job}/rerun"), json!({})).await;
    assert_eq!(status, 201);
    lab.twin
        .run_elsewhere(lab.job_named(run, "build").id, Conclusion::Success)
        .unwrap();
    assert_eq!(lab.until_run_completed(run, 2).await, Conclusion::Success);
    assert_eq!(lab.fate(entry), MergeFate::Removed);
    let after = lab
        .twin
        .inspect(|world| world.repo_named("octo-org", "demo").unwrap().branches["main"].clone());
    assert_eq!(before, after);
    lab.assert_no_violations();
}

#[tokio::test]
async fn the_documented_workflow_survives_an_interruption() {
    let lab = Lab::start().await;
    let (entry, run) = lab.enqueue(&workflow_of_the_document(), &["gpu-passed"]);
    is_interrupted(&lab.runner("dayfly-1", &["dayfly-gpu"]).await).await;
    assert_eq!(lab.job_named(run, "gpu").conclusion, Some(Conclusion::Failure));
    assert_eq!(lab.fate(entry), MergeFate::Waiting);
    assert!(!lab.is_there(run, "gpu-passed"), "the gate waits for the second try");
    comes_to_an_end(&lab.runner("dayfly-2", &["dayfly-gpu-on-demand"]).await, true).await;
    assert_eq!(lab.gate(run).await, Conclusion::Success);
    assert_eq!(lab.fate(entry), MergeFate::Merged);
    let conclusion = lab.until_run_completed(run, 1).await;
    assert_eq!(conclusion, Conclusion::Success, "there is nothing to run again");
    lab.assert_no_violations();
}

#[tokio::test]
async fn the_documented_workflow_needs_no_retry_normally() {
    for (tests_pass, fate) in [(true, MergeFate::Merged), (false, MergeFate::Removed)] {
        let lab = Lab::start().await;
        let (entry, run) = lab.enqueue(&workflow_of_the_document(), &["gpu-passed"]);
        comes_to_an_end(&lab.runner("dayfly-1", &["dayfly-gpu"]).await, tests_pass).await;
        let again = lab.job_named(run, "gpu-again").conclusion;
        assert_eq!(again, Some(Conclusion::Skipped), "tests pass: {tests_pass}");
        lab.gate(run).await;
        assert_eq!(lab.fate(entry), fate, "tests pass: {tests_pass}");
    }
}

#[tokio::test]
async fn the_documented_workflow_fails_if_the_second_try_does() {
    let lab = Lab::start().await;
    let (entry, run) = lab.enqueue(&workflow_of_the_document(), &["gpu-passed"]);
    is_interrupted(&lab.runner("dayfly-1", &["dayfly-gpu"]).await).await;
    comes_to_an_end(&lab.runner("dayfly-2", &["dayfly-gpu-on-demand"]).await, false).await;
    assert_eq!(lab.gate(run).await, Conclusion::Failure);
    assert_eq!(lab.fate(entry), MergeFate::Removed);
}
