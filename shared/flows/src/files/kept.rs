//! Files of repositories, from the table while they are fresh, else from GitHub.

use dayfly_config::choose;
use dayfly_ports::{ApiError, ApiErrorKind, ConfigFile, GitHub, Scope, Store};
use dayfly_records::{CachedConfig, Change, Stored};
use dayfly_types::deadlines::CONFIG_FRESH;
use dayfly_types::ids::{InstallationId, Repository};
use dayfly_types::time::Timestamp;
use futures_util::future::join_all;

use super::{Blocked, PATHS};

/// The table, and GitHub as an installation of the App.
pub(super) struct Kept<'a, S, G> {
    pub(super) store: &'a S,
    pub(super) github: &'a G,
    pub(super) installation: InstallationId,
    pub(super) now: Timestamp,
}

/// What GitHub has: where it lies, its ETag and its text.
#[derive(Default)]
struct Found {
    path: Option<String>,
    etag: Option<String>,
    text: Option<String>,
}

impl<S: Store, G: GitHub> Kept<'_, S, G> {
    /// A repository's configuration: the first file that counts.
    pub(super) async fn configuration(&self, repository: &Repository) -> Result<CachedConfig, Blocked> {
        self.get(repository, None).await
    }

    /// A file of a repository.
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

    /// Asks GitHub, with the ETag of what is known, and keeps the answer.
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
            // Whoever wrote in between has as good an answer.
            tracing::debug!(%repository, file, %error, "the file was not kept");
        }
        Ok(fresh)
    }

    /// The first of these files that is there.
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
                    self.look_for_others(scope, path, &paths[at + 1..]).await;
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

    /// Warns of files that are left aside, where the one that counts is new: whoever writes into one of
    /// them wonders why nothing changes.
    async fn look_for_others(&self, scope: &Scope, path: &str, others: &[&str]) {
        let asked = others.iter().map(|other| self.github.config_file(scope, other, None));
        let answers = join_all(asked).await;
        let there = others
            .iter()
            .zip(answers)
            .filter_map(|(other, answer)| matches!(answer, Ok(ConfigFile::Found { .. })).then_some(*other));
        let present: Vec<&str> = [path].into_iter().chain(there).collect();
        if let Some(warning) = choose(&present).and_then(|choice| choice.warning()) {
            tracing::warn!(repository = %scope.repository, warning, "more than one configuration");
        }
    }
}
