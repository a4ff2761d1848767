//! GitHub: runs, jobs, runners, and its webhooks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use dayfly_config::labels::Label;
use dayfly_ports::{JobStatus, JobView, Scope};
use dayfly_records::event::Conclusion;
use dayfly_types::ids::{
    CommentId, InstallationId, InstanceId, JobId, Repository, RunAttempt, RunId, RunnerId, RunnerName,
};
use dayfly_types::time::Timestamp;

use crate::checks::{Check, Checks};
use crate::github_limits::Calls;

/// The App's only installation.
pub const INSTALLATION: InstallationId = InstallationId(7);

#[derive(Clone, Debug)]
pub struct Job {
    pub id: JobId,
    pub run: RunId,
    pub attempt: RunAttempt,
    /// Its index in the run.
    pub slot: usize,
    pub status: JobStatus,
    /// How long it runs.
    pub works: Duration,
    pub labels: Vec<Label>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// The runner it is assigned to.
    pub given_to: Option<RunnerId>,
    /// The name of the runner that runs or ran it.
    pub runner_name: Option<String>,
    /// The instance of ours that it ran on.
    pub instance: Option<InstanceId>,
    /// How often it started on an instance of ours.
    pub starts: u32,
    /// Whether a person cancelled it.
    pub cancelled: bool,
    /// Whether it lost its instance by no fault of its own.
    pub interrupted: bool,
    /// Whether its own messenger took it.
    pub refused: bool,
    /// When its end was reported to us.
    pub end_reported_at: Option<Timestamp>,
}

impl Job {
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.status, JobStatus::Completed(_))
    }
}

#[derive(Clone, Debug)]
pub struct Run {
    pub repository: Repository,
    pub attempt: RunAttempt,
    pub labels: Vec<Label>,
    /// The current jobs, one per slot.
    pub jobs: Vec<JobId>,
    /// Its conclusion, once it has ended.
    pub ended: Option<Conclusion>,
    pub ended_at: Option<Timestamp>,
    pub our_reruns: u32,
    pub their_reruns: u32,
    pub our_cancels: u32,
    /// How often we re-ran it since the last re-run by a person.
    pub in_a_row: u32,
    pub started_at: Timestamp,
    /// Whether its first job fails by itself.
    pub fails: bool,
    /// The attempts in which a job of ours was interrupted.
    pub interrupted: BTreeSet<RunAttempt>,
    /// Whether a messenger took a job it was not sent to.
    pub mistaken: bool,
}

#[derive(Clone, Debug)]
pub struct Runner {
    pub name: String,
    pub repository: Repository,
    pub labels: Vec<Label>,
    pub online: bool,
    /// Since when it has been offline and could be removed.
    pub offline_since: Option<Timestamp>,
    /// The job it is assigned.
    pub job: Option<JobId>,
    pub instance: Option<InstanceId>,
}

/// A webhook.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: String,
    pub event: &'static str,
    pub body: String,
    /// The job whose end it reports.
    pub reports_end_of: Option<JobId>,
}

/// A failed delivery try.
#[derive(Clone, Debug)]
pub struct FailedTry {
    /// GitHub's id of it.
    pub number: u64,
    /// The index of the delivery.
    pub delivery: usize,
    pub at: Timestamp,
}

/// A comment of ours.
#[derive(Clone, Debug)]
pub struct Comment {
    pub repository: Repository,
    pub pull: u64,
    pub text: String,
}

#[derive(Default)]
pub struct Hub {
    /// All jobs of all attempts.
    pub jobs: BTreeMap<JobId, Job>,
    pub runs: BTreeMap<RunId, Run>,
    pub runners: BTreeMap<RunnerId, Runner>,
    /// The newest run of each repository.
    newest: BTreeMap<Repository, RunId>,
    /// The runs of each repository that may not be over.
    open: BTreeMap<Repository, BTreeSet<RunId>>,
    /// The waiting jobs, by repository.
    waiting: BTreeMap<Repository, VecDeque<JobId>>,
    /// The last push to each repository.
    pub pushed: BTreeMap<Repository, Timestamp>,
    pub deliveries: Vec<Delivery>,
    /// The failed tries.
    pub failed: Vec<FailedTry>,
    /// The number of tries so far.
    pub tries: u64,
    pub checks: Checks,
    pub comments: BTreeMap<CommentId, Comment>,
    /// The calls that created or updated a check run or a comment.
    pub content_writes: Calls,
    /// The calls that registered a runner.
    pub registrations: Calls,
    last_id: u64,
    last_comment: u64,
}

impl Hub {
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Creates a comment.
    pub fn make_comment(&mut self, comment: Comment) -> CommentId {
        self.last_comment += 1;
        let id = CommentId(self.last_comment);
        self.comments.insert(id, comment);
        id
    }

