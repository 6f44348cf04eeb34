//! What a transaction wants to write, and how its own reads see it.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use super::{Mutation, Snapshot};
use crate::error::{Error, Result};
use crate::key::Stamp;
use crate::kv::{Entry, KeyRange, Version};
use crate::limits::{check_key, check_value};

/// Buffered writes. Clears come first, then sets; appended entries have keys of their own.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    sets: BTreeMap<Bytes, Bytes>,
    /// Disjoint cleared ranges, start to end.
    clears: BTreeMap<Bytes, Bytes>,
    appends: Vec<(Bytes, Bytes)>,
    size: usize,
    /// The first write over a limit; commit answers with it.
    refused: Option<Error>,
}

impl Writes {
    pub(crate) fn set(&mut self, key: &[u8], value: &[u8]) {
        if self.admit(key, value) {
            self.sets
                .insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        }
    }

    pub(crate) fn clear(&mut self, range: &KeyRange) {
        if range.is_empty() || !self.admit(&range.start, &[]) || !self.admit(&range.end, &[]) {
            return;
        }
        let inside: Vec<Bytes> = self
            .sets
            .range(range.start.clone()..range.end.clone())
            .map(|(key, _)| key.clone())
            .collect();
        for key in inside {
            self.sets.remove(&key);
        }
        self.merge_clear(range);
    }

