//! Whether a job may run here: what the stack policy depends on is asked of GitHub, question by question.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use dayfly_config::labels::Label;
use dayfly_engine::admission::{Attempt, Judgement, Known, Question, judge};
use dayfly_policy::{FRESH, Policy, Refused};
use dayfly_ports::{ApiError, ApiErrorKind, GitHub, ParameterError, Parameters, Scope};
use dayfly_types::ids::{Repository, RunKey};
use dayfly_types::time::Timestamp;
use secrecy::ExposeSecret as _;

use crate::blocked::Blocked;
use crate::requester::RequesterLookup;

/// More than any judgement asks.
const MOST_QUESTIONS: usize = 64;

/// So many judgements are remembered.
const MOST_REMEMBERED: usize = 512;

/// Why it is not known what the policy says.
#[derive(Debug, thiserror::Error)]
pub enum NoPolicy {
    /// What is there is no policy. Nothing runs until it is mended: whoever wrote it wanted something
    /// to be refused.
    #[error(
        "policy rule `policy` of the stack: the SSM parameter `{parameter}` holds no policy. The owner of the AWS account can mend it with `dayfly policy apply`: {error}"
    )]
    Unusable {
        /// Where it lies.
        parameter: String,
        /// What is wrong with it.
        error: String,
    },
    /// It could not be read.
    #[error("the stack policy could not be read: {0}")]
    Unavailable(#[from] ParameterError),
}

/// The stack policy, and what came of it lately.
#[derive(Debug)]
pub struct Policies {
    parameter: Option<String>,
    current: RefCell<Option<(Rc<Policy>, Timestamp)>>,
    admitted: RefCell<HashMap<(Repository, RunKey, String), Timestamp>>,
    attributed: RefCell<HashMap<(Repository, RunKey), (Attributed, Timestamp)>>,
}

/// Who asks for the jobs of an attempt, and the pull request that they are for.
type Attributed = (Option<String>, Option<u64>);

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The repository, as which installation.
    pub scope: &'a Scope,
    /// The attempt of the run.
    pub run: RunKey,
    /// The labels that its job asks for, or more.
    pub labels: &'a [Label],
    /// Whether we had GitHub run it again.
    pub ours: bool,
}

impl Policies {
    /// The policy in this SSM parameter; that of a stack without one, if there is none of that name.
    #[must_use]
    pub fn new(parameter: Option<String>) -> Self {
        Self {
            parameter,
            current: RefCell::default(),
            admitted: RefCell::default(),
            attributed: RefCell::default(),
        }
    }

    /// The policy, read again where that is due. One that cannot be read again goes on to hold.
    ///
    /// # Errors
    /// There is something that is no policy, or it cannot be read and never was.
    pub async fn current<P: Parameters>(&self, parameters: &P, now: Timestamp) -> Result<Rc<Policy>, NoPolicy> {
        let known = self.current.borrow().clone();
        let known = match known {
            Some((policy, at)) if now.since(at) < FRESH => return Ok(policy),
            known => known.map(|(policy, _)| policy),
        };
        let policy = match (self.read(parameters).await, known) {
            (Err(NoPolicy::Unavailable(error)), Some(known)) => {
                tracing::warn!(%error, digest = known.digest, "the stack policy could not be read again");
                known
            }
            (read, known) => {
                let read = read?;
                if known.is_none_or(|known| known.digest != read.digest) {
                    tracing::info!(digest = read.digest, "the stack policy is another");
                    self.admitted.borrow_mut().clear();
                }
                Rc::new(read)
            }
        };
        *self.current.borrow_mut() = Some((Rc::clone(&policy), now));
        Ok(policy)
    }

    async fn read<P: Parameters>(&self, parameters: &P) -> Result<Policy, NoPolicy> {
        let Some(parameter) = &self.parameter else {
            return Ok(Policy::default());
        };
        let text = match parameters.read(parameter).await {
            Ok(text) => text,
            Err(ParameterError::Missing(_)) => return Ok(Policy::default()),
            Err(error) => return Err(error.into()),
        };
        Policy::parse(text.expose_secret()).map_err(|error| NoPolicy::Unusable {
            parameter: parameter.clone(),
            error: error.to_string(),
        })
    }

