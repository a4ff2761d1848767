//! A cache of answers: GitHub replies `304` while nothing has changed, which does not count against the
//! rate limit.
//!
//! <https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate>

use std::collections::VecDeque;
use std::sync::Mutex;

use bytes::Bytes;

use crate::limits::Identity;
use crate::locked;

/// Enough for the patrol's calls to some dozens of repositories.
const MAX_ENTRIES: usize = 256;

/// A small part of a Lambda's memory; a hundred runs take one or two megabytes.
const MAX_BYTES: usize = 8 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CachedAnswer {
    pub(crate) etag: String,
    pub(crate) body: Bytes,
}

#[derive(Debug)]
struct Entry {
    identity: Identity,
    path: String,
    cached: CachedAnswer,
}

/// The cached answers, least recently used first. Each installation sees only its own.
#[derive(Debug, Default)]
pub(crate) struct Etags {
    entries: Mutex<VecDeque<Entry>>,
}

impl Etags {
    pub(crate) fn get(&self, identity: Identity, path: &str) -> Option<CachedAnswer> {
        let mut entries = locked(&self.entries);
        let entry = take(&mut entries, identity, path)?;
        let cached = entry.cached.clone();
        entries.push_back(entry);
        Some(cached)
    }

    /// Caches an answer in place of the previous one, and evicts the oldest ones.
    pub(crate) fn insert(&self, identity: Identity, path: &str, cached: CachedAnswer) {
        let mut entries = locked(&self.entries);
        take(&mut entries, identity, path);
        if cached.body.len() > MAX_BYTES {
            return;
        }
        entries.push_back(Entry {
            identity,
            path: path.to_owned(),
            cached,
        });
        let mut bytes: usize = entries.iter().map(|entry| entry.cached.body.len()).sum();
        while entries.len() > MAX_ENTRIES || bytes > MAX_BYTES {
            let Some(oldest) = entries.pop_front() else { return };
            bytes -= oldest.cached.body.len();
        }
    }
}

fn take(entries: &mut VecDeque<Entry>, identity: Identity, path: &str) -> Option<Entry> {
    let same = |entry: &Entry| entry.identity == identity && entry.path == path;
    let position = entries.iter().position(same)?;
    entries.remove(position)
}

#[cfg(test)]
mod tests {
    use dayfly_types::ids::InstallationId;

    use super::*;

    const SEVEN: Identity = Identity::Installation(InstallationId(7));

    fn of(etag: &str, bytes: usize) -> CachedAnswer {
        CachedAnswer {
            etag: etag.to_owned(),
            body: vec![b' '; bytes].into(),
        }
    }

    #[test]
    fn an_answer_is_cached_for_its_identity_until_the_next() {
        let etags = Etags::default();
        etags.insert(SEVEN, "/a", of("1", 1));
        assert_eq!(etags.get(SEVEN, "/a"), Some(of("1", 1)));
        assert_eq!(etags.get(SEVEN, "/b"), None);
        assert_eq!(etags.get(InstallationId(8).into(), "/a"), None);
        assert_eq!(etags.get(Identity::App, "/a"), None);
        etags.insert(SEVEN, "/a", of("2", 2));
        assert_eq!(etags.get(SEVEN, "/a"), Some(of("2", 2)));
        assert_eq!(locked(&etags.entries).len(), 1);
    }

    #[test]
    fn the_least_recently_used_answer_is_evicted() {
        let etags = Etags::default();
        for number in 0..MAX_ENTRIES {
            etags.insert(SEVEN, &format!("/{number}"), of("1", 1));
        }
        etags.get(SEVEN, "/0").unwrap();
        etags.insert(SEVEN, "/one-more", of("1", 1));
        assert!(etags.get(SEVEN, "/0").is_some());
        assert_eq!(etags.get(SEVEN, "/1"), None);
        assert!(etags.get(SEVEN, "/2").is_some());
    }

    #[test]
    fn answers_are_evicted_once_they_are_too_big_together() {
        let etags = Etags::default();
        for path in ["/a", "/b", "/c"] {
            etags.insert(SEVEN, path, of("1", MAX_BYTES / 2));
        }
        assert_eq!(etags.get(SEVEN, "/a"), None);
        assert!(etags.get(SEVEN, "/b").is_some());
        etags.insert(SEVEN, "/b", of("2", MAX_BYTES + 1));
        assert_eq!(etags.get(SEVEN, "/b"), None, "the previous answer is outdated");
        assert!(etags.get(SEVEN, "/c").is_some());
    }
}
