//! The whole lab with the real functions, for tests about what dayfly does.

use std::time::Duration;

use dayfly_lab::aws::Ec2Instance;
use dayfly_lab::ec2_proxy::Call;
use dayfly_lab::lab::{Lab, LabConfig};
use dayfly_twin::{Conclusion, Disturbance, Job, JobId, RepoId, RunId, Status, WebhookFault};

/// Long enough for a busy machine; nothing waits for it when all is well.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How often something that cannot tell of itself is looked at.
pub const LOOK: Duration = Duration::from_millis(200);

/// A lab in which everything works.
pub async fn start() -> Lab {
    start_with(|_| {}).await
}

/// A lab in which something is otherwise than it usually is.
pub async fn start_with(change: impl FnOnce(&mut LabConfig)) -> Lab {
    let mut config = LabConfig::new().unwrap();
    change(&mut config);
    Lab::start(config).await.unwrap_or_else(|error| panic!("{error:#}"))
}

/// A repository of which a push starts one job.
pub struct Pushed<'a> {
    pub lab: &'a Lab,
    pub repository: &'static str,
    pub run: RunId,
}

/// A repository to which nothing is pushed yet.
pub struct Repository<'a> {
    lab: &'a Lab,
    name: &'static str,
    id: RepoId,
}

/// Makes a repository.
pub fn repository<'a>(lab: &'a Lab, name: &'static str) -> Repository<'a> {
    let id = lab.twin().create_repo(name);
    Repository { lab, name, id }
}

impl<'a> Repository<'a> {
    /// Disturbs the next `workflow_job` webhook of `action` about a job of it.
    pub fn disturb(self, action: &str, disturbance: Disturbance) -> Self {
        let fault = WebhookFault::on("workflow_job", action).of(self.id).once(disturbance);
        self.lab.twin().disturb_webhooks(fault);
        self
    }

    /// Pushes a workflow whose one job asks for `dayfly-gpu` and runs `script`; `config` is the
    /// `.dayfly.yml`, if it has one.
    pub fn push(self, config: Option<&str>, script: &[&str]) -> Pushed<'a> {
        let workflow = format!(
            "on: push\njobs:\n  train:\n    runs-on: dayfly-gpu\n    steps:\n      - run: |\n          {}\n",
            script.join("\n          ")
        );
        let mut files = vec![(".github/workflows/train.yml", &*workflow)];
        files.extend(config.map(|text| (".dayfly.yml", text)));
        let runs = self.lab.twin().push(self.id, "Train", &files).unwrap();
        let [run] = runs[..] else {
            panic!("one run should have been started: {runs:?}");
        };
        Pushed {
            lab: self.lab,
            repository: self.name,
            run,
        }
    }
}

/// Pushes a repository whose one job asks for `dayfly-gpu` and runs `script`; `config` is its
/// `.dayfly.yml`, if it has one.
pub fn push<'a>(lab: &'a Lab, name: &'static str, config: Option<&str>, script: &[&str]) -> Pushed<'a> {
    repository(lab, name).push(config, script)
}

impl Pushed<'_> {
    /// The job in an attempt of the run.
    pub fn job(&self, attempt: u32) -> Job {
        self.lab
            .twin()
            .look(|state| state.jobs_of(self.run, attempt)[0].clone())
    }

    /// What an attempt's job has printed.
    pub fn output(&self, attempt: u32) -> Vec<String> {
        self.job(attempt).log.into_iter().map(|line| line.text).collect()
    }

    /// Waits for the end of an attempt.
    pub async fn over(&self, attempt: u32) -> Conclusion {
        let what = format!("the end of attempt {attempt} in {}", self.repository);
        let over = self.lab.twin().wait_for(&what, PATIENCE, |state| {
            let run = state.run(self.run)?;
            let over = run.attempt == attempt && run.status == Status::Completed;
            over.then_some(run.conclusion).flatten()
        });
        match over.await {
            Ok(conclusion) => conclusion,
            Err(error) => panic!("{error}\n{}", what_was_said(self.lab).await),
        }
    }

    /// Waits until the job has printed a line.
    pub async fn printed(&self, line: &str) {
        let what = format!("`{line}` in {}", self.repository);
        let printed = self.lab.twin().wait_for(&what, PATIENCE, |state| {
            let attempt = state.run(self.run)?.attempt;
            let jobs = state.jobs_of(self.run, attempt);
            let log = &jobs.first()?.log;
            log.iter().any(|one| one.text == line).then_some(())
        });
        if let Err(error) = printed.await {
            panic!("{error}\n{}", what_was_said(self.lab).await);
        }
    }

    /// Every instance that was launched for the repository and that EC2 remembers.
    pub async fn instances(&self) -> Vec<Ec2Instance> {
        let mut instances = self.lab.cloud().instances().await.unwrap();
        instances.retain(|instance| instance.tags["dayfly:repository"] == self.repository);
        instances
    }

    /// Every `CreateFleet` that was asked for on the repository's behalf.
    pub fn fleets(&self) -> Vec<Call> {
        let mut calls = self.lab.ec2().calls();
        calls.retain(|call| call.action == "CreateFleet" && call.tag("dayfly:repository") == Some(self.repository));
        calls
    }

    /// Waits for the repository's instance to be launched.
    pub async fn launched(&self) -> Ec2Instance {
        let launched = async {
            loop {
                if let Some(instance) = self.instances().await.pop() {
                    return instance;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let Ok(instance) = tokio::time::timeout(PATIENCE, launched).await else {
            panic!(
                "nothing is launched for {}\n{}",
                self.repository,
                what_was_said(self.lab).await
            );
        };
        instance
    }
}

/// What the runner of a job's first launch registers as on an instance.
pub fn registered_as(job: JobId, attempt: u32, instance: &str) -> String {
    format!("dayfly-{job}-{attempt}-1-{}", instance.replacen("i-", "i", 1))
}

/// Whether a runner is that of a job's first launch, whatever its instance.
pub fn is_first_launch(name: &str, job: JobId, attempt: u32) -> bool {
    name.starts_with(&registered_as(job, attempt, "i-"))
}

/// Waits until nothing is left of any job; and GitHub's descriptions must have held.
pub async fn assert_nothing_left(lab: &Lab) {
    let left = lab.settled(PATIENCE).await.unwrap();
    assert!(left.is_empty(), "{left:?}\n{}", what_was_said(lab).await);
    assert_eq!(lab.twin().violations(), Vec::<String>::new());
}

/// The functions' logs, for a test that fails.
pub async fn what_was_said(lab: &Lab) -> String {
    let logs = lab.logs().await.unwrap_or_default();
    logs.into_iter()
        .filter(|log| log.part != "ministack")
        .flat_map(|log| log.lines.into_iter().map(move |line| format!("{}: {line}\n", log.part)))
        .collect()
}
