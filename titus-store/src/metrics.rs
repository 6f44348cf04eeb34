//! What a store counts about itself: plain numbers, for whoever exports them.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::kv::Version;

/// Counters of one store; shared by its handles and read at any time.
#[derive(Debug, Default)]
pub struct StoreMetrics {
    commits: AtomicU64,
    read_only: AtomicU64,
    conflicts: AtomicU64,
    unknown: AtomicU64,
    too_large: AtomicU64,
    failures: AtomicU64,
    window_keys: AtomicU64,
    batch_size: Histogram,
    sync_micros: Histogram,
}

/// The counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreCounters {
    /// Transactions that committed writes.
    pub commits: u64,
    /// Transactions that committed without writes.
    pub read_only: u64,
    /// Transactions refused for a conflict or their age.
    pub conflicts: u64,
    /// Commits whose outcome the caller was not told.
    pub unknown: u64,
    /// Transactions over a limit.
    pub too_large: u64,
    /// Commits that the storage failed.
    pub failures: u64,
    /// Keys in the window of recent writes that conflicts are checked against.
    pub window_keys: u64,
    /// Transactions that were made durable together.
    pub batch_size: Buckets,
    /// Microseconds that making a batch durable took.
    pub sync_micros: Buckets,
}

/// A histogram whose bucket `i` counts the values of at most `2^i` that no earlier bucket holds; the last one holds the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Buckets {
    /// Counts a bucket.
    pub counts: [u64; Histogram::BUCKETS],
    /// The sum of all values.
    pub sum: u64,
}

impl StoreMetrics {
    /// The counters now.
    #[must_use]
    pub fn read(&self) -> StoreCounters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreCounters {
            commits: get(&self.commits),
            read_only: get(&self.read_only),
            conflicts: get(&self.conflicts),
            unknown: get(&self.unknown),
            too_large: get(&self.too_large),
            failures: get(&self.failures),
            window_keys: get(&self.window_keys),
            batch_size: self.batch_size.read(),
            sync_micros: self.sync_micros.read(),
        }
    }

    pub(crate) fn count_outcome(&self, outcome: &Result<Version>) {
        let counter = match outcome {
            Ok(_) => &self.commits,
            Err(Error::Conflict(_)) => &self.conflicts,
            Err(Error::Unknown) => &self.unknown,
            Err(Error::TooLarge { .. }) => &self.too_large,
            Err(_) => &self.failures,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_read_only(&self) {
        self.read_only.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn observe_window(&self, keys: usize) {
        self.window_keys.store(keys as u64, Ordering::Relaxed);
    }

    #[cfg(feature = "embedded")]
    pub(crate) fn observe_batch(&self, transactions: usize, sync: std::time::Duration) {
        self.batch_size.observe(transactions as u64);
        self.sync_micros
            .observe(u64::try_from(sync.as_micros()).unwrap_or(u64::MAX));
    }
}

#[derive(Debug, Default)]
struct Histogram {
    counts: [AtomicU64; Self::BUCKETS],
    sum: AtomicU64,
}

impl Histogram {
    const BUCKETS: usize = 24;

    #[cfg(any(feature = "embedded", test))]
    fn observe(&self, value: u64) {
        let bucket = u64::BITS - value.saturating_sub(1).leading_zeros();
        let bucket = (bucket as usize).min(Self::BUCKETS - 1);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    fn read(&self) -> Buckets {
        Buckets {
            counts: std::array::from_fn(|i| self.counts[i].load(Ordering::Relaxed)),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_into_the_first_bucket_that_can_hold_it() {
        let histogram = Histogram::default();
        for value in [0, 1, 2, 3, 4, 5, u64::MAX >> 1] {
            histogram.observe(value);
        }
        let read = histogram.read();
        assert_eq!(read.counts[..4], [2, 1, 2, 1]);
        assert_eq!(read.counts[Histogram::BUCKETS - 1], 1);
        assert_eq!(read.counts.iter().sum::<u64>(), 7);
    }

    #[test]
    fn each_outcome_has_its_counter() {
        let metrics = StoreMetrics::default();
        metrics.count_outcome(&Ok(Version(1)));
        metrics.count_outcome(&Err(Error::Unknown));
        metrics.count_outcome(&Err(Error::Conflict(crate::error::Conflict::TooOld)));
        metrics.count_outcome(&crate::limits::check_key(&[0; 10_001]).map(|()| Version(0)));
        metrics.count_read_only();
        let read = metrics.read();
        let counts = [
            read.commits,
            read.unknown,
            read.conflicts,
            read.too_large,
            read.read_only,
        ];
        assert_eq!(counts, [1; 5]);
        assert_eq!(read.failures, 0);
    }
}
