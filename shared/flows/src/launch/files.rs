//! The configuration of a repository's jobs: its own file, the file that it extends, and its organisation's.

mod cached;

use dayfly_config::cirun;
use dayfly_config::cirun::access::{self, Access};
use dayfly_config::{Config, Context, ExtendsError, FileLocation, Files, PATHS};
use dayfly_ports::{GitHub, Scope, Store};
use dayfly_records::CachedConfig;
use dayfly_types::ids::{Region, Repository};
use dayfly_types::time::Timestamp;

use super::Blocked;
use cached::CachedFiles;

/// Loads the configuration from the default branches, for a stack in `region` if that makes a difference.
///
/// # Errors
/// A file is invalid, or a service did not answer.
pub async fn load_files<S: Store, G: GitHub>(
    store: &S,
    github: &G,
    scope: &Scope,
    region: Option<&Region>,
    now: Timestamp,
) -> Result<Files, Blocked> {
    let cached = CachedFiles {
        store,
        github,
        installation: scope.installation,
        now,
    };
    let region = region.filter(|region| !region.as_str().is_empty());
    let context = Context { region };
    let own = cached.configuration(&scope.repository).await?;
    let files = match file(own) {
        Some((place, text)) => {
            let config = Config::of_file(&place.path, &text, context).map_err(Blocked::denied)?;
            Files::new(Some(place), config)
        }
        None => Files::new(None, Config::built_in().map_err(Blocked::denied)?),
    };
    if files.config.extends.is_some() {
        extended(&cached, files, context).await
    } else if files.uses_global() {
        match global(&cached, &scope.repository, context).await {
            Ok(Some((place, config, access))) => Ok(files.with_global(place, config, access)),
            Ok(None) => Ok(files),
            // The runners of the repository's own file stay available.
            Err(Blocked::Denied(why)) => Ok(Files {
                global_problem: Some(why),
                ..files
            }),
            Err(unavailable) => Err(unavailable),
        }
    } else {
        Ok(files)
    }
}

/// Adds the file that the repository's own file extends.
async fn extended<S: Store, G: GitHub>(
    cached: &CachedFiles<'_, S, G>,
    files: Files,
    context: Context<'_>,
) -> Result<Files, Blocked> {
    let Some((from, base)) = files.base().map_err(Blocked::denied)? else {
        return Ok(files);
    };
    let Some((place, text)) = file(cached.configuration(base).await?) else {
        return Err(Blocked::denied(ExtendsError::Missing {
            from: from.clone(),
            base: base.clone(),
        }));
    };
    let config = place.read(&text, context).map_err(Blocked::denied)?;
    files.extend(place, config).map_err(Blocked::denied)
}

/// An organisation's `.cirun.global.yml`: its place, its content, and who may use its runners.
type Global = (FileLocation, Config, Option<(Access, FileLocation)>);

/// Loads the `.cirun.global.yml` of a repository's organisation, if there is one.
async fn global<S: Store, G: GitHub>(
    cached: &CachedFiles<'_, S, G>,
    repository: &Repository,
    context: Context<'_>,
) -> Result<Option<Global>, Blocked> {
    let organization = repository.sibling(cirun::REPOSITORY);
    let Some((place, text)) = file(cached.file(&organization, cirun::GLOBAL_PATH).await?) else {
        return Ok(None);
    };
    let config = place.read(&text, context).map_err(Blocked::denied)?;
    let access = match file(cached.file(&organization, access::PATH).await?) {
        Some((place, text)) => Some((
            access::of_file(&place.full_path(), &text).map_err(Blocked::denied)?,
            place,
        )),
        None => None,
    };
    Ok(Some((place, config, access)))
}

/// Returns the place and text of a file that exists.
fn file(cached: CachedConfig) -> Option<(FileLocation, String)> {
    let CachedConfig {
        repository, path, text, ..
    } = cached;
    Some((FileLocation::new(&repository, path?), text?))
}
