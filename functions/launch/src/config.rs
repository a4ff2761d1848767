//! The repository's configuration, from the table while it is fresh, else from GitHub.

use dayfly_core::config::{Config, Context, PATHS};
use dayfly_core::deadlines::CONFIG_FRESH;
use dayfly_core::ids::Region;
use dayfly_core::record::{CachedConfig, Change, Stored};
use dayfly_core::time::Timestamp;
use dayfly_ports::{ApiError, ApiErrorKind, ConfigFile, GitHub, Scope, Store};

use crate::NoPlan;

/// Loads the configuration of the repository's default branch, for a stack in `region`.
pub async fn load<S: Store, G: GitHub>(
    store: &S,
    github: &G,
    scope: &Scope,
    region: &Region,
    now: Timestamp,
) -> Result<Config, NoPlan> {
    let known = store
        .config(&scope.repository)
        .await
        .map_err(|error| NoPlan::Unavailable(error.to_string(), None))?;
    let config = match known {
        Some(Stored { record, .. }) if now.since(record.checked_at) < CONFIG_FRESH => record,
        known => ask(store, github, scope, known, now).await?,
    };
    let region = Some(region).filter(|region| !region.as_str().is_empty());
    match (config.path, config.text) {
        (Some(path), Some(text)) => Config::of_file(&path, &text, Context { region }),
        _ => Config::built_in(),
    }
    .map_err(|error| NoPlan::Refused(error.to_string()))
}

/// Asks GitHub, with the ETag of what is known, and keeps the answer.
async fn ask<S: Store, G: GitHub>(
    store: &S,
    github: &G,
    scope: &Scope,
    known: Option<Stored<CachedConfig>>,
    now: Timestamp,
) -> Result<CachedConfig, NoPlan> {
    let before = known.as_ref().map(|stored| &stored.record);
    let (path, etag, text) = found(github, scope, before).await.map_err(|error| match error.kind {
        ApiErrorKind::Forbidden => NoPlan::Refused(format!(
            "{error}: give the GitHub App the permission `contents: read` in {}",
            scope.repository
        )),
        ApiErrorKind::NotFound
        | ApiErrorKind::BadRequest
        | ApiErrorKind::RateLimited(_)
        | ApiErrorKind::Unavailable => NoPlan::Unavailable(error.to_string(), error.wait()),
    })?;
    let fresh = CachedConfig {
        repository: scope.repository.clone(),
        path,
        etag,
        text,
        checked_at: now,
    };
    if let Err(error) = store.commit(vec![Change::put(known.as_ref(), fresh.clone())]).await {
        // Whoever wrote in between has as good an answer.
        tracing::debug!(repository = %scope.repository, %error, "the configuration was not kept");
    }
    Ok(fresh)
}

/// The first file that counts: where it lies, its ETag and its text.
async fn found<G: GitHub>(
    github: &G,
    scope: &Scope,
    before: Option<&CachedConfig>,
) -> Result<(Option<String>, Option<String>, Option<String>), ApiError> {
    for path in PATHS {
        let known = before.filter(|known| known.path.as_deref() == Some(path) && known.text.is_some());
        let etag = known.and_then(|known| known.etag.as_deref());
        match github.config_file(scope, path, etag).await? {
            ConfigFile::NotModified => {
                let text = known.and_then(|known| known.text.clone());
                return Ok((Some(path.to_owned()), etag.map(str::to_owned), text));
            }
            ConfigFile::Found { etag, text } => return Ok((Some(path.to_owned()), etag, Some(text))),
            ConfigFile::Missing => {}
        }
    }
    Ok((None, None, None))
}
