//! The conflict check: did a recent commit write what a transaction has read?

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::error::Conflict;
use crate::kv::{KeyRange, Version};
use crate::limits::MAX_AGE;

/// What a transaction has read and depends on.
#[derive(Debug, Default)]
pub(crate) struct ReadSet {
    pub(crate) points: Vec<Bytes>,
    pub(crate) ranges: Vec<KeyRange>,
}

impl ReadSet {
    /// Its share of a transaction's size.
    pub(crate) fn size(&self) -> usize {
        let points: usize = self.points.iter().map(Bytes::len).sum();
        let ranges: usize = self.ranges.iter().map(|r| r.start.len() + r.end.len()).sum();
        points + ranges
    }
}

/// The keys written in the last five seconds, each with the version of its last write.
///
/// Cleared ranges are recorded as the keys that they removed: clearing nothing changes nothing that could be read.
#[derive(Debug)]
pub(crate) struct Window {
    commits: VecDeque<Commit>,
    last_write: BTreeMap<Bytes, Version>,
    /// Commits up to this version have left the window; whoever reads at an older one cannot be checked.
    floor: Version,
    checks: Checks,
}

#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) version: Version,
    pub(crate) at: Duration,
    pub(crate) keys: Vec<Bytes>,
}

/// Which reads are checked: all of them, except where the conformance suite proves that it notices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checks {
    pub(crate) points: bool,
    pub(crate) ranges: bool,
}

impl Checks {
    pub(crate) const ALL: Self = Self {
        points: true,
        ranges: true,
    };
}

impl Window {
    /// An empty window of a store whose last commit is `floor`.
    pub(crate) const fn new(floor: Version, checks: Checks) -> Self {
        Self {
            commits: VecDeque::new(),
            last_write: BTreeMap::new(),
            floor,
            checks,
        }
    }

    /// Fails when a commit after `read_version` wrote what `reads` holds, or could have.
    pub(crate) fn check(&self, read_version: Version, reads: &ReadSet) -> Result<(), Conflict> {
        if self.is_too_old(read_version) {
            return Err(Conflict::TooOld);
        }
        let point = |key: &Bytes| self.last_write.get(key).is_some_and(|v| *v > read_version);
        let range = |range: &KeyRange| self.written_in(range).any(|v| v > read_version);
        let changed = (self.checks.points && reads.points.iter().any(point))
            || (self.checks.ranges && reads.ranges.iter().any(range));
        if changed { Err(Conflict::Changed) } else { Ok(()) }
    }

    /// True when the window no longer knows all commits after `version`.
    pub(crate) fn is_too_old(&self, version: Version) -> bool {
        version < self.floor
    }

    /// Takes a commit into the window.
    pub(crate) fn record(&mut self, commit: Commit) {
        for key in &commit.keys {
            self.last_write.insert(key.clone(), commit.version);
        }
        self.commits.push_back(commit);
    }

    /// Drops and returns the commits that every living transaction is younger than.
    pub(crate) fn expire(&mut self, now: Duration) -> Vec<Commit> {
        let expired = self.commits.partition_point(|c| c.at + MAX_AGE < now);
        let gone: Vec<Commit> = self.commits.drain(..expired).collect();
        for commit in &gone {
            self.floor = commit.version;
            for key in &commit.keys {
                if self.last_write.get(key) == Some(&commit.version) {
                    self.last_write.remove(key);
                }
            }
        }
        gone
    }

    /// True when a key of `range` was written after `since` and up to `visible`, or when that is no longer known.
    pub(crate) fn changed(&self, range: &KeyRange, since: Version, visible: Version) -> bool {
        since < self.floor || self.written_in(range).any(|v| since < v && v <= visible)
    }

    pub(crate) fn len(&self) -> usize {
        self.last_write.len()
    }

    fn written_in(&self, range: &KeyRange) -> impl Iterator<Item = Version> {
        let keys = (!range.is_empty()).then(|| self.last_write.range(range.start.clone()..range.end.clone()));
        keys.into_iter().flatten().map(|(_, version)| *version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window() -> Window {
        let mut window = Window::new(Version(10), Checks::ALL);
        for (version, secs, key) in [(11, 0, "a"), (12, 1, "b"), (13, 2, "a")] {
            window.record(Commit {
                version: Version(version),
                at: Duration::from_secs(secs),
                keys: vec![key.into()],
            });
        }
        window
    }

    fn reads(points: &[&'static str], ranges: &[(&'static str, &'static str)]) -> ReadSet {
        ReadSet {
            points: points.iter().map(|k| Bytes::from(*k)).collect(),
            ranges: ranges.iter().map(|(a, b)| KeyRange::new(*a, *b)).collect(),
        }
    }

    #[test]
    fn only_later_writes_of_what_was_read_conflict() {
        let window = window();
        let check = |v, r: &ReadSet| window.check(Version(v), r);
        assert_eq!(check(12, &reads(&["a"], &[])), Err(Conflict::Changed));
        assert_eq!(check(13, &reads(&["a"], &[])), Ok(()));
        assert_eq!(check(12, &reads(&["b", "c"], &[])), Ok(()));
        assert_eq!(check(12, &reads(&[], &[("A", "b")])), Err(Conflict::Changed));
        assert_eq!(check(12, &reads(&[], &[("b", "z"), ("z", "a")])), Ok(()));
        assert_eq!(check(9, &reads(&[], &[])), Err(Conflict::TooOld));
        assert_eq!(check(10, &reads(&["b"], &[])), Err(Conflict::Changed));
    }

    #[test]
    fn expiry_raises_the_floor_and_forgets_only_what_was_not_written_again() {
        let mut window = window();
        let at = |secs| Duration::from_secs(secs) + MAX_AGE;
        assert!(window.expire(at(0)).is_empty());
        let gone = window.expire(at(1) + Duration::from_millis(1));
        assert_eq!(gone.len(), 2);
        assert_eq!(window.len(), 1);
        assert_eq!(window.check(Version(11), &reads(&[], &[])), Err(Conflict::TooOld));
        assert_eq!(
            window.check(Version(12), &reads(&["a"], &[])),
            Err(Conflict::Changed)
        );
        assert_eq!(window.check(Version(12), &reads(&["b"], &[])), Ok(()));
    }

    #[test]
    fn a_change_counts_once_it_is_visible() {
        let window = window();
        let all = KeyRange::prefix(b"a");
        assert!(window.changed(&all, Version(12), Version(13)));
        assert!(!window.changed(&all, Version(12), Version(12)));
        assert!(!window.changed(&all, Version(13), Version(13)));
        assert!(window.changed(&KeyRange::prefix(b"z"), Version(9), Version(13)));
    }
}
