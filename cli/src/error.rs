//! Why a command could not be carried out: each names the place, the cause and the mend.

use std::fmt;
use std::io;
use std::path::PathBuf;

use dayfly_aws::Failure;
use dayfly_config::machines::{TableError, WantsError};
use dayfly_ports::StoreError;

use crate::drill::Refusal;

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing says which region to look in.
    #[error("no region: give `--region`, set `AWS_REGION`, or set `region` in your AWS profile")]
    NoRegion,
    /// The client cannot be set up.
    #[error(transparent)]
    Config(#[from] dayfly_aws::ConfigError),
    /// There is no such stack.
    #[error("there is no stack `{name}` in {region}: name the stack with `--stack` and its region with `--region`")]
    NoStack {
        /// The name that was looked for.
        name: String,
        /// Where.
        region: String,
    },
    /// A stack of this name is there, but not with what is needed.
    #[error(
        "the stack `{stack}` has no output `{output}`: it is older than this command, or no stack of dayfly's. Deploy the template that this command came with, or name another stack with `--stack`"
    )]
    NoOutput {
        /// The stack.
        stack: String,
        /// What it lacks.
        output: String,
    },
    /// AWS said no, or nothing.
    #[error("{asked}: {failure}\n\nhelp: {mend}")]
    Aws {
        /// What was asked of AWS.
        asked: String,
        /// What came.
        failure: Failure,
        /// What to do.
        mend: Mend,
    },
    /// A runner that cannot be interrupted.
    #[error("{refusal}{}", choice(live))]
    NoSuchDrill {
        /// Why not.
        refusal: Refusal,
        /// Those that live, one a line.
        live: String,
    },
    /// A job that the table has no record of.
    #[error(
        "the stack `{stack}` knows no job {job}: its labels may not have asked for this stack, its webhook may not have come yet, or it ended more than 90 days ago. Look at the App's deliveries on GitHub, or name another stack with `--stack`"
    )]
    NoSuchJob {
        /// The job, with the attempt of its run if one was named.
        job: String,
        /// The stack.
        stack: String,
    },
    /// None of the functions has a log.
    #[error(
        "the stack `{stack}` has no log group of the name `{group}`, nor of any other function: name another stack with `--stack`"
    )]
    NoLogs {
        /// The stack.
        stack: String,
        /// The first that was looked for.
        group: String,
    },
    /// AWS FIS did not send the interruption.
    #[error(
        "AWS FIS did not send the interruption: {reason}\n\nhelp: run the command again if the runner still lives; twice does no harm"
    )]
    NotSent {
        /// AWS's words.
        reason: String,
    },
    /// No file is named, and none lies here.
    #[error("there is no configuration here: name a file, or go to the folder that has `.dayfly.yml` or `.cirun.yml`")]
    NoConfiguration,
    /// A file cannot be read.
    #[error("`{}` cannot be read: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// Nothing of a file can be taken over.
    #[error("nothing of `{}` can be taken over: mend what is named above", .0.display())]
    NothingToMigrate(PathBuf),
    /// What a machine is to have cannot be read.
    #[error(transparent)]
    Wants(#[from] WantsError),
    /// The table of machine types cannot be read.
    #[error(transparent)]
    Machines(#[from] TableError),
    /// The output could not be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// What to do about a runner that cannot be interrupted.
fn choice(live: &str) -> String {
    if live.is_empty() {
        "\n\nhelp: no runner lives now; push something that runs on one".to_owned()
    } else {
        format!("\n\nhelp: choose one of those that live\n{live}")
    }
}

impl Error {
    /// Whether it is only that nobody reads the results any more, as behind `| head`.
    #[must_use]
    pub fn is_want_of_a_reader(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Without what to do: for where it stands in a line with others.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Aws { asked, failure, .. } => format!("{asked}: {failure}"),
            other => other.to_string(),
        }
    }

    /// A read of the table that failed.
    pub(crate) fn table(name: &str, error: StoreError) -> Self {
        let said = match error {
            StoreError::Unavailable(said) => said,
            other => other.to_string(),
        };
        let failure = match said.split_once(": ") {
            Some((code, message)) if !code.contains(' ') => Failure {
                code: Some(code.to_owned()),
                message: message.to_owned(),
            },
            _ => Failure {
                code: None,
                message: said,
            },
        };
        Self::aws(format!("reading the table `{name}`"), failure)
    }

    /// What should not be: an answer, or a request of ours, without what it must have.
    pub(crate) fn unsound(asked: &str, what: &str) -> Self {
        let failure = Failure {
            code: None,
            message: what.to_owned(),
        };
        Self::aws(asked, failure)
    }

    /// A failed call of AWS.
    pub(crate) fn aws(asked: impl Into<String>, failure: Failure) -> Self {
        Self::Aws {
            asked: asked.into(),
            mend: Mend::of(&failure),
            failure,
        }
    }
}

/// What helps against a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mend {
    /// Credentials are missing or no longer good.
    SignIn,
    /// The caller may not.
    AskForRights,
    /// It may pass.
    TryAgain,
}

/// What the services call credentials that are expired, deleted or mistyped.
const NO_LONGER_GOOD: [&str; 6] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

impl Mend {
    fn of(failure: &Failure) -> Self {
        match failure.code.as_deref() {
            Some(code) if NO_LONGER_GOOD.contains(&code) => Self::SignIn,
            Some(code) if code.contains("AccessDenied") => Self::AskForRights,
            None if failure.message.contains("credential") => Self::SignIn,
            _ => Self::TryAgain,
        }
    }
}

impl fmt::Display for Mend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SignIn => {
                "sign in to AWS (`aws sso login`), choose a profile with `AWS_PROFILE`, or bring what the AWS CLI \
                 has: `eval \"$(aws configure export-credentials --format env)\"`"
            }
            Self::AskForRights => "ask the account's administrator for this right, or choose another `AWS_PROFILE`",
            Self::TryAgain => "run the command again; twice does no harm",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_says_what_to_do() {
        let cases = [
            (Some("ExpiredToken"), "the token is expired", Mend::SignIn),
            (
                None,
                "dispatch failure: no providers in chain provided credentials",
                Mend::SignIn,
            ),
            (
                Some("AccessDenied"),
                "not authorized to perform: sqs:ReceiveMessage",
                Mend::AskForRights,
            ),
            (Some("AccessDeniedException"), "not authorized", Mend::AskForRights),
            (Some("ThrottlingException"), "rate exceeded", Mend::TryAgain),
            (None, "dispatch failure: io error: connection refused", Mend::TryAgain),
        ];
        for (code, message, mend) in cases {
            let failure = Failure {
                code: code.map(str::to_owned),
                message: message.to_owned(),
            };
            assert_eq!(Mend::of(&failure), mend, "{failure}");
        }
    }

    #[test]
    fn an_error_names_place_cause_and_mend() {
        let failure = Failure {
            code: Some("AccessDenied".to_owned()),
            message: "not yours".to_owned(),
        };
        let said = Error::aws("reading the queue `q`", failure).to_string();
        assert!(
            said.starts_with("reading the queue `q`: AccessDenied: not yours\n\nhelp: ask"),
            "{said}"
        );
    }
}
