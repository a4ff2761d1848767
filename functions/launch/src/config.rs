//! The repository's configuration, from the table while it is fresh, else from GitHub.

use dayfly_core::config::{CONFIG_PATH, Config};
use dayfly_core::deadlines::CONFIG_FRESH;
use dayfly_core::record::{CachedConfig, Change, Stored};
use dayfly_core::time::Timestamp;
use dayfly_ports::{ApiErrorKind, ConfigFile, GitHub, Scope, Store};

use crate::NoPlan;

/// Loads the configuration of the repository's default branch.
pub async fn load<S: Store, G: GitHub>(store: &S, github: &G, scope: &Scope, now: Timestamp) -> Result<Config, NoPlan> {
    let known = store
        .config(&scope.repository)
        .await
        .map_err(|error| NoPlan::Unavailable(error.to_string(), None))?;
    let text = match known {
        Some(Stored { record, .. }) if now.since(record.checked_at) < CONFIG_FRESH => record.text,
        known => ask(store, github, scope, known, now).await?,
    };
    match text {
        Some(text) => Config::parse(&text),
        None => Config::built_in(),
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
) -> Result<Option<String>, NoPlan> {
    let etag = known.as_ref().and_then(|stored| stored.record.etag.as_deref());
    let answer = github
        .config_file(scope, CONFIG_PATH, etag)
        .await
        .map_err(|error| match error.kind {
            ApiErrorKind::Forbidden => NoPlan::Refused(format!(
                "{error}: give the GitHub App the permission `contents: read` in {}",
                scope.repository
            )),
            ApiErrorKind::NotFound
            | ApiErrorKind::BadRequest
            | ApiErrorKind::RateLimited(_)
            | ApiErrorKind::Unavailable => NoPlan::Unavailable(error.to_string(), error.wait()),
        })?;
    let (etag, text) = match answer {
        ConfigFile::NotModified => known.as_ref().map_or((None, None), |stored| {
            (stored.record.etag.clone(), stored.record.text.clone())
        }),
        ConfigFile::Found { etag, text } => (etag, Some(text)),
        ConfigFile::Missing => (None, None),
    };
    let fresh = CachedConfig {
        repository: scope.repository.clone(),
        etag,
        text: text.clone(),
        checked_at: now,
    };
    if let Err(error) = store.commit(vec![Change::put(known.as_ref(), fresh)]).await {
        // Whoever wrote in between has as good an answer.
        tracing::debug!(repository = %scope.repository, %error, "the configuration was not kept");
    }
    Ok(text)
}