    /// Returns why a check run is needless, if it is.
    #[must_use]
    pub fn needless(&self, check: &Check) -> Option<String> {
        let id = &check.body.external_id;
        let job = check
            .job
            .and_then(|key| self.jobs.get(&key.job).filter(|job| job.attempt == key.attempt));
        // A combined check run names its run, as the run's story does.
        let of_run = ["run-", "story-"].iter().find_map(|kind| id.strip_prefix(kind));
        let run = of_run.and_then(|rest| rest.split('/').next()?.parse().ok());
        if job.is_none() && !run.is_some_and(|run| self.runs.contains_key(&RunId(run))) {
            return Some(format!("`{id}` is of no job"));
        }
        let mut same = self.checks.of(id).map(|(_, one)| one);
        let known = same.find(|one| one.repository == check.repository)?;
        let since = check.made_at.since(known.made_at);
        Some(format!("`{id}` was made {} s before", since.as_secs()))
    }

    /// Starts a run on a push. Returns its jobs.
    pub fn start_run(
        &mut self,
        repository: Repository,
        works: &[Duration],
        labels: Vec<Label>,
        now: Timestamp,
    ) -> (RunId, Vec<JobId>) {
        let run = RunId(1000 + self.next_id());
        self.pushed.insert(repository.clone(), now);
        self.newest.insert(repository.clone(), run);
        self.open.entry(repository.clone()).or_default().insert(run);
        self.runs.insert(
            run,
            Run {
                repository,
                attempt: RunAttempt(1),
                labels,
                jobs: Vec::new(),
                ended: None,
                ended_at: None,
                our_reruns: 0,
                their_reruns: 0,
                our_cancels: 0,
                in_a_row: 0,
                started_at: now,
                fails: false,
                interrupted: BTreeSet::new(),
                mistaken: false,
            },
        );
        let jobs: Vec<JobId> = works
            .iter()
            .enumerate()
            .map(|(slot, works)| self.queue(run, slot, *works, now))
            .collect();
        (run, jobs)
    }

    fn queue(&mut self, run: RunId, slot: usize, works: Duration, now: Timestamp) -> JobId {
        let id = JobId(100_000 + self.next_id());
        let Some(of) = self.runs.get_mut(&run) else {
            return id;
        };
        if slot < of.jobs.len() {
            of.jobs[slot] = id;
        } else {
            of.jobs.push(id);
        }
        self.waiting.entry(of.repository.clone()).or_default().push_back(id);
        self.jobs.insert(
            id,
            Job {
                id,
                run,
                attempt: of.attempt,
                slot,
                status: JobStatus::Queued,
                works,
                labels: of.labels.clone(),
                created_at: now,
                started_at: None,
                ended_at: None,
                given_to: None,
                runner_name: None,
                instance: None,
                starts: 0,
                cancelled: false,
                interrupted: false,
                refused: false,
                end_reported_at: None,
            },
        );
        id
    }

    /// Re-runs jobs: those that did not succeed, or one. `None` if a job still runs.
    pub fn rerun(&mut self, run: RunId, only: Option<JobId>, now: Timestamp) -> Option<Vec<JobId>> {
        let of = self.runs.get(&run)?;
        of.ended?;
        let again: Vec<(usize, Duration)> = of
            .jobs
            .iter()
            .filter_map(|job| self.jobs.get(job))
            .filter(|job| match only {
                Some(wanted) => job.id == wanted,
                None => job.status != JobStatus::Completed(Conclusion::Success),
            })
            .map(|job| (job.slot, job.works))
            .collect();
        let of = self.runs.get_mut(&run)?;
        of.attempt.0 += 1;
        of.ended = None;
        of.ended_at = None;
        self.open.entry(of.repository.clone()).or_default().insert(run);
        Some(
            again
                .into_iter()
                .map(|(slot, works)| self.queue(run, slot, works, now))
                .collect(),
        )
    }

    /// Whether a job fails on any runner.
    #[must_use]
    pub fn fails_by_itself(&self, job: JobId) -> bool {
        let first = self.jobs.get(&job).filter(|job| job.slot == 0);
        first.is_some_and(|job| self.runs.get(&job.run).is_some_and(|run| run.fails))
    }

    /// Returns the newest run of the same repository, which has one branch and one workflow, if it is
    /// newer.
    #[must_use]
    pub fn newer_than(&self, run: RunId) -> Option<RunId> {
        let repository = &self.runs.get(&run)?.repository;
        self.newest.get(repository).copied().filter(|newest| *newest > run)
    }

    /// Returns the runs of a repository that are not over.
    pub fn open_runs(&self, repository: &Repository) -> impl Iterator<Item = RunId> {
        let open = self.open.get(repository).into_iter().flatten().copied();
        open.filter(|run| self.runs.get(run).is_some_and(|run| run.ended.is_none()))
    }

    /// Registers a runner, or returns `None` if the name is taken.
    pub fn register(&mut self, name: &str, scope: &Scope, labels: &[Label], now: Timestamp) -> Option<RunnerId> {
        if self.runners.values().any(|runner| runner.name == name) {
            return None;
        }
        let id = RunnerId(self.next_id());
        self.runners.insert(
            id,
            Runner {
                name: name.to_owned(),
                repository: scope.repository.clone(),
                labels: labels.to_vec(),
                online: false,
                offline_since: Some(now),
                job: None,
                instance: None,
            },
        );
        Some(id)
    }

