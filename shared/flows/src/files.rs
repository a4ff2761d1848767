//! What counts for a repository's jobs: its own file, the one that it extends, and its organisation's.

mod kept;

use dayfly_config::cirun;
use dayfly_config::cirun::access::{self, Access};
use dayfly_config::{Config, Context, ExtendsError, Files, PATHS, Place};
use dayfly_ports::{GitHub, Scope, Store};
use dayfly_records::CachedConfig;
use dayfly_types::ids::{Region, Repository};
use dayfly_types::time::Timestamp;

use crate::blocked::Blocked;
use kept::Kept;

/// Loads what is said on the default branches, for a stack in `region` if that makes a difference.
///
/// # Errors
/// What is said is wrong, or something did not answer.
pub async fn load_files<S: Store, G: GitHub>(
    store: &S,
    github: &G,
    scope: &Scope,
    region: Option<&Region>,
    now: Timestamp,
) -> Result<Files, Blocked> {
    let kept = Kept {
        store,
        github,
        installation: scope.installation,
        now,
    };
    let region = region.filter(|region| !region.as_str().is_empty());
    let context = Context { region };
    let own = kept.configuration(&scope.repository).await?;
    let files = match file(own) {
        Some((place, text)) => {
            let config = Config::of_file(&place.path, &text, context).map_err(Blocked::denied)?;
            Files::new(Some(place), config)
        }
        None => Files::new(None, Config::built_in().map_err(Blocked::denied)?),
    };
    if files.config.extends.is_some() {
        extended(&kept, files, context).await
    } else if files.take_global() {
        match global(&kept, &scope.repository, context).await {
            Ok(Some((place, config, access))) => Ok(files.with_global(place, config, access)),
            Ok(None) => Ok(files),
            // It takes nothing from those whom the repository's own file serves.
            Err(Blocked::Denied(why)) => Ok(Files {
                trouble: Some(why),
                ..files
            }),
            Err(unavailable) => Err(unavailable),
        }
    } else {
        Ok(files)
    }
}

/// With the file that the repository's own extends.
async fn extended<S: Store, G: GitHub>(
    kept: &Kept<'_, S, G>,
    files: Files,
    context: Context<'_>,
) -> Result<Files, Blocked> {
    let Some((from, base)) = files.base().map_err(Blocked::denied)? else {
        return Ok(files);
    };
    let Some((place, text)) = file(kept.configuration(base).await?) else {
        return Err(Blocked::denied(ExtendsError::Missing {
            from: from.clone(),
            base: base.clone(),
        }));
    };
    let config = place.read(&text, context).map_err(Blocked::denied)?;
    files.extend(place, config).map_err(Blocked::denied)
}

/// An organisation's `.cirun.global.yml`, where it lies, and who may use its runners.
type Global = (Place, Config, Option<(Access, Place)>);

/// The `.cirun.global.yml` of a repository's organisation, if there is one.
async fn global<S: Store, G: GitHub>(
    kept: &Kept<'_, S, G>,
    repository: &Repository,
    context: Context<'_>,
) -> Result<Option<Global>, Blocked> {
    let organization = repository.beside(cirun::REPOSITORY);
    let Some((place, text)) = file(kept.file(&organization, cirun::GLOBAL_PATH).await?) else {
        return Ok(None);
    };
    let config = place.read(&text, context).map_err(Blocked::denied)?;
    let access = match file(kept.file(&organization, access::PATH).await?) {
        Some((place, text)) => Some((access::of_file(&place.long(), &text).map_err(Blocked::denied)?, place)),
        None => None,
    };
    Ok(Some((place, config, access)))
}

/// Where a file lies, and its text, if it is there.
fn file(kept: CachedConfig) -> Option<(Place, String)> {
    let CachedConfig {
        repository, path, text, ..
    } = kept;
    Some((Place::new(&repository, path?), text?))
}
