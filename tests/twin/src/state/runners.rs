//! Runners: registered by a JIT config, listening, removed.

use jiff::Timestamp;

use super::State;
use crate::clock;
use crate::event::{Happening, RunnerRemoval};
use crate::model::{RepoId, Runner, RunnerId, Session, Status};
use crate::runner_protocol::OpenSession;

/// Why a runner is not registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegisterRefusal {
    /// One of that name is registered.
    NameTaken,
    /// The name, the labels or the group is not allowed; why.
    Invalid(String),
}

/// Why a runner is not removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeleteRefusal {
    /// There is no such runner.
    NotFound,
    /// It has a job; its name.
    Busy(String),
}

/// Why a runner gets no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionRefusal {
    /// It is not registered, or that is not its credential.
    NotRegistered,
    /// Its version is below the minimum.
    VersionTooOld,
    /// It has a session.
    SessionExists,
}

/// The parameters of a JIT config.
#[derive(Debug, Clone)]
pub(crate) struct JitRequest {
    pub(crate) name: String,
    pub(crate) group: u64,
    pub(crate) labels: Vec<String>,
    pub(crate) work_folder: String,
}

impl State {
    pub(crate) fn register_runner(
        &mut self,
        repo: RepoId,
        request: JitRequest,
        now: Timestamp,
    ) -> Result<&Runner, RegisterRefusal> {
        if request.name.is_empty() || request.name.len() > 64 {
            return Err(RegisterRefusal::Invalid(
                "Runner name must be between 1 and 64 characters".to_owned(),
            ));
        }
        if request.labels.is_empty() || request.labels.len() > 100 {
            return Err(RegisterRefusal::Invalid("Labels must be between 1 and 100".to_owned()));
        }
        if request.group != 1 {
            return Err(RegisterRefusal::Invalid(
                "Runner group must be 1 for a repository".to_owned(),
            ));
        }
        let taken = self
            .runners
            .values()
            .any(|runner| runner.repo == repo && runner.name.eq_ignore_ascii_case(&request.name));
        if taken {
            return Err(RegisterRefusal::NameTaken);
        }
        let id = RunnerId(self.ids.next("runner"));
        self.publish(Happening::RunnerRegistered {
            runner: id,
            name: request.name.clone(),
            labels: request.labels.clone(),
        });
        let runner = Runner {
            id,
            repo,
            name: request.name,
            labels: request.labels,
            credential: format!("jit-{}", uuid::Uuid::new_v4().simple()),
            work_folder: request.work_folder,
            registered_at: now,
            session: None,
            job: None,
            unresponsive: false,
        };
        Ok(self.runners.entry(id).or_insert(runner))
    }

    /// `DELETE …/actions/runners/{id}`.
    pub(crate) fn delete_runner(&mut self, repo: RepoId, id: RunnerId) -> Result<(), DeleteRefusal> {
        let runner = self
            .runners
            .get(&id)
            .filter(|runner| runner.repo == repo)
            .ok_or(DeleteRefusal::NotFound)?;
        if self.is_busy(runner) {
            return Err(DeleteRefusal::Busy(runner.name.clone()));
        }
        self.remove_runner(id, RunnerRemoval::Deleted);
        Ok(())
    }

    pub(super) fn remove_runner(&mut self, id: RunnerId, why: RunnerRemoval) {
        if let Some(runner) = self.runners.remove(&id) {
            self.publish(Happening::RunnerRemoved {
                runner: id,
                name: runner.name,
                why,
            });
        }
    }

    /// Whether a runner has a job, or was just given one.
    pub(crate) fn is_busy(&self, runner: &Runner) -> bool {
        runner
            .job
            .and_then(|job| self.jobs.get(&job))
            .is_some_and(|job| job.status != Status::Completed)
    }

    /// Whether a runner has a session and a recent sign of life.
    #[must_use]
    pub fn is_online(&self, runner: &Runner, now: Timestamp) -> bool {
        runner
            .session
            .as_ref()
            .is_some_and(|session| clock::after(session.seen_at, self.rules.timings.offline_after) > now)
    }

    /// Lets a runner in.
    pub(crate) fn open_session(
        &mut self,
        credential: &str,
        request: &OpenSession,
        now: Timestamp,
    ) -> Result<Session, SessionRefusal> {
        let minimum = version(&self.rules.minimum_runner_version);
        let offline_after = self.rules.timings.offline_after;
        let runner = self
            .runners
            .values_mut()
            .find(|runner| runner.credential == credential && runner.id == request.runner_id)
            .ok_or(SessionRefusal::NotRegistered)?;
        let (id, name) = (runner.id, runner.name.clone());
        if version(&request.version) < minimum {
            self.publish(Happening::RunnerRefused {
                runner: id,
                version: request.version.clone(),
            });
            return Err(SessionRefusal::VersionTooOld);
        }
        let alive = runner
            .session
            .as_ref()
            .is_some_and(|session| clock::after(session.seen_at, offline_after) > now);
        if alive {
            return Err(SessionRefusal::SessionExists);
        }
        let session = Session {
            id: uuid::Uuid::new_v4().to_string(),
            version: request.version.clone(),
            os: request.os.clone(),
            opened_at: now,
            seen_at: now,
        };
        runner.session = Some(session.clone());
        self.publish(Happening::RunnerOnline { runner: id, name });
        Ok(session)
    }

    /// The runner of a session; its call is a sign of life.
    pub(crate) fn runner_of_session(
        &mut self,
        credential: &str,
        session_id: &str,
        now: Timestamp,
    ) -> Option<&mut Runner> {
        let runner = self
            .runners
            .values_mut()
            .find(|runner| runner.credential == credential)?;
        let session = runner.session.as_mut().filter(|one| one.id == session_id)?;
        session.seen_at = now;
        Some(runner)
    }

    /// The runner leaves in order; it stays registered, offline.
    pub(crate) fn close_session(&mut self, id: RunnerId) {
        let offered = self.runners.get_mut(&id).and_then(|runner| {
            runner.session = None;
            runner.job
        });
        if let Some(job) = offered
            && self.jobs.get(&job).is_some_and(|job| job.offer.is_some())
        {
            self.withdraw_offer(job);
            self.publish(Happening::JobRequeued { job, runner: id });
        }
    }
}

/// Parses `major.minor.patch`; parts that are no numbers count as 0.
fn version(text: &str) -> Vec<u32> {
    text.trim_start_matches('v')
        .split('.')
        .map(|part| part.parse().unwrap_or(0))
        .collect()
}
