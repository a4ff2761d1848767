//! `dayfly policy`: shows, checks and applies the stack policy.

mod parameter;

use std::path::PathBuf;

use aws_config::SdkConfig;
use clap::{Args, Subcommand};
use dayfly_policy::Policy;
use serde::Serialize;

use crate::error::Error;
use crate::output::{CommandStatus, Output};
use crate::stack::{Stack, StackTarget};
use parameter::StoredPolicy;

/// Show, check or apply the stack policy.
///
/// The policy is a YAML file of at most 4 KB in an SSM parameter. It says who may launch what, and applies to every
/// repository: a repository's own configuration can only narrow it.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    Show(Show),
    Check(Check),
    Apply(Apply),
}

/// Print the current policy.
///
/// Required permissions: `cloudformation:DescribeStacks` and `ssm:GetParameter`.
///
/// Exit status: 0, or 1 if the parameter does not hold a valid policy, or 2 if it could not be read.
#[derive(Clone, Debug, Args)]
struct Show {
    #[command(flatten)]
    target: StackTarget,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// List all errors of a policy. Nothing is sent to AWS.
///
/// Exit status: 0, or 1 if there are errors, or 2 if the file could not be read.
#[derive(Clone, Debug, Args)]
struct Check {
    /// The policy
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Apply a policy if it has no errors. Running functions pick it up within a minute.
///
/// Required permissions: `cloudformation:DescribeStacks`, `ssm:GetParameter` and `ssm:PutParameter`.
///
/// Exit status: 0, or 1 if the policy has errors, or 2 if it could not be applied.
#[derive(Clone, Debug, Args)]
struct Apply {
    #[command(flatten)]
    target: StackTarget,
    /// The policy
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    /// The SSM parameter; `None` for a file that was only checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// The parameter's version; `None` if the default applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    /// The functions' identifier of the policy; `None` if it has errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// The text, for `show`.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    errors: Vec<String>,
}

impl Report {
    fn parse(text: &str) -> Self {
        let (digest, errors) = match Policy::parse(text) {
            Ok(policy) => (Some(policy.digest), Vec::new()),
            Err(errors) => (None, errors.0.iter().map(ToString::to_string).collect()),
        };
        Self {
            parameter: None,
            version: None,
            digest,
            text: None,
            errors,
        }
    }

    fn status(&self) -> CommandStatus {
        CommandStatus::done_if(self.errors.is_empty())
    }

    fn render(&self) -> String {
        let digest = self.digest.as_deref().unwrap_or("none");
        let heading = match (&self.parameter, self.version) {
            (Some(parameter), Some(version)) => format!("# {parameter}, version {version}, digest {digest}"),
            (Some(parameter), None) => format!("# {parameter} does not exist: the default applies, digest {digest}"),
            (None, _) => format!("# digest {digest}"),
        };
        let lines = std::iter::once(heading)
            .chain(self.errors.iter().cloned())
            .chain(self.text.as_ref().map(|text| text.trim_end().to_owned()));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn print(&self, json: bool, output: &mut Output<'_>) -> Result<CommandStatus, Error> {
        if json {
            output.json(self)?;
        } else {
            output.result(self.render())?;
        }
        Ok(self.status())
    }
}

/// The policy without a parameter.
const DEFAULT: &str = "version: 1\n";

/// # Errors
/// The file, stack or parameter cannot be read, or the parameter cannot be written.
pub(crate) async fn run(arguments: &Arguments, output: &mut Output<'_>) -> Result<CommandStatus, Error> {
    match &arguments.command {
        Command::Check(check) => Report::parse(&read(&check.file)?).print(check.json, output),
        Command::Show(show) => {
            let parameter = parameter_of(&show.target, output).await?;
            let stored = parameter.read().await?;
            let (text, version) = match stored {
                Some(StoredPolicy { text, version }) => (text, Some(version)),
                None => (DEFAULT.to_owned(), None),
            };
            let report = Report {
                parameter: Some(parameter.name().to_owned()),
                version,
                text: Some(text.clone()),
                ..Report::parse(&text)
            };
            report.print(show.json, output)
        }
        Command::Apply(apply) => {
            let text = read(&apply.file)?;
            let mut report = Report::parse(&text);
            // A policy with errors is never sent to AWS.
            if report.errors.is_empty() {
                let parameter = parameter_of(&apply.target, output).await?;
                report.version = Some(parameter.write(&text).await?);
                report.parameter = Some(parameter.name().to_owned());
            }
            report.print(apply.json, output)
        }
    }
}

/// Returns the current policy for other commands. If there is none, it is the default; the same, with a note, if the
/// stored one has errors, since then nothing is launched under it.
///
/// # Errors
/// The parameter cannot be read.
pub(crate) async fn in_force(aws: &SdkConfig, stack: &Stack, output: &mut Output<'_>) -> Result<Policy, Error> {
    let parameter = parameter::Parameter::new(aws, stack.output("PolicyParameterName")?);
    let Some(stored) = parameter.read().await? else {
        return Ok(Policy::default());
    };
    let policy = Policy::parse(&stored.text);
    if policy.is_err() {
        let name = parameter.name();
        output.note(format_args!(
            "`{name}` does not hold a valid policy: see `dayfly policy show`"
        ))?;
    }
    Ok(policy.unwrap_or_default())
}

fn read(file: &PathBuf) -> Result<String, Error> {
    std::fs::read_to_string(file).map_err(|error| Error::File {
        path: file.clone(),
        error,
    })
}

async fn parameter_of(target: &StackTarget, output: &mut Output<'_>) -> Result<parameter::Parameter, Error> {
    let (aws, stack) = Stack::connect(target, output).await?;
    Ok(parameter::Parameter::new(&aws, stack.output("PolicyParameterName")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_a_policy_are_listed_and_need_attention() {
        let report = Report::parse("version: 1\nmax_price: free\nmax_lifetime: 9\n");
        assert_eq!(
            (report.status(), report.errors.len()),
            (CommandStatus::NeedsAttention, 2)
        );
        let text = report.render();
        assert!(
            text.contains("the stack policy:2:12: error: `max_price` is `free`, expected"),
            "{text}"
        );
        assert_eq!(Report::parse(DEFAULT).status(), CommandStatus::Done);
    }

    #[test]
    fn heading_names_parameter_version_and_digest() {
        let report = |version| Report {
            parameter: Some("/dayfly/policy".to_owned()),
            version,
            text: Some(DEFAULT.to_owned()),
            ..Report::parse(DEFAULT)
        };
        let digest = Policy::default().digest;
        let stored = format!("# /dayfly/policy, version 3, digest {digest}\nversion: 1");
        assert_eq!(report(Some(3)).render(), stored);
        let default = format!("# /dayfly/policy does not exist: the default applies, digest {digest}\nversion: 1");
        assert_eq!(report(None).render(), default);
    }

    #[test]
    fn shown_policy_can_be_applied_again() {
        let report = Report {
            text: Some("version: 1\nforks: always\n".to_owned()),
            ..Report::parse("version: 1\nforks: always\n")
        };
        assert!(Policy::parse(&report.render()).is_ok(), "its first line is a comment");
    }
}
