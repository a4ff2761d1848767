//! Facts about the tree, read from `cargo metadata` and the files themselves, for the tests beside this crate.
//! Its dependencies are explained in its `Cargo.toml`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the root of the checkout.
#[must_use]
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns what `cargo` prints for these arguments in the checkout.
///
/// # Errors
/// If cargo cannot be run or fails, with its words.
pub fn cargo(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(checkout())
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

/// Returns the names of the crates that users get, without `dayfly-`: those in `shared` and `functions`, the agent
/// and the command.
#[must_use]
pub fn product_crates() -> Vec<String> {
    let mut names = vec!["agent".to_owned(), "cli".to_owned()];
    for parent in ["functions", "shared"] {
        for entry in std::fs::read_dir(checkout().join(parent))
            .into_iter()
            .flatten()
            .flatten()
        {
            if entry.path().join("Cargo.toml").exists() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    names
}

/// Returns the folder of a product crate.
#[must_use]
pub fn folder_of(name: &str) -> PathBuf {
    let within = ["shared", "functions", "."].map(|parent| checkout().join(parent).join(name));
    within
        .iter()
        .find(|folder| folder.exists())
        .cloned()
        .unwrap_or_default()
}

/// Returns how many lines of a file are the product's: none of a test file, and all but the inline test modules of
/// another.
///
/// # Errors
/// If the file cannot be read.
pub fn lines_of(file: &Path) -> std::io::Result<usize> {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_test = name == "fixtures.rs"
        || name == "tests.rs"
        || name.ends_with("_tests.rs")
        || name.ends_with("_properties.rs")
        || file.components().any(|part| part.as_os_str() == "tests");
    if is_test {
        return Ok(0);
    }
    let text = std::fs::read_to_string(file)?;
    let mut lines = text.lines();
    let mut count = 0;
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            count += 1;
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let item = lines
            .by_ref()
            .find(|line| !line.trim_start().starts_with("#["))
            .unwrap_or_default();
        if item.ends_with('{') {
            let ends =
                |line: &&str| line.len() - line.trim_start().len() == indent && line.trim_start().starts_with('}');
            lines.by_ref().find(ends);
        }
    }
    Ok(count)
}
