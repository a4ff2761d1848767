//! Who asks for the jobs of a run's attempt: whether he may, as the repository's files say.

use dayfly_config::Files;
use dayfly_engine::admission::{Known, Question, RunsFor};
use dayfly_engine::usage::{self, Requester, Usage};
use dayfly_ports::GitHub;

use crate::admission::{Asked, Untold, ask_until};
use crate::blocked::Blocked;

/// Whoever asks for the jobs of an attempt, and what is known of him.
#[derive(Debug)]
pub struct RequesterLookup<'a> {
    /// What is asked for.
    pub asked: Asked<'a>,
    pub(crate) known: Known,
}

impl<'a> RequesterLookup<'a> {
    /// Whoever asks for this, of whom nothing is known yet.
    #[must_use]
    pub fn of(asked: Asked<'a>) -> Self {
        Self {
            asked,
            known: Known::default(),
        }
    }

    /// RequesterLookup he is and for which pull request it is, for whoever has a cap of his own.
    ///
    /// # Errors
    /// GitHub does not tell: then nobody knows whose money it is.
    pub async fn attribution<G: GitHub>(&mut self, github: &G) -> Result<(Option<String>, Option<u64>), Blocked> {
        let ours = self.asked.ours;
        let told = |known: &Known| {
            let origin = known.origin.as_ref().ok_or(Question::Origin)?;
            let actor = origin.asker(ours).map(str::to_owned);
            match origin.pull(known.pulls.as_deref()) {
                RunsFor::Pull(number) => Ok((actor, Some(number))),
                RunsFor::NoPull => Ok((actor, None)),
                RunsFor::Ask { owner, branch } => Err(Question::Pulls { owner, branch }),
            }
        };
        match ask_until(github, self.asked, &mut self.known, told).await {
            Ok(told) => Ok(told),
            Err(untold) => Err(unattributed(untold)),
        }
    }

    /// Whether the files take his jobs at all.
    ///
    /// # Errors
    /// They do not, or it cannot be told.
    pub async fn may_ask<G: GitHub>(&mut self, github: &G, files: &Files) -> Result<(), Blocked> {
        let Some((actors, place)) = files.actors() else {
            return Ok(());
        };
        let taken = self.settle(github, |requester, known| {
            usage::of_file(actors, place, requester, known)
        });
        taken.await?.map_err(Blocked::Denied)
    }

    /// Whether he may use a runner, and if not, why.
    ///
    /// # Errors
    /// It cannot be told.
    pub async fn may_use<G: GitHub>(
        &mut self,
        github: &G,
        files: &Files,
        runner: &str,
    ) -> Result<Result<(), String>, Blocked> {
        let Some((access, place, resource)) = files.access_to(runner) else {
            return Ok(Ok(()));
        };
        self.settle(github, |requester, known| {
            usage::of_runner(access, place, resource, requester, known)
        })
        .await
    }

    /// Asks GitHub until it is known.
    async fn settle<G: GitHub>(
        &mut self,
        github: &G,
        judge: impl Fn(Requester<'_>, &Known) -> Usage,
    ) -> Result<Result<(), String>, Blocked> {
        let requester = Requester {
            repository: &self.asked.scope.repository,
            ours: self.asked.ours,
        };
        let judge = |known: &Known| match judge(requester, known) {
            Usage::Allowed => Ok(Ok(())),
            Usage::Refused(why) => Ok(Err(why)),
            Usage::Ask(question) => Err(question),
        };
        match ask_until(github, self.asked, &mut self.known, judge).await {
            Ok(used) => Ok(used),
            Err(Untold::TooMuch) => {
                let words = "who may use the runners depends on more teams than are asked for: name fewer";
                Ok(Err(words.to_owned()))
            }
            Err(Untold::Forbidden(error, needed)) => Ok(Err(format!(
                "who asks for the job, and may use its runner, cannot be told: {error}. It takes {needed}"
            ))),
            Err(Untold::Unavailable(error)) => Err(error.into()),
        }
    }
}

/// What becomes of a job of which it is not told whose money it spends: none of a cap that may apply is spent.
fn unattributed(untold: Untold) -> Blocked {
    let refused = |why: &str, needed: &str| {
        Blocked::Denied(format!(
            "who asks for the job, and for which pull request, cannot be told: {why}. It takes {needed}, for the stack policy caps what they spend"
        ))
    };
    match untold {
        Untold::Forbidden(error, needed) => refused(&error.to_string(), needed),
        Untold::TooMuch => refused(
            "GitHub's answers lead to more questions than are asked",
            "another run of the workflow",
        ),
        Untold::Unavailable(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use dayfly_ports::{ApiError, ApiErrorKind};

    use super::*;

    #[test]
    fn whose_money_it_is_must_be_told() {
        let error = |kind| ApiError {
            kind,
            call: "ask where a run comes from",
            message: "as the test wants it".to_owned(),
        };
        for (untold, refused) in [
            (Untold::TooMuch, true),
            (Untold::Forbidden(error(ApiErrorKind::Forbidden), "a permission"), true),
            (Untold::Unavailable(error(ApiErrorKind::Unavailable)), false),
        ] {
            let said = format!("{untold:?}");
            let is_refused = matches!(unattributed(untold), Blocked::Denied(_));
            assert_eq!(is_refused, refused, "{said}");
        }
    }
}
