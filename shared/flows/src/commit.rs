//! Optimistic writes to the table: load, decide, commit, and decide again where another call wrote first.

use dayfly_ports::{Store, StoreError};
use dayfly_records::Change;

/// How often a decision is made before the event is left to be delivered again.
pub const MAX_CONFLICTS: usize = 8;

/// Commits what `decide` loads and decides. On a conflict it decides again, at most [`MAX_CONFLICTS`] times.
/// Without changes nothing is written.
///
/// # Errors
/// Those of `decide`, the table does not answer, or every try met a conflict.
pub async fn commit_retrying<S: Store, T, E: From<StoreError>>(
    store: &S,
    decide: impl AsyncFnMut() -> Result<(Vec<Change>, T), E>,
) -> Result<T, E> {
    commit_with_tries(store, MAX_CONFLICTS, decide).await
}

/// [`commit_retrying`] with another number of tries.
pub(crate) async fn commit_with_tries<S: Store, T, E: From<StoreError>>(
    store: &S,
    tries: usize,
    mut decide: impl AsyncFnMut() -> Result<(Vec<Change>, T), E>,
) -> Result<T, E> {
    for _ in 0..tries {
        let (changes, decided) = decide().await?;
        if changes.is_empty() || commit_if_current(store, changes).await? {
            return Ok(decided);
        }
    }
    Err(StoreError::Conflict.into())
}

/// Commits once. Returns `false` if a record has changed since it was read.
///
/// # Errors
/// The table does not answer.
pub async fn commit_if_current<S: Store>(store: &S, changes: Vec<Change>) -> Result<bool, StoreError> {
    match store.commit(changes).await {
        Ok(()) => Ok(true),
        Err(StoreError::Conflict) => Ok(false),
        Err(error) => Err(error),
    }
}
