//! Answers that were got before: GitHub answers `304` while nothing has changed, which costs nothing of
//! the rate limit.
//!
//! <https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate>

use std::collections::VecDeque;
use std::sync::Mutex;

use bytes::Bytes;

use crate::limits::Identity;
use crate::locked;

/// Some dozens of repositories, with what a patrol asks of each.
const MAX_ENTRIES: usize = 256;

/// A small part of a Lambda's memory; a hundred runs take one or two megabytes.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// An answer and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) etag: String,
    pub(crate) body: Bytes,
}

#[derive(Debug)]
struct Entry {
    identity: Identity,
    path: String,
    kept: Kept,
}

/// The answers that are kept, the one that was longest not asked for first. What one installation may
/// see is kept apart from what another may.
#[derive(Debug, Default)]
pub(crate) struct Etags {
    entries: Mutex<VecDeque<Entry>>,
}

impl Etags {
    /// The answer of last time.
    pub(crate) fn get(&self, identity: Identity, path: &str) -> Option<Kept> {
        let mut entries = locked(&self.entries);
        let entry = take(&mut entries, identity, path)?;
        let kept = entry.kept.clone();
        entries.push_back(entry);
        Some(kept)
    }

    /// Keeps an answer, in the place of the one before and of the oldest ones.
    pub(crate) fn keep(&self, identity: Identity, path: &str, kept: Kept) {
        let mut entries = locked(&self.entries);
        take(&mut entries, identity, path);
        if kept.body.len() > MAX_BYTES {
            return;
        }
        entries.push_back(Entry {
            identity,
            path: path.to_owned(),
            kept,
        });
        let mut bytes: usize = entries.iter().map(|entry| entry.kept.body.len()).sum();
        while entries.len() > MAX_ENTRIES || bytes > MAX_BYTES {
            let Some(oldest) = entries.pop_front() else { return };
            bytes -= oldest.kept.body.len();
        }
    }
}

fn take(entries: &mut VecDeque<Entry>, identity: Identity, path: &str) -> Option<Entry> {
    let same = |entry: &Entry| entry.identity == identity && entry.path == path;
    let place = entries.iter().position(same)?;
    entries.remove(place)
}

#[cfg(test)]
mod tests {
    use dayfly_types::ids::InstallationId;

    use super::*;

    const SEVEN: Identity = Identity::Installation(InstallationId(7));

    fn of(etag: &str, bytes: usize) -> Kept {
        Kept {
            etag: etag.to_owned(),
            body: vec![b' '; bytes].into(),
        }
    }

    #[test]
    fn an_answer_is_kept_for_who_got_it_until_the_next() {
        let etags = Etags::default();
        etags.keep(SEVEN, "/a", of("1", 1));
        assert_eq!(etags.get(SEVEN, "/a"), Some(of("1", 1)));
        assert_eq!(etags.get(SEVEN, "/b"), None);
        assert_eq!(etags.get(InstallationId(8).into(), "/a"), None);
        assert_eq!(etags.get(Identity::App, "/a"), None);
        etags.keep(SEVEN, "/a", of("2", 2));
        assert_eq!(etags.get(SEVEN, "/a"), Some(of("2", 2)));
        assert_eq!(locked(&etags.entries).len(), 1);
    }

    #[test]
    fn of_too_many_answers_the_one_longest_not_asked_for_goes() {
        let etags = Etags::default();
        for number in 0..MAX_ENTRIES {
            etags.keep(SEVEN, &format!("/{number}"), of("1", 1));
        }
        etags.get(SEVEN, "/0").unwrap();
        etags.keep(SEVEN, "/one-more", of("1", 1));
        assert!(etags.get(SEVEN, "/0").is_some());
        assert_eq!(etags.get(SEVEN, "/1"), None);
        assert!(etags.get(SEVEN, "/2").is_some());
    }

    #[test]
    fn answers_that_are_too_big_together_make_room() {
        let etags = Etags::default();
        for path in ["/a", "/b", "/c"] {
            etags.keep(SEVEN, path, of("1", MAX_BYTES / 2));
        }
        assert_eq!(etags.get(SEVEN, "/a"), None);
        assert!(etags.get(SEVEN, "/b").is_some());
        etags.keep(SEVEN, "/b", of("2", MAX_BYTES + 1));
        assert_eq!(etags.get(SEVEN, "/b"), None, "the one before is no longer true");
        assert!(etags.get(SEVEN, "/c").is_some());
    }
}
