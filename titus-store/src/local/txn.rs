//! The transaction of the backends that run inside this process.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::conflict::ReadSet;
use super::{Intent, Writes};
use crate::clock::{Clock, lock};
use crate::error::{Conflict, Error, Result};
use crate::kv::{Entry, KeyRange, Read, Txn, Version};
use crate::limits::{Limits, MAX_AGE, check_key};
use crate::metrics::StoreMetrics;

/// A backend below the transaction: it reads snapshots and commits intents.
#[async_trait]
pub(crate) trait Engine: Send + Sync + 'static {
    type Snapshot: Snapshot;

    fn limits(&self) -> &Limits;
    fn clock(&self) -> &dyn Clock;
    fn metrics(&self) -> &StoreMetrics;
    async fn commit(&self, intent: Intent) -> Result<Version>;
}

/// The store as of one version.
pub(crate) trait Snapshot: Send + Sync {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// Hands over the entries of a range in order for as long as `each` answers true.
    fn scan(&self, range: &KeyRange, each: &mut dyn FnMut(Entry) -> bool) -> Result<()>;
}

/// A transaction over an engine.
pub(crate) struct LocalTxn<E: Engine> {
    engine: Arc<E>,
    snapshot: E::Snapshot,
    version: Version,
    begun: Duration,
    reads: Mutex<ReadSet>,
    writes: Writes,
}

impl<E: Engine> LocalTxn<E> {
    /// A transaction that reads `snapshot`, which was taken at `version` and not before `begun`.
    pub(crate) fn new(engine: Arc<E>, snapshot: E::Snapshot, version: Version, begun: Duration) -> Self {
        Self {
            engine,
            snapshot,
            version,
            begun,
            reads: Mutex::default(),
            writes: Writes::default(),
        }
    }

    fn check_age(&self) -> Result<()> {
        if self.engine.clock().elapsed().saturating_sub(self.begun) > MAX_AGE {
            return Err(Error::Conflict(Conflict::TooOld));
        }
        Ok(())
    }

    fn depend_on_scan(&self, range: &KeyRange, found: &[Entry], limit: usize) {
        let read = match found.last() {
            Some(last) if found.len() == limit => {
                KeyRange::new(range.start.clone(), range.after(&last.key).start)
            }
            _ => range.clone(),
        };
        if limit > 0 && !read.is_empty() {
            lock(&self.reads).ranges.push(read);
        }
    }

    /// The checks that every backend makes before it looks for conflicts.
    fn check_commit(&mut self) -> Result<()> {
        if let Some(refused) = self.writes.take_refused() {
            return Err(refused);
        }
        let size = self.writes.size() + lock(&self.reads).size();
        self.engine.limits().check_transaction(size)?;
        self.check_age()
    }
}

#[async_trait]
impl<E: Engine> Txn for LocalTxn<E> {
    fn read_version(&self) -> Version {
        self.version
    }

    async fn get(&self, key: &[u8], read: Read) -> Result<Option<Bytes>> {
        check_key(key)?;
        self.check_age()?;
        if let Some(own) = self.writes.own(key) {
            return Ok(own);
        }
        if read == Read::Serializable {
            lock(&self.reads).points.push(Bytes::copy_from_slice(key));
        }
        self.snapshot.get(key)
    }

    async fn scan(&self, range: &KeyRange, limit: usize, read: Read) -> Result<Vec<Entry>> {
        check_key(&range.start)?;
        check_key(&range.end)?;
        self.check_age()?;
        let found = self.writes.overlay(&self.snapshot, range, limit)?;
        if read == Read::Serializable {
            self.depend_on_scan(range, &found, limit);
        }
        Ok(found)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) {
        self.writes.set(key, value);
    }

    fn clear(&mut self, range: &KeyRange) {
        self.writes.clear(range);
    }

    fn append(&mut self, prefix: &[u8], value: &[u8]) {
        self.writes.append(prefix, value);
    }

    async fn commit(mut self: Box<Self>) -> Result<Version> {
        let metrics_of = self.engine.clone();
        let metrics = metrics_of.metrics();
        if let Err(refused) = self.check_commit() {
            let outcome = Err(refused);
            metrics.count_outcome(&outcome);
            return outcome;
        }
        if self.writes.is_empty() {
            metrics.count_read_only();
            return Ok(self.version);
        }
        let Self {
            engine,
            snapshot,
            version,
            reads,
            writes,
            ..
        } = *self;
        drop(snapshot);
        let intent = Intent {
            read_version: version,
            reads: reads
                .into_inner()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
            writes,
        };
        let outcome = engine.commit(intent).await;
        metrics.count_outcome(&outcome);
        if let Err(error) = &outcome {
            tracing::debug!(%error, "commit refused");
        }
        outcome
    }
}
