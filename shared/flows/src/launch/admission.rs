//! Whether the stack policy admits a job. GitHub is asked one question after another, as the policy needs it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use dayfly_config::labels::Label;
use dayfly_engine::admission::{AdmissionFacts, JobRequest, Judgement, Question, judge};
use dayfly_policy::{MAX_AGE, Policy, Refused};
use dayfly_ports::{ApiError, ApiErrorKind, GitHub, ParameterError, Parameters, Scope};
use dayfly_types::ids::{Repository, RunKey};
use dayfly_types::time::Timestamp;
use secrecy::ExposeSecret as _;

use super::{Blocked, RunRequester};

/// More questions than any decision needs.
const MAX_QUESTIONS: usize = 64;

const MAX_CACHED: usize = 512;

/// Why the stack policy is unknown.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The parameter holds no valid policy. Nothing runs until it is mended: its author wanted something
    /// refused.
    #[error(
        "policy rule `policy` of the stack: the SSM parameter `{parameter}` holds no policy. The owner of the AWS account can mend it with `dayfly policy apply`: {error}"
    )]
    Unusable { parameter: String, error: String },
    #[error("the stack policy could not be read: {0}")]
    Unavailable(#[from] ParameterError),
}

/// The stack policy, with its recent decisions.
#[derive(Debug)]
pub struct Policies {
    parameter: Option<String>,
    current: RefCell<Option<(Rc<Policy>, Timestamp)>>,
    admitted: RefCell<HashMap<(Repository, RunKey, String), Timestamp>>,
    attributed: RefCell<HashMap<(Repository, RunKey), (Attributed, Timestamp)>>,
}

/// The requester of a run attempt's jobs, and the pull request that they are for.
type Attributed = (Option<String>, Option<u64>);

/// The jobs of a run attempt that ask to be admitted.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionRequest<'a> {
    pub scope: &'a Scope,
    pub run: RunKey,
    /// At least the labels that the job asks for.
    pub labels: &'a [Label],
    /// Whether this attempt is a re-run that dayfly asked for.
    pub ours: bool,
}

/// The policy's decision on a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    Admitted,
    Refused(Refused),
}

impl Policies {
    /// The policy in this SSM parameter, or the default policy if there is no such parameter.
    #[must_use]
    pub fn new(parameter: Option<String>) -> Self {
        Self {
            parameter,
            current: RefCell::default(),
            admitted: RefCell::default(),
            attributed: RefCell::default(),
        }
    }

    /// Returns the policy, read again once it is no longer fresh. If that fails, the last one stays in force.
    ///
    /// # Errors
    /// The policy is not valid, or could never be read.
    pub async fn current<P: Parameters>(&self, parameters: &P, now: Timestamp) -> Result<Rc<Policy>, PolicyError> {
        let known = self.current.borrow().clone();
        let known = match known {
            Some((policy, at)) if now.since(at) < MAX_AGE => return Ok(policy),
            known => known.map(|(policy, _)| policy),
        };
        let policy = match (self.read(parameters).await, known) {
            (Err(PolicyError::Unavailable(error)), Some(known)) => {
                tracing::warn!(%error, digest = known.digest, "the stack policy could not be read again");
                known
            }
            (read, known) => {
                let read = read?;
                if known.is_none_or(|known| known.digest != read.digest) {
                    tracing::info!(digest = read.digest, "the stack policy has changed");
                    self.admitted.borrow_mut().clear();
                }
                Rc::new(read)
            }
        };
        *self.current.borrow_mut() = Some((Rc::clone(&policy), now));
        Ok(policy)
    }

    async fn read<P: Parameters>(&self, parameters: &P) -> Result<Policy, PolicyError> {
        let Some(parameter) = &self.parameter else {
            return Ok(Policy::default());
        };
        let text = match parameters.read(parameter).await {
            Ok(text) => text,
            Err(ParameterError::Missing(_)) => return Ok(Policy::default()),
            Err(error) => return Err(error.into()),
        };
        Policy::parse(text.expose_secret()).map_err(|error| PolicyError::Unusable {
            parameter: parameter.clone(),
            error: error.to_string(),
        })
    }

    /// Returns the requester of a run attempt's jobs and the pull request they are for. GitHub is asked once
    /// for a whole matrix.
    ///
    /// # Errors
    /// GitHub does not tell.
    pub async fn attribution<G: GitHub>(
        &self,
        github: &G,
        requester: &mut RunRequester<'_>,
        now: Timestamp,
    ) -> Result<(Option<String>, Option<u64>), Blocked> {
        let key = (requester.request.scope.repository.clone(), requester.request.run);
        let known = self.attributed.borrow().get(&key).cloned();
        if let Some((attribution, _)) = known.filter(|(_, at)| now.since(*at) < MAX_AGE) {
            return Ok(attribution);
        }
        let attribution = requester.attribution(github).await?;
        let mut attributed = self.attributed.borrow_mut();
        if attributed.len() >= MAX_CACHED {
            attributed.clear();
        }
        attributed.insert(key, (attribution.clone(), now));
        Ok(attribution)
    }

