//! `dayfly migrate`: the `.dayfly.yml` that means the same as a `.cirun.yml`.

use std::path::PathBuf;

use clap::Args;
use dayfly_config::cirun::{Migrated, migrate};
use dayfly_config::{Finding, Look, Severity};
use serde::Serialize;

use crate::output::Output;
use crate::validate::text_of;
use crate::{Ending, Error};

/// Writes the `.dayfly.yml` that means the same as a `.cirun.yml`.
///
/// It goes to standard output, and what cannot be taken over to standard error.
///
/// Exit status: 0 if all of it could be taken over, 1 if an entry could not, and 2 if the file cannot be read
/// or nothing of it used.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The file, `-` for standard input
    #[arg(default_value = ".cirun.yml")]
    file: PathBuf,
    /// JSON in place of text: the file's text, and what was found on the way
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// The `.dayfly.yml`, if anything can be taken over.
    text: Option<&'a str>,
    /// Whether all of it was.
    all: bool,
    findings: &'a [Finding],
}

/// Carries out the command.
///
/// # Errors
/// If the file cannot be read or used.
pub fn run(arguments: &Arguments, look: Look, output: &mut Output<'_>) -> Result<Ending, Error> {
    let text = text_of(&arguments.file)?;
    // Whatever it is called, it is one of these.
    let name = match arguments.file.to_string_lossy() {
        name if name.contains("cirun") => name.into_owned(),
        name => format!("{name}/.cirun.yml"),
    };
    let Migrated { text: written, reading } = migrate(&name, &text);
    let left_out = reading.config.as_ref().is_some_and(|config| !config.passed.is_empty());
    let all = !left_out && reading.count(Severity::Error) == 0;
    let ending = if all { Ending::Done } else { Ending::SomethingStayed };
    if arguments.json {
        let report = Report {
            text: written.as_deref(),
            all,
            findings: &reading.findings,
        };
        output.json(&report)?;
        return written
            .map(|_| ending)
            .ok_or_else(|| Error::NothingToMigrate(arguments.file.clone()));
    }
    if !reading.findings.is_empty() {
        output.note(dayfly_config::rendered(&reading.findings, &text, look))?;
        output.note("")?;
    }
    let Some(written) = written else {
        return Err(Error::NothingToMigrate(arguments.file.clone()));
    };
    output.result(written.trim_end())?;
    Ok(ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_and_what_is_left_out_go_separate_ways() {
        let folder = std::env::temp_dir().join(format!("dayfly-migrate-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(".cirun.yml");
        let entries = "  - {name: g, cloud: gcp, instance_type: n1, machine_image: x, labels: [cirun-gpu]}
  - {name: a, cloud: aws, instance_type: g4dn.xlarge, machine_image: ami-01234567, labels: [cirun-gpu]}
";
        std::fs::write(&file, format!("runners:\n{entries}")).unwrap();
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let ending = run(
            &Arguments { file, json: false },
            Look::Plain,
            &mut Output::new(&mut out, &mut notes),
        )
        .unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        let (out, notes) = (String::from_utf8(out).unwrap(), String::from_utf8(notes).unwrap());
        assert_eq!(ending, Ending::SomethingStayed);
        assert!(
            out.contains("instance_type: g4dn.xlarge") && out.contains("# Left out"),
            "{out}"
        );
        assert!(notes.contains("launches on AWS only"), "{notes}");
        assert!(dayfly_config::Config::parse(&out).is_ok(), "{out}");
    }
}
