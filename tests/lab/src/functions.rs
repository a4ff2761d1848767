//! The eight functions: their names, and their binaries as Lambda wants them.

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The folder of the binaries, when it is not the one that the lab itself was built into.
pub const BINARIES_VARIABLE: &str = "DAYFLY_BINARIES";

/// A function of dayfly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Function {
    /// Takes GitHub's webhooks.
    Webhook,
    /// Launches instances.
    Launch,
    /// Speaks with instances.
    Checkin,
    /// Ends what is over.
    JobEvents,
    /// Hears EC2 take instances back.
    Interruption,
    /// Acts on deadlines.
    Sweeper,
    /// Says on commits what becomes of jobs.
    Reporter,
    /// Shows the board.
    Dashboard,
}

impl Function {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Webhook,
        Self::Launch,
        Self::Checkin,
        Self::JobEvents,
        Self::Interruption,
        Self::Sweeper,
        Self::Reporter,
        Self::Dashboard,
    ];

    /// Its name in lower case, as in `dayfly-<name>`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Launch => "launch",
            Self::Checkin => "checkin",
            Self::JobEvents => "job-events",
            Self::Interruption => "interruption",
            Self::Sweeper => "sweeper",
            Self::Reporter => "reporter",
            Self::Dashboard => "dashboard",
        }
    }

    /// Its name as the template's logical ids begin: `Webhook`.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Webhook => "Webhook",
            Self::Launch => "Launch",
            Self::Checkin => "Checkin",
            Self::JobEvents => "JobEvents",
            Self::Interruption => "Interruption",
            Self::Sweeper => "Sweeper",
            Self::Reporter => "Reporter",
            Self::Dashboard => "Dashboard",
        }
    }

    /// The binary's name.
    #[must_use]
    pub fn binary(self) -> String {
        format!("dayfly-{}", self.name())
    }

    /// Its logical id in the template.
    #[must_use]
    pub fn logical_id(self) -> String {
        format!("{}Function", self.title())
    }

    /// The stack's output that holds its real name.
    #[must_use]
    pub fn output(self) -> String {
        format!("{}FunctionName", self.title())
    }
}

/// The folder that holds the binaries: cargo puts all of a profile into one.
///
/// # Errors
/// When the running program's place cannot be told.
pub fn binaries() -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os(BINARIES_VARIABLE) {
        return Ok(folder.into());
    }
    let this = std::env::current_exe().context("where this program lies")?;
    let folder = this.parent().context("this program lies nowhere")?;
    // Test programs lie one folder deeper.
    let folder = if folder.ends_with("deps") {
        folder.parent().unwrap_or(folder)
    } else {
        folder
    };
    Ok(folder.to_owned())
}

/// The path of a built binary.
///
/// # Errors
/// When it is not built; says how to.
pub fn built(folder: &Path, binary: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join(binary);
    if !path.is_file() {
        bail!(
            "`{}` is not built\n\nhelp: run `cargo build --bin {binary}`",
            path.display()
        );
    }
    Ok(path)
}

/// A deployment package: the binary as `bootstrap`, without its debug information.
///
/// # Errors
/// When the binary cannot be read or the package not be made.
pub fn package(binary: &Path, scratch: &Path) -> anyhow::Result<Vec<u8>> {
    let name = binary.file_name().context("a binary has a name")?;
    let stripped = scratch.join(name);
    let strip = Command::new("strip")
        .arg("--strip-all")
        .arg("-o")
        .arg(&stripped)
        .arg(binary)
        .output();
    let program = match strip {
        Ok(output) if output.status.success() => std::fs::read(&stripped)?,
        // Scripts cannot be stripped, and machines without binutils need not: it only makes them
        // smaller.
        _ => std::fs::read(binary).with_context(|| binary.display().to_string())?,
    };
    zipped("bootstrap", &program)
}

fn zipped(name: &str, content: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .unix_permissions(0o755);
    zip.start_file(name, options)?;
    zip.write_all(content)?;
    Ok(zip.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_holds_an_executable_bootstrap() {
        let bytes = zipped("bootstrap", b"#!/bin/sh\n").unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let file = archive.by_name("bootstrap").unwrap();
        assert_eq!(file.unix_mode().unwrap() & 0o777, 0o755);
        assert_eq!(file.size(), 10);
    }

    #[test]
    fn a_missing_binary_says_how_to_build_it() {
        let error = built(Path::new("/nonexistent"), "dayfly-webhook").unwrap_err();
        assert!(
            error.to_string().contains("cargo build --bin dayfly-webhook"),
            "{error}"
        );
    }
}
