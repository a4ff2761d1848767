//! Checks that the twin's requests and answers conform to GitHub's own descriptions.
//!
//! The descriptions are npm packages, pinned in `tests/twin/schemas` and installed in `.tools/schemas`:
//! `@octokit/openapi` (REST), `@octokit/openapi-webhooks` and `@octokit/webhooks-schemas` (webhooks:
//! the former is newer, the latter stricter; a payload has to satisfy both).

mod cut;
mod rest;
#[cfg(test)]
mod tests;
mod webhooks;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jsonschema::Validator;
use serde_json::Value;

pub(crate) use self::rest::Exchange;

/// How to get the descriptions.
const INSTALL: &str = "mkdir -p .tools/schemas && cp tests/twin/schemas/package*.json .tools/schemas/ && npm ci --prefix .tools/schemas --ignore-scripts --no-audit --no-fund";

/// The folder that GitHub's descriptions are installed in: `DAYFLY_SCHEMAS`, else the checkout's
/// `.tools/schemas`.
#[must_use]
pub fn schemas_dir() -> PathBuf {
    std::env::var_os("DAYFLY_SCHEMAS").map_or_else(
        || {
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../../.tools/schemas")
                .components()
                .collect()
        },
        PathBuf::from,
    )
}

/// Why the descriptions cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// They aren't there.
    #[error(
        "GitHub's descriptions are not in `{dir}`: {source}\n\nhint: install them in the checkout with\n  {INSTALL}"
    )]
    Missing {
        /// Where they were looked for.
        dir: PathBuf,
        source: std::io::Error,
    },
    /// They are not what the twin knows how to read.
    #[error("`{path}` is not as expected: {why}")]
    Unexpected { path: PathBuf, why: String },
}

/// Checks values against GitHub's descriptions.
#[derive(Debug, Clone)]
pub(crate) struct Checker {
    shared: Arc<Descriptions>,
}

/// The descriptions, cut down to the twin's parts, and the validators built so far.
#[derive(Debug)]
struct Descriptions {
    rest: Value,
    webhooks: Value,
    strict: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Checker {
    /// Loads the descriptions; the second twin of a process shares the first one's.
    ///
    /// # Errors
    /// When they are missing or not as expected.
    pub(crate) fn load(dir: &Path) -> Result<Self, SchemaError> {
        static LOADED: OnceLock<Mutex<HashMap<PathBuf, Arc<Descriptions>>>> = OnceLock::new();
        let mut loaded = LOADED
            .get_or_init(Mutex::default)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let shared = if let Some(known) = loaded.get(dir) {
            Arc::clone(known)
        } else {
            let fresh = Arc::new(Descriptions {
                rest: cut::rest(dir)?,
                webhooks: cut::webhooks(dir)?,
                strict: cut::strict_webhooks(dir)?,
                validators: Mutex::default(),
            });
            loaded.insert(dir.to_owned(), Arc::clone(&fresh));
            fresh
        };
        Ok(Self { shared })
    }

    /// Returns a value's violations of a schema, as text; `name` is the schema's in the cache and in
    /// the text.
    fn violations(&self, name: &str, schema: impl FnOnce() -> Value, value: &Value) -> Vec<String> {
        let validator = {
            let mut validators = self.shared.validators.lock().unwrap_or_else(PoisonError::into_inner);
            match validators.get(name) {
                Some(known) => Arc::clone(known),
                None => match jsonschema::options().offline().build(&schema()) {
                    Ok(fresh) => {
                        let fresh = Arc::new(fresh);
                        validators.insert(name.to_owned(), Arc::clone(&fresh));
                        fresh
                    }
                    Err(error) => return vec![format!("{name}: the schema is unusable: {error}")],
                },
            }
        };
        validator
            .iter_errors(value)
            .map(|error| format!("{name}: at `{}`: {error}", error.instance_path()))
            .collect()
    }
}
