//! `dayfly migrate`: turns a `.cirun.yml` into an equivalent `.dayfly.yml`.

use std::path::PathBuf;

use clap::Args;
use dayfly_config::migrate::{Migrated, migrate};
use dayfly_config::{Finding, RenderStyle, Severity};
use serde::Serialize;

use crate::config_file;
use crate::error::Error;
use crate::output::{CommandStatus, Output};

/// Turn a `.cirun.yml` into an equivalent `.dayfly.yml`.
///
/// The file is written to standard output, and what cannot be migrated is reported on standard error.
///
/// Exit status: 0 if all of it was migrated, 1 if an entry could not be, and 2 if the file cannot be read or
/// nothing in it can be migrated.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The file, `-` for standard input
    #[arg(default_value = ".cirun.yml")]
    file: PathBuf,
    /// Print JSON: the file's text, and the findings
    #[arg(long)]
    json: bool,
}

/// The JSON output.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// The `.dayfly.yml`, if anything can be migrated.
    text: Option<&'a str>,
    /// Whether all of it was migrated.
    all: bool,
    findings: &'a [Finding],
}

/// # Errors
/// The file cannot be read, or nothing in it can be migrated.
pub(crate) fn run(arguments: &Arguments, look: RenderStyle, output: &mut Output<'_>) -> Result<CommandStatus, Error> {
    let text = config_file::read(&arguments.file)?;
    // Under any name, it is read as a `.cirun.yml`.
    let name = match arguments.file.to_string_lossy() {
        name if name.contains("cirun") => name.into_owned(),
        name => format!("{name}/.cirun.yml"),
    };
    let Migrated { text: written, reading } = migrate(&name, &text);
    let left_out = reading.config.as_ref().is_some_and(|config| !config.skipped.is_empty());
    let all = !left_out && reading.count(Severity::Error) == 0;
    let status = CommandStatus::done_if(all);
    if arguments.json {
        let report = Report {
            text: written.as_deref(),
            all,
            findings: &reading.findings,
        };
        output.json(&report)?;
        return written
            .map(|_| status)
            .ok_or_else(|| Error::NothingToMigrate(arguments.file.clone()));
    }
    if !reading.findings.is_empty() {
        output.note(dayfly_config::render_findings(&reading.findings, &text, look))?;
        output.note("")?;
    }
    let Some(written) = written else {
        return Err(Error::NothingToMigrate(arguments.file.clone()));
    };
    output.result(written.trim_end())?;
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_goes_to_stdout_and_findings_to_stderr() {
        let folder = std::env::temp_dir().join(format!("dayfly-migrate-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(".cirun.yml");
        let entries = "  - {name: g, cloud: gcp, instance_type: n1, machine_image: x, labels: [cirun-gpu]}
  - {name: a, cloud: aws, instance_type: g4dn.xlarge, machine_image: ami-01234567, labels: [cirun-gpu]}
";
        std::fs::write(&file, format!("runners:\n{entries}")).unwrap();
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let status = run(
            &Arguments { file, json: false },
            RenderStyle::Plain,
            &mut Output::new(&mut out, &mut notes),
        )
        .unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        let (out, notes) = (String::from_utf8(out).unwrap(), String::from_utf8(notes).unwrap());
        assert_eq!(status, CommandStatus::NeedsAttention);
        assert!(
            out.contains("instance_type: g4dn.xlarge") && out.contains("# Left out"),
            "{out}"
        );
        assert!(notes.contains("launches on AWS only"), "{notes}");
        assert!(dayfly_config::Config::parse(&out).is_ok(), "{out}");
    }
}
