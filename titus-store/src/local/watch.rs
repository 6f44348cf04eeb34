//! Wake-up calls for those who wait for a prefix to change.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Mutex;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::clock::lock;

/// Who waits for which prefix.
#[derive(Debug, Default)]
pub(crate) struct Watches(Mutex<BTreeMap<Bytes, Vec<oneshot::Sender<()>>>>);

impl Watches {
    /// Registers a waiter. Register first and look at the state afterwards: then no change is missed.
    pub(crate) fn register(&self, prefix: &[u8]) -> oneshot::Receiver<()> {
        let (wake, woken) = oneshot::channel();
        let mut watches = lock(&self.0);
        let waiters = watches.entry(Bytes::copy_from_slice(prefix)).or_default();
        waiters.retain(|waiter| !waiter.is_closed());
        waiters.push(wake);
        woken
    }

    /// Wakes whoever waits for a prefix of one of these keys.
    pub(crate) fn wake(&self, keys: &[Bytes]) {
        let mut watches = lock(&self.0);
        for key in keys {
            while let Some(prefix) = longest_prefix(&watches, key) {
                for waiter in watches.remove(&prefix).into_iter().flatten() {
                    // A waiter that has gone away in the meantime needs no call.
                    waiter.send(()).unwrap_or_default();
                }
            }
        }
    }

    /// Drops all waiters: the store is closed.
    #[cfg(feature = "embedded")]
    pub(crate) fn close(&self) {
        lock(&self.0).clear();
    }
}

/// The longest registered prefix of a key, found in a few steps however many prefixes there are.
fn longest_prefix<T>(registered: &BTreeMap<Bytes, T>, key: &[u8]) -> Option<Bytes> {
    let mut end = key.len();
    loop {
        let bounds = (Bound::Unbounded, Bound::Included(&key[..end]));
        let (found, _) = registered.range::<[u8], _>(bounds).next_back()?;
        if key.starts_with(found) {
            return Some(found.clone());
        }
        // All prefixes of the key that are left sort before what was found, so they end before the two part.
        end = found.iter().zip(key).take_while(|(a, b)| a == b).count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_waiters_of_a_touched_prefix_wake() {
        let watches = Watches::default();
        let (mut a, mut b) = (watches.register(b"a"), watches.register(b"b"));
        watches.wake(&["A".into(), "ab".into(), "c".into()]);
        assert_eq!(a.try_recv(), Ok(()));
        assert!(b.try_recv().is_err());
        watches.wake(&["b".into()]);
        assert_eq!(b.try_recv(), Ok(()));
        assert!(lock(&watches.0).is_empty());
    }

    #[test]
    fn every_registered_prefix_of_a_key_wakes_and_no_other() {
        let watches = Watches::default();
        let all = ["", "a", "ab", "abc", "abcd", "aa", "abb", "b"];
        let mut waiters: Vec<_> = all.iter().map(|p| (p, watches.register(p.as_bytes()))).collect();
        watches.wake(&["abca".into()]);
        for (prefix, waiter) in &mut waiters {
            let woken = waiter.try_recv().is_ok();
            assert_eq!(woken, "abca".starts_with(**prefix), "{prefix:?}");
        }
        assert_eq!(longest_prefix(&*lock(&watches.0), b"zz"), None);
    }

    #[test]
    fn abandoned_waiters_do_not_pile_up() {
        let watches = Watches::default();
        for _ in 0..10 {
            drop(watches.register(b"a"));
        }
        assert!(lock(&watches.0)[&b"a"[..]].len() <= 1);
    }
}