    /// Who asks for the jobs of an attempt, and for which pull request: asked once for all of a matrix.
    ///
    /// # Errors
    /// GitHub does not tell.
    pub async fn attribution<G: GitHub>(
        &self,
        github: &G,
        requester: &mut RequesterLookup<'_>,
        now: Timestamp,
    ) -> Result<(Option<String>, Option<u64>), Blocked> {
        let key = (requester.asked.scope.repository.clone(), requester.asked.run);
        let known = self.attributed.borrow().get(&key).cloned();
        if let Some((told, _)) = known.filter(|(_, at)| now.since(*at) < FRESH) {
            return Ok(told);
        }
        let told = requester.attribution(github).await?;
        let mut attributed = self.attributed.borrow_mut();
        if attributed.len() >= MOST_REMEMBERED {
            attributed.clear();
        }
        attributed.insert(key, (told.clone(), now));
        Ok(told)
    }

    /// Whether the jobs of an attempt may run. That they may is remembered for a while: a matrix has
    /// hundreds of them. That they may not is not, for an approval can come at any time.
    ///
    /// # Errors
    /// GitHub did not answer.
    pub async fn admit<G: GitHub>(
        &self,
        github: &G,
        policy: &Policy,
        requester: &mut RequesterLookup<'_>,
        now: Timestamp,
    ) -> Result<Result<(), Refused>, ApiError> {
        let asked = requester.asked;
        let kinds: Vec<&str> = asked.labels.iter().map(Label::kind).collect();
        let key = (asked.scope.repository.clone(), asked.run, kinds.join(" "));
        let known = self.admitted.borrow().get(&key).copied();
        if known.is_some_and(|at| now.since(at) < FRESH) {
            return Ok(Ok(()));
        }
        let judged = admit(github, policy, requester).await?;
        if judged.is_ok() {
            let mut admitted = self.admitted.borrow_mut();
            if admitted.len() >= MOST_REMEMBERED {
                admitted.clear();
            }
            admitted.insert(key, now);
        }
        Ok(judged)
    }
}

async fn admit<G: GitHub>(
    github: &G,
    policy: &Policy,
    requester: &mut RequesterLookup<'_>,
) -> Result<Result<(), Refused>, ApiError> {
    let asked = requester.asked;
    let attempt = Attempt {
        repository: &asked.scope.repository,
        labels: asked.labels,
        ours: asked.ours,
    };
    let judge = |known: &Known| match judge(policy, &attempt, known) {
        Judgement::Admitted => Ok(Ok(())),
        Judgement::Refused(refused) => Ok(Err(refused)),
        Judgement::Ask(question) => Err(question),
    };
    match ask_until(github, asked, &mut requester.known, judge).await {
        Ok(judged) => Ok(judged),
        Err(Untold::Forbidden(error, needed)) => Ok(Err(Refused::untold(&error.to_string(), needed))),
        Err(Untold::TooMuch) => Ok(Err(Refused::untold(
            "there is more to ask of GitHub than is asked",
            "fewer teams in the rules of the policy",
        ))),
        Err(Untold::Unavailable(error)) => Err(error),
    }
}

/// Why something is not known though GitHub was asked.
#[derive(Debug)]
pub(crate) enum Untold {
    /// The App may not ask; it takes this.
    Forbidden(ApiError, &'static str),
    /// It depends on more than is asked.
    TooMuch,
    /// GitHub did not answer.
    Unavailable(ApiError),
}

/// Asks GitHub one question after another, until it is known what `judge` is to say. What was answered is
/// added to `known`.
///
/// # Errors
/// Why it stays unknown.
pub(crate) async fn ask_until<G: GitHub, T>(
    github: &G,
    asked: Asked<'_>,
    known: &mut Known,
    judge: impl Fn(&Known) -> Result<T, Question>,
) -> Result<T, Untold> {
    for _ in 0..MOST_QUESTIONS {
        let question = match judge(known) {
            Ok(judged) => return Ok(judged),
            Err(question) => question,
        };
        let needed = question.permission();
        ask(github, asked, question, known)
            .await
            .map_err(|error| match error.kind {
                ApiErrorKind::Forbidden => Untold::Forbidden(error, needed),
                ApiErrorKind::NotFound
                | ApiErrorKind::BadRequest
                | ApiErrorKind::RateLimited(_)
                | ApiErrorKind::Unavailable => Untold::Unavailable(error),
            })?;
    }
    Err(Untold::TooMuch)
}

async fn ask<G: GitHub>(github: &G, asked: Asked<'_>, question: Question, known: &mut Known) -> Result<(), ApiError> {
    let scope = asked.scope;
    match question {
        Question::Origin => known.origin = Some(github.run_origin(scope, asked.run).await?),
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
