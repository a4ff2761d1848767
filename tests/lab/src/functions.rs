//! The eight functions: their names, and their binaries in Lambda's package format.

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The variable that overrides the folder of the binaries, by default the lab's own.
pub const BINARIES_VARIABLE: &str = "DAYFLY_BINARIES";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Function {
    Webhook,
    Launch,
    Checkin,
    JobEvents,
    Interruption,
    Sweeper,
    Reporter,
    Dashboard,
}

impl Function {
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

    /// Returns its name in lower case, as in `dayfly-<name>`.
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

    /// Returns the prefix of its logical ids in the template: `Webhook`.
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

    #[must_use]
    pub fn binary(self) -> String {
        format!("dayfly-{}", self.name())
    }

    #[must_use]
    pub fn logical_id(self) -> String {
        format!("{}Function", self.title())
    }

    /// Returns the stack's output with its real name.
    #[must_use]
    pub fn output(self) -> String {
        format!("{}FunctionName", self.title())
    }
}

/// Returns the folder with the binaries: cargo puts all of a profile into one.
///
/// # Errors
/// If the path of the running program is unknown.
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

/// Returns the path of a built binary.
///
/// # Errors
/// If it is not built, with the command to build it.
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

/// Returns a deployment package: the binary as `bootstrap`, without its debug information.
///
/// # Errors
/// If the binary cannot be read or packaged.
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
        // Scripts cannot be stripped, and machines without binutils need not strip: it only makes
        // packages smaller.
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