    /// Decides on the jobs of a run attempt. An admission is cached for a while, because a matrix has hundreds
    /// of jobs; a refusal is not, because an approval can come at any time.
    ///
    /// # Errors
    /// GitHub does not answer.
    pub async fn admit<G: GitHub>(
        &self,
        github: &G,
        policy: &Policy,
        requester: &mut RunRequester<'_>,
        now: Timestamp,
    ) -> Result<Admission, ApiError> {
        let request = requester.request;
        let kinds: Vec<&str> = request.labels.iter().map(Label::kind).collect();
        let key = (request.scope.repository.clone(), request.run, kinds.join(" "));
        let known = self.admitted.borrow().get(&key).copied();
        if known.is_some_and(|at| now.since(at) < MAX_AGE) {
            return Ok(Admission::Admitted);
        }
        let admission = admit(github, policy, requester).await?;
        if admission == Admission::Admitted {
            let mut admitted = self.admitted.borrow_mut();
            if admitted.len() >= MAX_CACHED {
                admitted.clear();
            }
            admitted.insert(key, now);
        }
        Ok(admission)
    }
}

async fn admit<G: GitHub>(
    github: &G,
    policy: &Policy,
    requester: &mut RunRequester<'_>,
) -> Result<Admission, ApiError> {
    let request = requester.request;
    let attempt = JobRequest {
        repository: &request.scope.repository,
        labels: request.labels,
        ours: request.ours,
    };
    let judge = |known: &AdmissionFacts| match judge(policy, &attempt, known) {
        Judgement::Admitted => Ok(Admission::Admitted),
        Judgement::Refused(refused) => Ok(Admission::Refused(refused)),
        Judgement::Ask(question) => Err(question),
    };
    let unanswered = match ask_until(github, request, &mut requester.known, judge).await {
        Ok(admission) => return Ok(admission),
        Err(unanswered) => unanswered,
    };
    Ok(Admission::Refused(match unanswered {
        Unanswered::Forbidden(error, needed) => Refused::unverified(&error.to_string(), needed),
        Unanswered::TooMuch => Refused::unverified(
            "there is more to ask of GitHub than is asked",
            "fewer teams in the rules of the policy",
        ),
        Unanswered::Unavailable(error) => return Err(error),
    }))
}

/// Why a question to GitHub stays open.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The App lacks the permission that is named.
    Forbidden(ApiError, &'static str),
    /// More than [`MAX_QUESTIONS`] would have to be asked.
    TooMuch,
    /// GitHub did not answer.
    Unavailable(ApiError),
}

/// Asks GitHub one question after another until `judge` decides, and adds the answers to `known`.
///
/// # Errors
/// A question stays open.
pub(super) async fn ask_until<G: GitHub, T>(
    github: &G,
    request: AdmissionRequest<'_>,
    known: &mut AdmissionFacts,
    judge: impl Fn(&AdmissionFacts) -> Result<T, Question>,
) -> Result<T, Unanswered> {
    for _ in 0..MAX_QUESTIONS {
        let question = match judge(known) {
            Ok(judged) => return Ok(judged),
            Err(question) => question,
        };
        let needed = question.permission();
        ask(github, request, question, known)
            .await
            .map_err(|error| match error.kind {
                ApiErrorKind::Forbidden => Unanswered::Forbidden(error, needed),
                ApiErrorKind::NotFound
                | ApiErrorKind::BadRequest
                | ApiErrorKind::RateLimited(_)
                | ApiErrorKind::Unavailable => Unanswered::Unavailable(error),
            })?;
    }
    Err(Unanswered::TooMuch)
}

async fn ask<G: GitHub>(
    github: &G,
    request: AdmissionRequest<'_>,
    question: Question,
    known: &mut AdmissionFacts,
) -> Result<(), ApiError> {
    let scope = request.scope;
    match question {
        Question::Origin => known.origin = Some(github.run_origin(scope, request.run).await?),
        Question::MayWrite(user) => {
            let may_write = github.may_write(scope, &user).await?;
            known.may_write.insert(user, may_write);
        }
        Question::Member(team, user) => {
            let is_member = github.is_member(scope, &team, &user).await?;
            known.members.insert((team, user), is_member);
        }
        Question::Pulls { owner, branch } => {
            known.pulls = Some(github.pulls_from(scope, &owner, &branch).await?);
        }
        Question::Reviews(pull) => {
            let reviews = github.reviews(scope, pull).await?;
            known.reviews.insert(pull, reviews);
        }
        Question::LabelEvents(pull) => {
            let events = github.label_events(scope, pull).await?;
            known.label_events.insert(pull, events);
        }
    }
    Ok(())
}
