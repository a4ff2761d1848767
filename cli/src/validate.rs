//! `dayfly validate`: all problems of a configuration, with their places.

use std::path::PathBuf;

use clap::Args;
use dayfly_config::{Context, Finding, Reading, RenderStyle, Severity};
use dayfly_types::ids::Region;
use serde::Serialize;

use crate::config_file;
use crate::error::Error;
use crate::output::{CommandStatus, Output};

/// Find all problems of a configuration.
///
/// The default is the file that applies in the current folder: `.dayfly.yml`, `.github/dayfly.yml` or
/// `.cirun.yml`. An organisation's `.cirun.global.yml` and `.access.yml` are recognised by their names.
///
/// Exit status: 0 if there are no errors, 1 if there is an error, or with `--strict` a warning, and 2 if a
/// file cannot be read.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The files, `-` for standard input
    files: Vec<PathBuf>,
    /// The file of another repository that they extend: it is checked too, and whether they fit together
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
    /// The stack's region: warn about runners for another one
    #[arg(long)]
    region: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The JSON output for a file.
#[derive(Debug, Serialize)]
struct Report<'a> {
    file: &'a str,
    valid: bool,
    errors: usize,
    warnings: usize,
    findings: &'a [Finding],
}

/// # Errors
/// A file cannot be read.
pub(crate) fn run(arguments: &Arguments, look: RenderStyle, output: &mut Output<'_>) -> Result<CommandStatus, Error> {
    let region = arguments.region.clone().map(Region::new);
    let context = Context {
        region: region.as_ref(),
    };
    let files = files(&arguments.files, output)?;
    let mut all_valid = true;
    let mut print = |name: &str, text: &str, reading: &Reading| -> Result<(), Error> {
        all_valid &= is_valid(reading, arguments.strict);
        let text = if arguments.json {
            json(name, reading, arguments.strict)?
        } else {
            for_person(name, text, reading, look)
        };
        Ok(output.result(text)?)
    };
    let base = match &arguments.base {
        Some(path) => {
            let text = config_file::read(path)?;
            let name = path.to_string_lossy();
            let reading = dayfly_config::read(&name, &text, context);
            print(&name, &text, &reading)?;
            reading.config
        }
        None => None,
    };
    for path in &files {
        let text = config_file::read(path)?;
        let name = path.to_string_lossy();
        let mut reading = dayfly_config::read(&name, &text, context);
        if let Some(base) = &base {
            reading.check_base(&name, &text, base);
        }
        print(&name, &text, &reading)?;
    }
    Ok(CommandStatus::done_if(all_valid))
}

fn is_valid(reading: &Reading, strict: bool) -> bool {
    reading.count(Severity::Error) == 0 && !(strict && reading.count(Severity::Warning) > 0)
}

fn json(name: &str, reading: &Reading, strict: bool) -> Result<String, Error> {
    let report = Report {
        file: name,
        valid: is_valid(reading, strict),
        errors: reading.count(Severity::Error),
        warnings: reading.count(Severity::Warning),
        findings: &reading.findings,
    };
    serde_json::to_string(&report).map_err(|error| Error::Output(error.into()))
}

fn for_person(name: &str, text: &str, reading: &Reading, look: RenderStyle) -> String {
    let (errors, warnings) = (reading.count(Severity::Error), reading.count(Severity::Warning));
    let count = |number: usize, word: &str| match number {
        0 => None,
        1 => Some(format!("1 {word}")),
        many => Some(format!("{many} {word}s")),
    };
    let counts: Vec<String> = [count(errors, "error"), count(warnings, "warning")]
        .into_iter()
        .flatten()
        .collect();
    if counts.is_empty() {
        return format!("{name}: no problems");
    }
    let shown = dayfly_config::render_findings(&reading.findings, text, look);
    format!("{shown}\n\n{name}: {}", counts.join(", "))
}

/// Returns the named files, or the one that applies in the current folder.
fn files(named: &[PathBuf], output: &mut Output<'_>) -> Result<Vec<PathBuf>, Error> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    Ok(vec![config_file::find(output)?.ok_or(Error::NoConfiguration)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validated(name: &str, text: &str) -> (String, bool, bool) {
        let reading = dayfly_config::read(name, text, Context::default());
        (
            for_person(name, text, &reading, RenderStyle::Plain),
            is_valid(&reading, false),
            is_valid(&reading, true),
        )
    }

    const GOOD: &str = "runners:\n  - {name: a, labels: [dayfly-a], gpu: t4, machine_image: ami-01234567}\n";

    #[test]
    fn findings_decide_if_a_file_is_valid() {
        let (output, valid, strictly_valid) = validated(".dayfly.yml", GOOD);
        assert_eq!(
            (output.as_str(), valid, strictly_valid),
            (".dayfly.yml: no problems", true, true)
        );
        let (output, valid, strictly_valid) = validated(".dayfly.yml", &format!("{GOOD}messanger: true\n"));
        assert!(
            output.ends_with("did you mean `messenger`?\n\n.dayfly.yml: 1 warning"),
            "{output}"
        );
        assert_eq!((valid, strictly_valid), (true, false));
        let (output, valid, _) = validated(".dayfly.yml", "messenger: maybe\nextends: 1\n");
        assert!(output.ends_with(".dayfly.yml: 2 errors") && !valid, "{output}");
    }

    #[test]
    fn json_finding_has_its_place() {
        let reading = dayfly_config::read(".dayfly.yml", "messenger: maybe\n", Context::default());
        let report: serde_json::Value = serde_json::from_str(&json(".dayfly.yml", &reading, false).unwrap()).unwrap();
        assert_eq!(report["valid"], false);
        let first = &report["findings"][0];
        assert_eq!(
            (&first["line"], &first["column"], &first["key"]),
            (&1.into(), &12.into(), &"messenger".into())
        );
    }
}
