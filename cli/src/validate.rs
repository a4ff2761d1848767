//! `dayfly validate`: everything that is wrong with a configuration, with its place.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use dayfly_config::{Context, Finding, Look, Reading, Severity};
use dayfly_types::ids::Region;
use serde::Serialize;

use crate::output::Output;
use crate::{Ending, Error};

/// Finds everything that is wrong with a configuration.
///
/// Without a file, the one that counts in the current folder: `.dayfly.yml`, `.github/dayfly.yml` or
/// `.cirun.yml`. An organisation's `.cirun.global.yml` and `.access.yml` are known by their names.
///
/// Exit status: 0 if nothing is wrong but for warnings, 1 if there is an error, or with `--strict` a
/// warning, and 2 if a file cannot be read at all.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The files, `-` for standard input
    files: Vec<PathBuf>,
    /// The file that they extend, of another repository: it is looked at too, and whether they go together
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,
    /// Take warnings for errors
    #[arg(long)]
    strict: bool,
    /// The stack's region: runners for another are warned of
    #[arg(long)]
    region: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is printed of a file as JSON.
#[derive(Debug, Serialize)]
struct Report<'a> {
    file: &'a str,
    valid: bool,
    errors: usize,
    warnings: usize,
    findings: &'a [Finding],
}

/// Carries out the command.
///
/// # Errors
/// If a file cannot be read.
pub fn run(arguments: &Arguments, look: Look, output: &mut Output<'_>) -> Result<Ending, Error> {
    let region = arguments.region.clone().map(Region::new);
    let context = Context {
        region: region.as_ref(),
    };
    let files = files(&arguments.files, output)?;
    let mut is_sound = true;
    let mut tell = |name: &str, text: &str, reading: &Reading| -> Result<(), Error> {
        is_sound &= holds(reading, arguments.strict);
        let told = if arguments.json {
            json(name, reading, arguments.strict)?
        } else {
            words(name, text, reading, look)
        };
        Ok(output.result(told)?)
    };
    let base = match &arguments.base {
        Some(path) => {
            let text = text_of(path)?;
            let name = path.to_string_lossy();
            let reading = dayfly_config::read(&name, &text, context);
            tell(&name, &text, &reading)?;
            reading.config
        }
        None => None,
    };
    for path in &files {
        let text = text_of(path)?;
        let name = path.to_string_lossy();
        let mut reading = dayfly_config::read(&name, &text, context);
        if let Some(base) = &base {
            reading.look_at_base(&name, &text, base);
        }
        tell(&name, &text, &reading)?;
    }
    Ok(if is_sound {
        Ending::Done
    } else {
        Ending::SomethingStayed
    })
}

/// Whether a file is taken for good.
fn holds(reading: &Reading, strict: bool) -> bool {
    reading.count(Severity::Error) == 0 && !(strict && reading.count(Severity::Warning) > 0)
}

fn json(name: &str, reading: &Reading, strict: bool) -> Result<String, Error> {
    let report = Report {
        file: name,
        valid: holds(reading, strict),
        errors: reading.count(Severity::Error),
        warnings: reading.count(Severity::Warning),
        findings: &reading.findings,
    };
    serde_json::to_string(&report).map_err(|error| Error::Output(error.into()))
}

fn words(name: &str, text: &str, reading: &Reading, look: Look) -> String {
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
        return format!("{name}: nothing is wrong");
    }
    let shown = dayfly_config::rendered(&reading.findings, text, look);
    format!("{shown}\n\n{name}: {}", counts.join(", "))
}

/// The files that are meant: those that are named, or the one that counts here.
pub(crate) fn files(named: &[PathBuf], output: &mut Output<'_>) -> Result<Vec<PathBuf>, Error> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    Ok(vec![counting(output)?.ok_or(Error::NoConfiguration)?])
}

/// The file that counts in the current folder, if there is any.
pub(crate) fn counting(output: &mut Output<'_>) -> Result<Option<PathBuf>, Error> {
    let present: Vec<&str> = dayfly_config::PATHS
        .into_iter()
        .filter(|path| Path::new(path).is_file())
        .collect();
    let chosen = dayfly_config::choose(&present);
    if let Some(warning) = chosen.as_ref().and_then(dayfly_config::Choice::warning) {
        output.note(format!("warning: {warning}"))?;
    }
    Ok(chosen.map(|chosen| PathBuf::from(chosen.path)))
}

/// A file's text; standard input's for `-`.
pub(crate) fn text_of(path: &Path) -> Result<String, Error> {
    let read = if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    read.map_err(|error| Error::File {
        path: path.to_path_buf(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, text: &str) -> (String, bool, bool) {
        let reading = dayfly_config::read(name, text, Context::default());
        (
            words(name, text, &reading, Look::Plain),
            holds(&reading, false),
            holds(&reading, true),
        )
    }

    const GOOD: &str = "runners:\n  - {name: a, labels: [dayfly-a], gpu: t4, machine_image: ami-01234567}\n";

    #[test]
    fn a_file_ends_as_its_findings_say() {
        let (said, sound, strictly) = told(".dayfly.yml", GOOD);
        assert_eq!(
            (said.as_str(), sound, strictly),
            (".dayfly.yml: nothing is wrong", true, true)
        );
        let (said, sound, strictly) = told(".dayfly.yml", &format!("{GOOD}messanger: true\n"));
        assert!(
            said.ends_with("did you mean `messenger`?\n\n.dayfly.yml: 1 warning"),
            "{said}"
        );
        assert_eq!((sound, strictly), (true, false));
        let (said, sound, _) = told(".dayfly.yml", "messenger: maybe\nextends: 1\n");
        assert!(said.ends_with(".dayfly.yml: 2 errors") && !sound, "{said}");
    }

    #[test]
    fn as_json_each_finding_has_its_place() {
        let reading = dayfly_config::read(".dayfly.yml", "messenger: maybe\n", Context::default());
        let said: serde_json::Value = serde_json::from_str(&json(".dayfly.yml", &reading, false).unwrap()).unwrap();
        assert_eq!(said["valid"], false);
        let first = &said["findings"][0];
        assert_eq!(
            (&first["line"], &first["column"], &first["key"]),
            (&1.into(), &12.into(), &"messenger".into())
        );
    }
}
