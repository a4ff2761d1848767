//! The configuration files that commands read.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::output::Output;

/// Finds the configuration that applies in the current folder, if any.
pub(crate) fn find(output: &mut Output<'_>) -> Result<Option<PathBuf>, Error> {
    let present: Vec<&str> = dayfly_config::PATHS
        .into_iter()
        .filter(|path| Path::new(path).is_file())
        .collect();
    let chosen = dayfly_config::choose_file(&present);
    if let Some(warning) = chosen.as_ref().and_then(dayfly_config::ChosenFile::warning) {
        output.note(format!("warning: {warning}"))?;
    }
    Ok(chosen.map(|chosen| PathBuf::from(chosen.path)))
}

/// Reads a file, or standard input for `-`.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
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