    /// Assigns waiting jobs of a repository to free runners.
    pub fn give_out(&mut self, repository: &Repository) -> Vec<(RunnerId, JobId)> {
        let mut given = Vec::new();
        let free: Vec<RunnerId> = self
            .runners
            .iter()
            .filter(|(_, runner)| runner.online && runner.job.is_none() && runner.repository == *repository)
            .map(|(id, _)| *id)
            .collect();
        for runner in free {
            let Some(job) = self.next_waiting(repository, runner) else {
                continue;
            };
            if let Some(job) = self.jobs.get_mut(&job) {
                job.given_to = Some(runner);
            }
            if let Some(runner) = self.runners.get_mut(&runner) {
                runner.job = Some(job);
            }
            given.push((runner, job));
        }
        given
    }

    fn next_waiting(&mut self, repository: &Repository, runner: RunnerId) -> Option<JobId> {
        let (jobs, runs) = (&self.jobs, &self.runs);
        let queue = self.waiting.get_mut(repository)?;
        queue.retain(|job| {
            let job = jobs.get(job);
            job.is_some_and(|job| {
                let waits = job.status == JobStatus::Queued && job.given_to.is_none();
                waits && !waits_for_ever(job, &runs[&job.run])
            })
        });
        let offered = &self.runners.get(&runner)?.labels;
        let fits = |job: &JobId| jobs[job].labels.iter().all(|label| offered.contains(label));
        let index = queue.iter().position(fits)?;
        queue.remove(index)
    }

    /// Makes a job that its runner did not take wait again.
    pub fn take_back(&mut self, job: JobId) -> Option<Repository> {
        let found = self.jobs.get_mut(&job)?;
        if found.status != JobStatus::Queued {
            return None;
        }
        if let Some(runner) = found.given_to.take().and_then(|runner| self.runners.get_mut(&runner)) {
            runner.job = None;
        }
        let repository = self.runs.get(&found.run)?.repository.clone();
        self.waiting.entry(repository.clone()).or_default().push_back(job);
        Some(repository)
    }

    /// Whether a job waits forever because its run, or its attempt, is over. No runner is ever assigned
    /// such a job.
    #[must_use]
    pub fn failed_at_start(&self, job: &Job) -> bool {
        waits_for_ever(job, &self.runs[&job.run])
    }

    #[must_use]
    pub fn repository_of(&self, job: JobId) -> Option<&Repository> {
        self.runs.get(&self.jobs.get(&job)?.run).map(|run| &run.repository)
    }

    /// Ends a run if all its jobs are over. Returns its conclusion if it just ended.
    pub fn end_run_if_over(&mut self, run: RunId, now: Timestamp) -> Option<Conclusion> {
        let of = self.runs.get(&run)?;
        if of.ended.is_some() {
            return None;
        }
        let mut whole = Conclusion::Success;
        for job in &of.jobs {
            match self.jobs.get(job)?.status {
                JobStatus::Completed(Conclusion::Success) => {}
                JobStatus::Completed(Conclusion::Cancelled) => whole = Conclusion::Cancelled,
                JobStatus::Completed(_) if whole != Conclusion::Cancelled => whole = Conclusion::Failure,
                JobStatus::Completed(_) => {}
                JobStatus::Queued | JobStatus::Waiting | JobStatus::InProgress => return None,
            }
        }
        let of = self.runs.get_mut(&run)?;
        of.ended = Some(whole);
        of.ended_at = Some(now);
        if let Some(open) = self.open.get_mut(&of.repository) {
            open.remove(&run);
        }
        Some(whole)
    }

    /// Returns a job as GitHub describes it.
    #[must_use]
    pub fn view(&self, job: JobId) -> Option<JobView> {
        let job = self.jobs.get(&job)?;
        Some(JobView {
            workflow: Some("ci".to_owned()),
            job: job.id,
            run: job.run,
            attempt: job.attempt,
            name: format!("job {}", job.slot),
            head_sha: "abc".to_owned(),
            labels: job.labels.clone(),
            created_at: Some(job.created_at),
            status: job.status,
            runner_name: job.runner_name.clone(),
        })
    }

    /// Returns our registered runners.
    pub fn ours(&self) -> impl Iterator<Item = (&RunnerId, &Runner)> {
        self.runners
            .iter()
            .filter(|(_, runner)| RunnerName::from_registered(&runner.name).is_some())
    }
}

/// The labels of most jobs.
#[must_use]
pub fn labels() -> Vec<Label> {
    vec![Label::new("self-hosted"), Label::new("dayfly-gpu")]
}

fn waits_for_ever(job: &Job, run: &Run) -> bool {
    job.status == JobStatus::Queued && (run.ended.is_some() || run.attempt > job.attempt)
}

/// Labels without a runner.
#[must_use]
pub fn impossible_labels() -> Vec<Label> {
    vec![Label::new("dayfly-tpu")]
}

/// Returns the repository of this number.
///
/// # Panics
/// Never: the name is valid.
#[must_use]
#[expect(clippy::expect_used, reason = "the name is one")]
pub fn repository(number: u64) -> Repository {
    format!("octo/r{number}").parse().expect("a repository's name")
}
