//! Wake-up calls for those who wait for a prefix to change.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::clock::lock;
use crate::kv::KeyRange;

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

    /// Wakes whoever waits for a prefix of one of these keys, which are sorted.
    pub(crate) fn wake(&self, keys: &[Bytes]) {
        let mut watches = lock(&self.0);
        watches.retain(|prefix, waiters| {
            let range = KeyRange::prefix(prefix);
            let first = keys.partition_point(|key| *key < range.start);
            let hit = keys.get(first).is_some_and(|key| *key < range.end);
            if hit {
                for waiter in waiters.drain(..) {
                    // A waiter that has gone away in the meantime needs no call.
                    waiter.send(()).unwrap_or_default();
                }
            }
            !hit
        });
    }

    /// Drops all waiters: the store is closed.
    #[cfg(feature = "embedded")]
    pub(crate) fn close(&self) {
        lock(&self.0).clear();
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
    fn abandoned_waiters_do_not_pile_up() {
        let watches = Watches::default();
        for _ in 0..10 {
            drop(watches.register(b"a"));
        }
        assert!(lock(&watches.0)[&b"a"[..]].len() <= 1);
    }
}
