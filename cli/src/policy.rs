//! `dayfly policy`: what the owner of the account lets be launched, for whom, and at what price.

mod parameter;

use std::path::PathBuf;

use aws_config::SdkConfig;
use clap::{Args, Subcommand};
use dayfly_policy::Policy;
use serde::Serialize;

use crate::error::Error;
use crate::output::Output;
use crate::stack::Stack;
use crate::{Ending, Place, aws};
use parameter::Kept;

/// Look at the stack policy, check one, or put one into force.
///
/// The policy is a YAML file of at most 4 KB, kept in an SSM parameter. It says who may launch what, and
/// holds for every repository: a repository's own configuration can only narrow it.
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

/// Print the policy that is in force.
///
/// It needs the rights `cloudformation:DescribeStacks` and `ssm:GetParameter`.
///
/// Exit status: 0, or 1 if what is kept there is no policy, or 2 if it could not be read.
#[derive(Clone, Debug, Args)]
struct Show {
    #[command(flatten)]
    place: Place,
    /// JSON in place of text
    #[arg(long)]
    json: bool,
}

/// Say all that is wrong with a policy. Nothing is sent anywhere.
///
/// Exit status: 0, or 1 if something is wrong, or 2 if the file could not be read.
#[derive(Clone, Debug, Args)]
struct Check {
    /// The policy
    file: PathBuf,
    /// JSON in place of text
    #[arg(long)]
    json: bool,
}

/// Put a policy into force, if nothing is wrong with it. Functions that run take it up within a minute.
///
/// It needs the rights `cloudformation:DescribeStacks`, `ssm:GetParameter` and `ssm:PutParameter`.
///
/// Exit status: 0, or 1 if something is wrong with it, or 2 if it could not be done.
#[derive(Clone, Debug, Args)]
struct Apply {
    #[command(flatten)]
    place: Place,
    /// The policy
    file: PathBuf,
    /// JSON in place of text
    #[arg(long)]
    json: bool,
}

/// What a command tells.
#[derive(Debug, Serialize)]
struct Report {
    /// Where it is kept; nothing for a file that was only checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// How often it was put there; nothing where the default holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    /// What the functions know it by; nothing if it is no policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// The text, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// All that is wrong with it.
    errors: Vec<String>,
}

impl Report {
    fn of(text: &str) -> Self {
        let (digest, errors) = match Policy::parse(text) {
            Ok(policy) => (Some(policy.digest), Vec::new()),
            Err(wrong) => (None, wrong.0.iter().map(ToString::to_string).collect()),
        };
        Self {
            parameter: None,
            version: None,
            digest,
            text: None,
            errors,
        }
    }

    fn ending(&self) -> Ending {
        if self.errors.is_empty() {
            Ending::Done
        } else {
            Ending::SomethingStayed
        }
    }

    /// For a person.
    fn words(&self) -> String {
        let digest = self.digest.as_deref().unwrap_or("none");
        let place = match (&self.parameter, self.version) {
            (Some(parameter), Some(version)) => format!("# {parameter}, version {version}, digest {digest}"),
            (Some(parameter), None) => format!("# {parameter} is not there: the default holds, digest {digest}"),
            (None, _) => format!("# digest {digest}"),
        };
        let lines = std::iter::once(place)
            .chain(self.errors.iter().map(|error| format!("error: {error}")))
            .chain(self.text.as_ref().map(|text| text.trim_end().to_owned()));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn tell(&self, json: bool, output: &mut Output<'_>) -> Result<Ending, Error> {
        if json {
            output.json(self)?;
        } else {
            output.result(self.words())?;
        }
        Ok(self.ending())
    }
}

/// What holds where there is no parameter.
const DEFAULT: &str = "version: 1\n";

/// Carries the command out.
///
/// # Errors
/// If file, stack or parameter cannot be read, or the parameter not written.
pub(crate) async fn run(arguments: &Arguments, output: &mut Output<'_>) -> Result<Ending, Error> {
    match &arguments.command {
        Command::Check(check) => Report::of(&read(&check.file)?).tell(check.json, output),
        Command::Show(show) => {
            let parameter = found(&show.place, output).await?;
            let kept = parameter.read().await?;
            let (text, version) = match kept {
                Some(Kept { text, version }) => (text, Some(version)),
                None => (DEFAULT.to_owned(), None),
            };
            let report = Report {
                parameter: Some(parameter.name().to_owned()),
                version,
                text: Some(text.clone()),
                ..Report::of(&text)
            };
            report.tell(show.json, output)
        }
        Command::Apply(apply) => {
            let text = read(&apply.file)?;
            let mut report = Report::of(&text);
            // Before anything is asked of AWS: what is wrong is never sent.
            if report.errors.is_empty() {
                let parameter = found(&apply.place, output).await?;
                report.version = Some(parameter.write(&text).await?);
                report.parameter = Some(parameter.name().to_owned());
            }
            report.tell(apply.json, output)
        }
    }
}

/// The policy that is in force, for what other commands need of it: the default where none was put there. So
/// it is, with a note, where what is kept there is no policy, for then nothing is launched by it either.
///
/// # Errors
/// If the parameter cannot be read.
pub(crate) async fn in_force(aws: &SdkConfig, stack: &Stack, output: &mut Output<'_>) -> Result<Policy, Error> {
    let parameter = parameter::Parameter::new(aws, stack.output("PolicyParameterName")?);
    let Some(kept) = parameter.read().await? else {
        return Ok(Policy::default());
    };
    let policy = Policy::parse(&kept.text);
    if policy.is_err() {
        let name = parameter.name();
        output.note(format_args!(
            "what is kept in `{name}` is no policy: see `dayfly policy show`"
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

async fn found(place: &Place, output: &mut Output<'_>) -> Result<parameter::Parameter, Error> {
    let aws = aws::config(place.region.as_deref()).await?;
    output.note(format_args!("looking for the stack `{}` …", place.stack))?;
    let stack = Stack::find(&aws, place).await?;
    Ok(parameter::Parameter::new(&aws, stack.output("PolicyParameterName")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_policy_is_told_and_is_no_success() {
        let report = Report::of("version: 1\nmax_price: free\nmax_lifetime: 9\n");
        assert_eq!((report.ending(), report.errors.len()), (Ending::SomethingStayed, 2));
        let words = report.words();
        assert!(
            words.contains("error: line 2: `max_price` is `free`: expected"),
            "{words}"
        );
        assert_eq!(Report::of(DEFAULT).ending(), Ending::Done);
    }

    #[test]
    fn what_is_shown_says_where_it_is_kept_and_which_it_is() {
        let report = |version| Report {
            parameter: Some("/dayfly/policy".to_owned()),
            version,
            text: Some(DEFAULT.to_owned()),
            ..Report::of(DEFAULT)
        };
        let digest = Policy::default().digest;
        let kept = format!("# /dayfly/policy, version 3, digest {digest}\nversion: 1");
        assert_eq!(report(Some(3)).words(), kept);
        let default = format!("# /dayfly/policy is not there: the default holds, digest {digest}\nversion: 1");
        assert_eq!(report(None).words(), default);
    }

    #[test]
    fn what_is_shown_can_be_applied_again() {
        let report = Report {
            text: Some("version: 1\nforks: always\n".to_owned()),
            ..Report::of("version: 1\nforks: always\n")
        };
        assert!(Policy::parse(&report.words()).is_ok(), "its first line is a comment");
    }
}