    pub(crate) fn append(&mut self, prefix: &[u8], value: &[u8]) {
        if self.admit(&Stamp::default().key_under(prefix), value) {
            self.appends
                .push((Bytes::copy_from_slice(prefix), Bytes::copy_from_slice(value)));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sets.is_empty() && self.clears.is_empty() && self.appends.is_empty()
    }

    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    pub(crate) const fn take_refused(&mut self) -> Option<Error> {
        self.refused.take()
    }

    /// What the transaction itself would read here: `None` when it has not touched the key.
    pub(crate) fn own(&self, key: &[u8]) -> Option<Option<Bytes>> {
        match self.sets.get(key) {
            Some(value) => Some(Some(value.clone())),
            None => self.is_cleared(key).then_some(None),
        }
    }

    /// Merges own writes over what the snapshot holds of a range.
    pub(crate) fn overlay(&self, base: &impl Snapshot, range: &KeyRange, limit: usize) -> Result<Vec<Entry>> {
        if range.is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        let mut own = self.sets.range(range.start.clone()..range.end.clone()).peekable();
        let own_entry = |(key, value): (&Bytes, &Bytes)| Entry {
            key: key.clone(),
            value: value.clone(),
        };
        let mut merged = Vec::new();
        base.scan(range, &mut |stored| {
            while let Some(set) = own.next_if(|(key, _)| **key < stored.key) {
                merged.push(own_entry(set));
            }
            let replaced = own.next_if(|(key, _)| **key == stored.key);
            match replaced {
                Some(set) => merged.push(own_entry(set)),
                None if self.is_cleared(&stored.key) => {}
                None => merged.push(stored),
            }
            merged.len() < limit
        })?;
        let room = limit.saturating_sub(merged.len());
        merged.extend(own.map(own_entry).take(room));
        merged.truncate(limit);
        Ok(merged)
    }

    /// The mutations of this transaction at `version`, sorted by key; `existing` lists the live keys of a range.
    pub(crate) fn resolve(
        self,
        version: Version,
        mut existing: impl FnMut(&KeyRange) -> Result<Vec<Bytes>>,
    ) -> Result<Vec<Mutation>> {
        let mut mutations: BTreeMap<Bytes, Option<Bytes>> = BTreeMap::new();
        for (start, end) in self.clears {
            let gone = existing(&KeyRange::new(start, end))?;
            mutations.extend(gone.into_iter().map(|key| (key, None)));
        }
        mutations.extend(self.sets.into_iter().map(|(key, value)| (key, Some(value))));
        for ((prefix, value), order) in self.appends.into_iter().zip(0..=u16::MAX) {
            let stamp = Stamp {
                version,
                batch: 0,
                order,
            };
            mutations.insert(stamp.key_under(&prefix), Some(value));
        }
        Ok(mutations.into_iter().collect())
    }

    fn admit(&mut self, key: &[u8], value: &[u8]) -> bool {
        self.size = self.size.saturating_add(key.len() + value.len());
        let outcome = check_key(key)
            .and_then(|()| check_value(value))
            .and_then(|()| self.check_appends());
        let admitted = outcome.is_ok();
        if let (Err(error), None) = (outcome, &self.refused) {
            self.refused = Some(error);
        }
        admitted
    }

    /// Stamps number the entries of one commit with 16 bits.
    const fn check_appends(&self) -> Result<()> {
        let limit = u16::MAX as usize;
        if self.appends.len() > limit {
            return Err(Error::TooLarge {
                what: "list of appended entries",
                size: self.appends.len(),
                limit,
            });
        }
        Ok(())
    }

    fn is_cleared(&self, key: &[u8]) -> bool {
        let at_or_before = self
            .clears
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
            .next_back();
        at_or_before.is_some_and(|(_, end)| *key < **end)
    }

    fn merge_clear(&mut self, range: &KeyRange) {
        let (mut start, mut end) = (range.start.clone(), range.end.clone());
        let touching: Vec<Bytes> = self
            .clears
            .range(..=end.clone())
            .rev()
            .take_while(|(_, its_end)| **its_end >= start)
            .map(|(its_start, _)| its_start.clone())
            .collect();
        for its_start in touching {
            if let Some(its_end) = self.clears.remove(&its_start) {
                end = end.max(its_end);
                start = start.min(its_start);
            }
        }
        self.clears.insert(start, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{MAX_KEY, MAX_VALUE};

    fn range(start: &'static str, end: &'static str) -> KeyRange {
        KeyRange::new(start, end)
    }

    #[test]
    fn clears_merge_and_later_sets_win_over_them() {
        let mut writes = Writes::default();
        writes.set(b"c", b"old");
        for (a, b) in [
            ("a", "b"),
            ("d", "f"),
            ("b", "c\0"),
            ("e", "e"),
            ("g", "h"),
            ("e", "f"),
        ] {
            writes.clear(&range(a, b));
        }
        let clears: Vec<(&[u8], &[u8])> = writes.clears.iter().map(|(a, b)| (&a[..], &b[..])).collect();
        assert_eq!(clears, [(&b"a"[..], &b"c\0"[..]), (b"d", b"f"), (b"g", b"h")]);
        assert_eq!(writes.own(b"c"), Some(None));
        writes.set(b"c", b"new");
        assert_eq!(writes.own(b"c"), Some(Some("new".into())));
        assert_eq!(writes.own(b"f"), None);
    }

    #[test]
    fn a_range_that_bridges_others_swallows_them() {
        let mut writes = Writes::default();
        for (a, b) in [("a", "c"), ("e", "g"), ("b", "f")] {
            writes.clear(&range(a, b));
        }
        assert_eq!(writes.clears.len(), 1);
        assert_eq!(writes.clears[&b"a"[..]], "g");
    }

    #[test]
    fn limits_are_kept_to_the_byte() {
        let fits = [(MAX_KEY, MAX_VALUE), (1, 0)];
        for (key, value) in fits {
            let mut writes = Writes::default();
            writes.set(&vec![1; key], &vec![1; value]);
            assert!(writes.take_refused().is_none());
            assert_eq!(writes.size(), key + value);
        }
        for (key, value, what) in [(MAX_KEY + 1, 0, "key"), (1, MAX_VALUE + 1, "value")] {
            let mut writes = Writes::default();
            writes.set(&vec![1; key], &vec![1; value]);
            assert!(writes.is_empty());
            assert!(matches!(writes.take_refused(), Some(Error::TooLarge { what: w, .. }) if w == what));
        }
        let mut writes = Writes::default();
        writes.append(&vec![1; MAX_KEY - 12], b"");
        assert!(writes.take_refused().is_some(), "the stamp counts");
    }

    #[test]
    fn resolving_lists_what_is_there_and_numbers_the_appended() {
        let mut writes = Writes::default();
        writes.clear(&range("a", "c"));
        writes.set(b"b", b"kept");
        writes.append(b"f", b"one");
        writes.append(b"f", b"two");
        let existing = |_: &KeyRange| Ok(vec!["a".into(), "b".into()]);
        let mutations = writes.resolve(Version(7), existing).unwrap();
        let stamp = |order| Stamp {
            version: Version(7),
            batch: 0,
            order,
        };
        assert_eq!(
            mutations,
            [
                ("a".into(), None),
                ("b".into(), Some("kept".into())),
                (stamp(0).key_under(b"f"), Some("one".into())),
                (stamp(1).key_under(b"f"), Some("two".into())),
            ]
        );
    }
}
