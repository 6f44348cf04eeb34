//! The seam: an ordered, transactional key-value store with optimistic concurrency and commit versions.
//!
//! Everything above it is written once and is the same on every backend. The contract is FoundationDB's: a transaction
//! reads the state as of its read version, buffers its writes, and commits only when nothing that it read has changed
//! since. What a backend must do beyond these signatures is what `conformance` checks.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Result;

/// A store: transactions, a wake-up call, and the version that a new transaction would read.
#[async_trait]
pub trait Kv: Send + Sync + fmt::Debug {
    /// Begins a transaction at the latest version that is visible.
    async fn begin(&self) -> Result<Box<dyn Txn>>;

    /// Resolves once something was appended under exactly `prefix`, or the key `prefix` itself was written, by a commit
    /// after `since`: at once when that has already happened.
    ///
    /// It is a wake-up and never the truth: it may resolve too often, so read what you are interested in afterwards,
    /// and call again with the version that you have seen.
    async fn changed(&self, prefix: &[u8], since: Version) -> Result<()>;

    /// The version that a transaction begun now would read.
    async fn version(&self) -> Result<Version>;
}

/// A transaction: reads at one version, its own writes on top, and one atomic commit.
///
/// Reads take `&self`, so many can be in flight. Dropping a transaction abandons it.
#[async_trait]
pub trait Txn: Send + Sync {
    /// The version that it reads at.
    fn read_version(&self) -> Version;

    /// Reads one key.
    async fn get(&self, key: &[u8], read: Read) -> Result<Option<Bytes>>;

    /// Reads at most `limit` entries of a range in key order. A serializable scan conflicts with changes up to the last
    /// entry that it returned, and with the whole range when it returned fewer than `limit`.
    async fn scan(&self, range: &KeyRange, limit: usize, read: Read) -> Result<Vec<Entry>>;

    /// Writes one key.
    fn set(&mut self, key: &[u8], value: &[u8]);

    /// Clears all keys of a range.
    fn clear(&mut self, range: &KeyRange);

    /// Writes `value` under `prefix` + the [`Stamp`](crate::key::Stamp) of this commit: a feed. It may be called often;
    /// entries of one commit keep the order of the calls. The transaction does not see its own appended entries.
    fn append(&mut self, prefix: &[u8], value: &[u8]);

    /// Commits, and answers with the version at which the writes became visible. A transaction without writes always
    /// commits and answers with its read version.
    async fn commit(self: Box<Self>) -> Result<Version>;
}

/// Whether a read takes part in conflict detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// The commit fails when what was read has changed in between.
    Serializable,
    /// The value is consistent with the transaction's other reads, but a change does not fail the commit.
    Snapshot,
}

/// A commit version: later commits have higher ones. Zero is before the first commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
}

/// The keys from `start` (included) to `end` (excluded).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyRange {
    /// The first key of the range.
    pub start: Bytes,
    /// The first key after the range.
    pub end: Bytes,
}

impl KeyRange {
    /// The range between two keys.
    #[must_use]
    pub fn new(start: impl Into<Bytes>, end: impl Into<Bytes>) -> Self {
        Self {
            start: start.into(),
            end: end.into(),
        }
    }

    /// The range that holds exactly one key.
    #[must_use]
    pub fn one(key: &[u8]) -> Self {
        Self::new(Bytes::copy_from_slice(key), successor(key))
    }

    /// All keys that begin with `prefix`.
    ///
    /// A prefix of nothing but 0xFF bytes has no end that is a key; tuples never make one.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        let kept = prefix.iter().rposition(|b| *b != 0xFF).map_or(0, |last| last + 1);
        let mut end = prefix[..kept].to_vec();
        match end.last_mut() {
            Some(last) => *last += 1,
            None => end = vec![0xFF; prefix.len() + 1],
        }
        Self::new(Bytes::copy_from_slice(prefix), end)
    }

    /// What remains of the range behind `key`: how a long scan goes on.
    #[must_use]
    pub fn after(&self, key: &[u8]) -> Self {
        Self::new(successor(key), self.end.clone())
    }

    /// True when `key` lies in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        *self.start <= *key && *key < *self.end
    }

    /// True when no key lies in the range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }
}

/// The first key after `key`.
fn successor(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}

#[async_trait]
impl<K: Kv + ?Sized> Kv for Arc<K> {
    async fn begin(&self) -> Result<Box<dyn Txn>> {
        (**self).begin().await
    }

    async fn changed(&self, prefix: &[u8], since: Version) -> Result<()> {
        (**self).changed(prefix, since).await
    }

    async fn version(&self) -> Result<Version> {
        (**self).version().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_range_holds_the_prefix_and_its_extensions_only() {
        let range = KeyRange::prefix(b"a\xFF");
        assert!(range.contains(b"a\xFF"));
        assert!(range.contains(b"a\xFF\xFF\xFF"));
        assert!(!range.contains(b"b"));
        assert!(!range.contains(b"a\xFE"));
        assert!(KeyRange::prefix(b"\xFF").contains(b"\xFF\x01"));
    }

    #[test]
    fn one_key_and_the_rest() {
        let one = KeyRange::one(b"k");
        assert!(one.contains(b"k"));
        assert!(!one.contains(b"k\0"));
        let rest = KeyRange::prefix(b"k").after(b"k");
        assert!(!rest.contains(b"k"));
        assert!(rest.contains(b"k\0"));
        assert!(KeyRange::new("b", "a").is_empty());
    }
}
