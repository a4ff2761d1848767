//! The whole lab with the real functions, for tests of dayfly itself.

use std::time::Duration;

use dayfly_lab::aws::Ec2Instance;
use dayfly_lab::ec2_proxy::Call;
use dayfly_lab::lab::{Lab, LabConfig};
use dayfly_twin::{Conclusion, Disturbance, Job, JobId, RepoId, RunId, Status, WebhookFault};

/// Long enough for a busy machine; successful tests do not wait for it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The polling interval for things without events.
pub const POLL: Duration = Duration::from_millis(200);

/// A lab without faults.
pub async fn start() -> Lab {
    start_with(|_| {}).await
}

/// A lab with a changed configuration.
pub async fn start_with(change: impl FnOnce(&mut LabConfig)) -> Lab {
    let mut config = LabConfig::new().unwrap();
    change(&mut config);
    Lab::start(config).await.unwrap_or_else(|error| panic!("{error:#}"))
}

/// A pushed repository with one job.
pub struct Pushed<'a> {
    pub lab: &'a Lab,
    pub repository: &'static str,
    pub run: RunId,
}

/// A repository before its first push.
pub struct Repository<'a> {
    lab: &'a Lab,
    name: &'static str,
    id: RepoId,
}

/// Creates a repository.
pub fn repository<'a>(lab: &'a Lab, name: &'static str) -> Repository<'a> {
    let id = lab.twin().create_repo(name);
    Repository { lab, name, id }
}

impl<'a> Repository<'a> {
    /// Disturbs the next `workflow_job` webhook of `action` about one of its jobs.
    pub fn disturb(self, action: &str, disturbance: Disturbance) -> Self {
        let fault = WebhookFault::on("workflow_job", action).of(self.id).once(disturbance);
        self.lab.twin().disturb_webhooks(fault);
        self
    }

    /// Pushes a workflow whose one job requests `dayfly-gpu` and runs `script`; `config` is the
    /// `.dayfly.yml`, if any.
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

/// Pushes a repository whose one job requests `dayfly-gpu` and runs `script`; `config` is its
/// `.dayfly.yml`, if any.
pub fn push<'a>(lab: &'a Lab, name: &'static str, config: Option<&str>, script: &[&str]) -> Pushed<'a> {
    repository(lab, name).push(config, script)
}

impl Pushed<'_> {
    /// Returns the job in an attempt of the run.
    pub fn job(&self, attempt: u32) -> Job {
        self.lab
            .twin()
            .inspect(|state| state.jobs_of(self.run, attempt)[0].clone())
    }

    /// Returns the output of an attempt's job.
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
            Err(error) => panic!("{error}\n{}", function_logs(self.lab).await),
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
            panic!("{error}\n{}", function_logs(self.lab).await);
        }
    }

    /// Returns every instance launched for the repository that EC2 still lists.
    pub async fn instances(&self) -> Vec<Ec2Instance> {
        let mut instances = self.lab.cloud().instances().await.unwrap();
        instances.retain(|instance| instance.tags["dayfly:repository"] == self.repository);
        instances
    }

    /// Returns every `CreateFleet` for the repository.
    pub fn fleets(&self) -> Vec<Call> {
        let mut calls = self.lab.ec2().calls();
        calls.retain(|call| call.action == "CreateFleet" && call.tag("dayfly:repository") == Some(self.repository));
        calls
    }

    /// Waits for the launch of the repository's instance.
    pub async fn launched(&self) -> Ec2Instance {
        let launched = async {
            loop {
                if let Some(instance) = self.instances().await.pop() {
                    return instance;
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let Ok(instance) = tokio::time::timeout(PATIENCE, launched).await else {
            panic!(
                "nothing is launched for {}\n{}",
                self.repository,
                function_logs(self.lab).await
            );
        };
        instance
    }
}

/// Returns the registered name of a job's first runner on an instance.
pub fn registered_as(job: JobId, attempt: u32, instance: &str) -> String {
    format!("dayfly-{job}-{attempt}-1-{}", instance.replacen("i-", "i", 1))
}

/// Whether a runner is that of a job's first launch, on any instance.
pub fn is_first_launch(name: &str, job: JobId, attempt: u32) -> bool {
    name.starts_with(&registered_as(job, attempt, "i-"))
}

/// Waits until nothing is left of any job, and checks that GitHub's descriptions held.
pub async fn assert_nothing_left(lab: &Lab) {
    assert_nothing_left_within(lab, PATIENCE).await;
}

/// The same with another patience, for many jobs at once: on a slow machine their webhooks get lost, and the
/// patrol takes its time to have each delivered again.
pub async fn assert_nothing_left_within(lab: &Lab, patience: Duration) {
    let left = lab.settled(patience).await.unwrap();
    assert!(left.is_empty(), "{left:?}\n{}", function_logs(lab).await);
    assert_eq!(lab.twin().violations(), Vec::<String>::new());
}

/// Returns the functions' logs, for a failed test.
pub async fn function_logs(lab: &Lab) -> String {
    let logs = lab.logs().await.unwrap_or_default();
    logs.into_iter()
        .filter(|log| log.part != "ministack")
        .flat_map(|log| log.lines.into_iter().map(move |line| format!("{}: {line}\n", log.part)))
        .collect()
}
