//! The requester of a run attempt's jobs, and what the repository's files let the requester do.

use dayfly_config::Files;
use dayfly_engine::admission::label_access::{self, LabelAccess, Requester};
use dayfly_engine::admission::{AdmissionFacts, Question};
use dayfly_ports::GitHub;
use dayfly_records::origin::RunsFor;

use super::Blocked;
use super::admission::{AdmissionRequest, Unanswered, ask_until};

/// The requester of a run attempt's jobs, with GitHub's answers so far.
#[derive(Debug)]
pub struct RunRequester<'a> {
    pub request: AdmissionRequest<'a>,
    pub(crate) known: AdmissionFacts,
}

/// Whether a requester may use a runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunnerAccess {
    Allowed,
    /// The reason is for the job's author.
    Denied(String),
}

impl<'a> RunRequester<'a> {
    #[must_use]
    pub fn of(request: AdmissionRequest<'a>) -> Self {
        Self {
            request,
            known: AdmissionFacts::default(),
        }
    }

    /// Returns the requester's login and the pull request that the jobs are for: their caps apply.
    ///
    /// # Errors
    /// GitHub does not tell, so it is unknown whose budget the jobs spend.
    pub async fn attribution<G: GitHub>(&mut self, github: &G) -> Result<(Option<String>, Option<u64>), Blocked> {
        let ours = self.request.ours;
        let judge = |known: &AdmissionFacts| {
            let origin = known.origin.as_ref().ok_or(Question::Origin)?;
            let actor = origin.requester(ours).map(str::to_owned);
            match origin.pull(known.pulls.as_deref()) {
                RunsFor::Pull(number) => Ok((actor, Some(number))),
                RunsFor::NoPull => Ok((actor, None)),
                RunsFor::Ask { owner, branch } => Err(Question::Pulls { owner, branch }),
            }
        };
        ask_until(github, self.request, &mut self.known, judge)
            .await
            .map_err(unattributed)
    }

    /// Checks that the files take the requester's jobs at all.
    ///
    /// # Errors
    /// They do not, or it is unknown.
    pub async fn may_ask<G: GitHub>(&mut self, github: &G, files: &Files) -> Result<(), Blocked> {
        let Some((actors, place)) = files.actors() else {
            return Ok(());
        };
        let judge =
            |requester: Requester<'_>, known: &AdmissionFacts| label_access::of_file(actors, place, requester, known);
        match self.judge(github, judge).await? {
            RunnerAccess::Allowed => Ok(()),
            RunnerAccess::Denied(why) => Err(Blocked::Denied(why)),
        }
    }

    /// Returns whether the requester may use a runner.
    ///
    /// # Errors
    /// GitHub does not answer.
    pub async fn may_use<G: GitHub>(
        &mut self,
        github: &G,
        files: &Files,
        runner: &str,
    ) -> Result<RunnerAccess, Blocked> {
        let Some((access, place, resource)) = files.access_to(runner) else {
            return Ok(RunnerAccess::Allowed);
        };
        self.judge(github, |requester, known| {
            label_access::of_runner(access, place, resource, requester, known)
        })
        .await
    }

    /// Asks GitHub until `judge` has all answers it needs.
    async fn judge<G: GitHub>(
        &mut self,
        github: &G,
        judge: impl Fn(Requester<'_>, &AdmissionFacts) -> LabelAccess,
    ) -> Result<RunnerAccess, Blocked> {
        let requester = Requester {
            repository: &self.request.scope.repository,
            ours: self.request.ours,
        };
        let judge = |known: &AdmissionFacts| match judge(requester, known) {
            LabelAccess::Allowed => Ok(RunnerAccess::Allowed),
            LabelAccess::Refused(why) => Ok(RunnerAccess::Denied(why)),
            LabelAccess::Ask(question) => Err(question),
        };
        match ask_until(github, self.request, &mut self.known, judge).await {
            Ok(access) => Ok(access),
            Err(Unanswered::TooMuch) => {
                let why = "who may use the runners depends on more teams than are looked up: name fewer";
                Ok(RunnerAccess::Denied(why.to_owned()))
            }
            Err(Unanswered::Forbidden(error, needed)) => Ok(RunnerAccess::Denied(format!(
                "it is unknown who asks for the job and may use its runner: {error}. It takes {needed}"
            ))),
            Err(Unanswered::Unavailable(error)) => Err(error.into()),
        }
    }
}

/// A job of unknown attribution does not run: no budget of a cap that may apply is spent.
fn unattributed(unanswered: Unanswered) -> Blocked {
    let denied = |why: &str, needed: &str| {
        Blocked::Denied(format!(
            "it is unknown who asks for the job, and for which pull request: {why}. It takes {needed}, because the stack policy caps what they spend"
        ))
    };
    match unanswered {
        Unanswered::Forbidden(error, needed) => denied(&error.to_string(), needed),
        Unanswered::TooMuch => denied(
            "GitHub's answers lead to more questions than are asked",
            "another run of the workflow",
        ),
        Unanswered::Unavailable(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use dayfly_ports::{ApiError, ApiErrorKind};

    use super::*;

    #[test]
    fn job_of_unknown_attribution_is_denied() {
        let error = |kind| ApiError {
            kind,
            call: "ask where a run comes from",
            message: "as the test wants it".to_owned(),
        };
        for (unanswered, denied) in [
            (Unanswered::TooMuch, true),
            (
                Unanswered::Forbidden(error(ApiErrorKind::Forbidden), "a permission"),
                true,
            ),
            (Unanswered::Unavailable(error(ApiErrorKind::Unavailable)), false),
        ] {
            let case = format!("{unanswered:?}");
            let is_denied = matches!(unattributed(unanswered), Blocked::Denied(_));
            assert_eq!(is_denied, denied, "{case}");
        }
    }
}
