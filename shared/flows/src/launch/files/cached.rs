//! Files of repositories, cached in the table while they are fresh.

use dayfly_config::choose_file;
use dayfly_ports::{ApiError, ApiErrorKind, ConfigFile, GitHub, Scope, Store};
use dayfly_records::{CachedConfig, Change, Stored};
use dayfly_types::deadlines::CONFIG_FRESH;
use dayfly_types::ids::{InstallationId, Repository};
use dayfly_types::time::Timestamp;
use futures_util::future::join_all;

use super::{Blocked, PATHS};

/// Files as an installation of the App sees them.
pub(super) struct CachedFiles<'a, S, G> {
    pub(super) store: &'a S,
    pub(super) github: &'a G,
    pub(super) installation: InstallationId,
    pub(super) now: Timestamp,
}

/// GitHub's answer.
#[derive(Default)]
struct Found {
    path: Option<String>,
    etag: Option<String>,
    text: Option<String>,
}

impl<S: Store, G: GitHub> CachedFiles<'_, S, G> {
    /// Returns a repository's configuration: the first of [`PATHS`] that exists.
    pub(super) async fn configuration(&self, repository: &Repository) -> Result<CachedConfig, Blocked> {
        self.get(repository, None).await
    }

    pub(super) async fn file(&self, repository: &Repository, path: &str) -> Result<CachedConfig, Blocked> {
        self.get(repository, Some(path)).await
    }

    async fn get(&self, repository: &Repository, file: Option<&str>) -> Result<CachedConfig, Blocked> {
        let known = self
            .store
            .config(repository, file)
            .await
            .map_err(Blocked::unavailable)?;
        match known {
            Some(Stored { record, .. }) if self.now.since(record.checked_at) < CONFIG_FRESH => Ok(record),
            known => self.ask(repository, file, known).await,
        }
    }

    /// Asks GitHub, with the ETag of the cached file, and caches the answer.
    async fn ask(
        &self,
        repository: &Repository,
        file: Option<&str>,
        known: Option<Stored<CachedConfig>>,
    ) -> Result<CachedConfig, Blocked> {
        let scope = Scope {
            installation: self.installation,
            repository: repository.clone(),
        };
        let before = known.as_ref().map(|stored| &stored.record);
        let found = match file {
            Some(path) => self.first(&scope, &[path], before).await,
            None => self.first(&scope, &PATHS, before).await,
        };
        let Found { path, etag, text } = found.map_err(|error| match error.kind {
            ApiErrorKind::Forbidden => Blocked::Denied(format!(
                "{error}: give the GitHub App the permission `contents: read` in {repository}"
            )),
            ApiErrorKind::NotFound
            | ApiErrorKind::BadRequest
            | ApiErrorKind::RateLimited(_)
            | ApiErrorKind::Unavailable => error.into(),
        })?;
        let fresh = CachedConfig {
            repository: repository.clone(),
            file: file.map(str::to_owned),
            path,
            etag,
            text,
            checked_at: self.now,
        };
        if let Err(error) = self
            .store
            .commit(vec![Change::put(known.as_ref(), fresh.clone())])
            .await
        {
            // Another call wrote in between, with an answer just as good.
            tracing::debug!(%repository, file, %error, "the file was not cached");
        }
        Ok(fresh)
    }

    /// Returns the first of these files that exists.
    async fn first(&self, scope: &Scope, paths: &[&str], before: Option<&CachedConfig>) -> Result<Found, ApiError> {
        for (at, path) in paths.iter().enumerate() {
            let known = before.filter(|known| known.path.as_deref() == Some(path) && known.text.is_some());
            let etag = known.and_then(|known| known.etag.as_deref());
            match self.github.config_file(scope, path, etag).await? {
                ConfigFile::NotModified => {
                    return Ok(Found {
                        path: Some((*path).to_owned()),
                        etag: etag.map(str::to_owned),
                        text: known.and_then(|known| known.text.clone()),
                    });
                }
                ConfigFile::Found { etag, text } => {
                    self.warn_of_other_files(scope, path, &paths[at + 1..]).await;
                    return Ok(Found {
                        path: Some((*path).to_owned()),
                        etag,
                        text: Some(text),
                    });
                }
                ConfigFile::Missing => {}
            }
        }
        Ok(Found::default())
    }

    /// Warns of files that are ignored, when the one that counts is new: edits to them change nothing.
    async fn warn_of_other_files(&self, scope: &Scope, path: &str, others: &[&str]) {
        let requests = others.iter().map(|other| self.github.config_file(scope, other, None));
        let answers = join_all(requests).await;
        let existing = others
            .iter()
            .zip(answers)
            .filter_map(|(other, answer)| matches!(answer, Ok(ConfigFile::Found { .. })).then_some(*other));
        let present: Vec<&str> = [path].into_iter().chain(existing).collect();
        if let Some(warning) = choose_file(&present).and_then(|choice| choice.warning()) {
            tracing::warn!(repository = %scope.repository, warning, "more than one configuration");
        }
    }
}
