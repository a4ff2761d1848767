//! The errors of the commands: each names the place, the cause and the remedy.

use std::fmt;
use std::io;
use std::path::PathBuf;

use dayfly_aws::Failure;
use dayfly_config::machines::{RequirementError, TableError};
use dayfly_ports::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no region: give `--region`, set `AWS_REGION`, or set `region` in your AWS profile")]
    NoRegion,
    #[error(transparent)]
    Config(#[from] dayfly_aws::ConfigError),
    #[error("there is no stack `{name}` in {region}: name the stack with `--stack` and its region with `--region`")]
    NoStack { name: String, region: String },
    #[error(
        "the stack `{stack}` has no output `{output}`: it is older than this command, or not a stack of dayfly's. Deploy the template of this command's release, or name another stack with `--stack`"
    )]
    NoOutput { stack: String, output: String },
    /// A call of AWS failed.
    #[error("{request}: {failure}\n\nhelp: {remedy}")]
    Aws {
        request: String,
        failure: Failure,
        remedy: Remedy,
    },
    /// A runner that `dayfly drill` cannot interrupt.
    #[error("{reason}{}", suggestion(live))]
    NotInterruptible {
        reason: String,
        /// The live runners, one a line.
        live: String,
    },
    #[error(
        "the stack `{stack}` has no record of job {job}: its labels may not be meant for this stack, its webhook may not have arrived yet, or it ended more than 90 days ago. Look at the App's deliveries on GitHub, or name another stack with `--stack`"
    )]
    NoSuchJob {
        /// The job, with its run attempt if one was given.
        job: String,
        stack: String,
    },
    #[error(
        "the stack `{stack}` has no log group `{group}`, nor one of any other function: name another stack with `--stack`"
    )]
    NoLogs {
        stack: String,
        /// The first function's.
        group: String,
    },
    #[error(
        "AWS FIS did not send the interruption: {reason}\n\nhelp: run the command again if the runner is still live; it is safe to repeat"
    )]
    NotSent { reason: String },
    #[error("there is no configuration here: name a file, or change to the folder with `.dayfly.yml` or `.cirun.yml`")]
    NoConfiguration,
    #[error("`{}` cannot be read: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("nothing in `{}` can be migrated: fix the findings above", .0.display())]
    NothingToMigrate(PathBuf),
    #[error(transparent)]
    Requirements(#[from] RequirementError),
    #[error(transparent)]
    Machines(#[from] TableError),
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

fn suggestion(live: &str) -> String {
    if live.is_empty() {
        "\n\nhelp: there is no live runner; push a commit whose job needs one".to_owned()
    } else {
        format!("\n\nhelp: choose a live runner\n{live}")
    }
}

impl Error {
    /// Whether the reader of the results has closed the pipe, as `| head` does.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Returns the error without its remedy, for use within a line.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Aws { request, failure, .. } => format!("{request}: {failure}"),
            other => other.to_string(),
        }
    }

    /// A failed read of the table.
    pub(crate) fn table(name: &str, error: StoreError) -> Self {
        let message = match error {
            StoreError::Unavailable(message) => message,
            other => other.to_string(),
        };
        let failure = match message.split_once(": ") {
            Some((code, message)) if !code.contains(' ') => Failure {
                code: Some(code.to_owned()),
                message: message.to_owned(),
            },
            _ => Failure { code: None, message },
        };
        Self::aws(format!("reading the table `{name}`"), failure)
    }

    /// An invalid request or answer.
    pub(crate) fn invalid(request: &str, problem: &str) -> Self {
        let failure = Failure {
            code: None,
            message: problem.to_owned(),
        };
        Self::aws(request, failure)
    }

    /// A failed call of AWS.
    pub(crate) fn aws(request: impl Into<String>, failure: Failure) -> Self {
        Self::Aws {
            request: request.into(),
            remedy: Remedy::for_failure(&failure),
            failure,
        }
    }
}

/// A remedy for a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    SignIn,
    AskForPermission,
    Retry,
}

/// AWS's error codes for credentials that are expired, deleted or mistyped.
const BAD_CREDENTIALS: [&str; 6] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

impl Remedy {
    fn for_failure(failure: &Failure) -> Self {
        match failure.code.as_deref() {
            Some(code) if BAD_CREDENTIALS.contains(&code) => Self::SignIn,
            Some(code) if code.contains("AccessDenied") => Self::AskForPermission,
            None if failure.message.contains("credential") => Self::SignIn,
            _ => Self::Retry,
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SignIn => {
                "sign in to AWS (`aws sso login`), choose a profile with `AWS_PROFILE`, or export the \
                 AWS CLI's credentials: `eval \"$(aws configure export-credentials --format env)\"`"
            }
            Self::AskForPermission => {
                "ask the account's administrator for this permission, or choose another `AWS_PROFILE`"
            }
            Self::Retry => "run the command again; it is safe to repeat",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_a_remedy() {
        let cases = [
            (Some("ExpiredToken"), "the token is expired", Remedy::SignIn),
            (
                None,
                "dispatch failure: no providers in chain provided credentials",
                Remedy::SignIn,
            ),
            (
                Some("AccessDenied"),
                "not authorized to perform: sqs:ReceiveMessage",
                Remedy::AskForPermission,
            ),
            (
                Some("AccessDeniedException"),
                "not authorized",
                Remedy::AskForPermission,
            ),
            (Some("ThrottlingException"), "rate exceeded", Remedy::Retry),
            (None, "dispatch failure: io error: connection refused", Remedy::Retry),
        ];
        for (code, message, remedy) in cases {
            let failure = Failure {
                code: code.map(str::to_owned),
                message: message.to_owned(),
            };
            assert_eq!(Remedy::for_failure(&failure), remedy, "{failure}");
        }
    }

    #[test]
    fn error_names_place_cause_and_remedy() {
        let failure = Failure {
            code: Some("AccessDenied".to_owned()),
            message: "not yours".to_owned(),
        };
        let message = Error::aws("reading the queue `q`", failure).to_string();
        assert!(
            message.starts_with("reading the queue `q`: AccessDenied: not yours\n\nhelp: ask"),
            "{message}"
        );
    }
}
