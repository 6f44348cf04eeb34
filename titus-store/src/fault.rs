//! A wrapper that makes any store misbehave, from a seed: conflicts, unknown outcomes, delays and failures.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use titus_core::rng::{Rng, RngTree};
use titus_core::time::Millis;

use crate::clock::lock;
use crate::error::{Conflict, Error, Result};
use crate::kv::{Entry, KeyRange, Kv, Read, Txn, Version};

/// How often what goes wrong, each in parts of 1,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultPlan {
    /// Commits that are refused as conflicts.
    pub conflict: u64,
    /// Commits that happen and are answered `Unknown`.
    pub unknown_landed: u64,
    /// Commits that do not happen and are answered `Unknown`.
    pub unknown_lost: u64,
    /// Begins, reads and commits that fail in the storage; such a commit does not happen.
    pub backend: u64,
    /// Begins, reads and commits that take `delay`.
    pub slow: u64,
    /// How long a slow one takes.
    pub delay: Millis,
}

/// A store that fails by plan. The same seed and the same calls give the same faults.
pub struct FaultKv<K> {
    inner: K,
    faults: Arc<Faults>,
}

impl<K: Kv> FaultKv<K> {
    /// Wraps a store.
    pub fn new(inner: K, plan: FaultPlan, seed: u64) -> Self {
        let rng = RngTree::new(seed).child("store/fault");
        let faults = Faults(Mutex::new(FaultState {
            plan,
            rng,
            injected: 0,
        }));
        Self {
            inner,
            faults: Arc::new(faults),
        }
    }

    /// Changes the plan from now on; the default plan injects nothing.
    pub fn set_plan(&self, plan: FaultPlan) {
        lock(&self.faults.0).plan = plan;
    }

    /// How many faults it has injected so far.
    #[must_use]
    pub fn injected(&self) -> u64 {
        lock(&self.faults.0).injected
    }
}

impl<K: fmt::Debug> fmt::Debug for FaultKv<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultKv")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

struct Faults(Mutex<FaultState>);

struct FaultState {
    plan: FaultPlan,
    rng: Rng,
    injected: u64,
}

/// What becomes of a commit.
enum Fate {
    Normal,
    Conflict,
    Landed,
    Lost,
}

impl Faults {
    fn draw(&self, part: impl FnOnce(&FaultPlan) -> u64) -> bool {
        let mut state = lock(&self.0);
        let part = part(&state.plan);
        let hit = state.rng.chance(part, 1_000);
        state.injected += u64::from(hit);
        hit
    }

    /// Delays and failures, which hit every operation alike.
    async fn strike(&self, operation: &'static str) -> Result<()> {
        if self.draw(|plan| plan.slow) {
            let delay = lock(&self.0).plan.delay;
            tokio::time::sleep(delay.as_duration()).await;
        }
        if self.draw(|plan| plan.backend) {
            return Err(Error::Backend {
                operation,
                object: "the store".into(),
                advice: "wait and try again",
                source: "injected fault".into(),
            });
        }
        Ok(())
    }

    fn fate(&self) -> Fate {
        if self.draw(|plan| plan.conflict) {
            Fate::Conflict
        } else if self.draw(|plan| plan.unknown_landed) {
            Fate::Landed
        } else if self.draw(|plan| plan.unknown_lost) {
            Fate::Lost
        } else {
            Fate::Normal
        }
    }
}

#[async_trait]
impl<K: Kv> Kv for FaultKv<K> {
    async fn begin(&self) -> Result<Box<dyn Txn>> {
        self.faults.strike("begin a transaction on").await?;
        Ok(Box::new(FaultTxn {
            inner: self.inner.begin().await?,
            faults: self.faults.clone(),
            writes: false,
        }))
    }

    async fn changed(&self, prefix: &[u8], since: Version) -> Result<()> {
        self.inner.changed(prefix, since).await
    }

    async fn version(&self) -> Result<Version> {
        self.faults.strike("read the version of").await?;
        self.inner.version().await
    }
}

struct FaultTxn {
    inner: Box<dyn Txn>,
    faults: Arc<Faults>,
    /// Only commits of writes have an outcome that could be unknown or refused.
    writes: bool,
}

#[async_trait]
impl Txn for FaultTxn {
    fn read_version(&self) -> Version {
        self.inner.read_version()
    }

    async fn get(&self, key: &[u8], read: Read) -> Result<Option<Bytes>> {
        self.faults.strike("read from").await?;
        self.inner.get(key, read).await
    }

    async fn scan(&self, range: &KeyRange, limit: usize, read: Read) -> Result<Vec<Entry>> {
        self.faults.strike("scan").await?;
        self.inner.scan(range, limit, read).await
    }

    fn set(&mut self, key: &[u8], value: &[u8]) {
        self.writes = true;
        self.inner.set(key, value);
    }

    fn clear(&mut self, range: &KeyRange) {
        self.writes = true;
        self.inner.clear(range);
    }

    fn append(&mut self, prefix: &[u8], value: &[u8]) {
        self.writes = true;
        self.inner.append(prefix, value);
    }

    async fn commit(self: Box<Self>) -> Result<Version> {
        self.faults.strike("commit to").await?;
        if !self.writes {
            return self.inner.commit().await;
        }
        match self.faults.fate() {
            Fate::Normal => self.inner.commit().await,
            Fate::Conflict => Err(Error::Conflict(Conflict::Changed)),
            Fate::Lost => Err(Error::Unknown),
            Fate::Landed => {
                self.inner.commit().await?;
                Err(Error::Unknown)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::MemKv;

    async fn put(kv: &impl Kv, key: &[u8]) -> Result<Version> {
        let mut txn = kv.begin().await?;
        txn.set(key, b"x");
        txn.commit().await
    }

    async fn has(kv: &impl Kv, key: &[u8]) -> bool {
        let txn = kv.begin().await.unwrap();
        txn.get(key, Read::Snapshot).await.unwrap().is_some()
    }

    const ALWAYS: u64 = 1_000;

    #[tokio::test(start_paused = true)]
    async fn each_fault_does_what_it_says() {
        let mem = MemKv::new();
        let kv = FaultKv::new(mem.clone(), FaultPlan::default(), 1);
        put(&kv, b"plain").await.unwrap();
        assert_eq!(kv.injected(), 0);

        let none = FaultPlan::default();
        kv.set_plan(FaultPlan {
            unknown_landed: ALWAYS,
            ..none
        });
        assert!(matches!(put(&kv, b"landed").await, Err(Error::Unknown)));
        assert!(has(&mem, b"landed").await);
        kv.set_plan(FaultPlan {
            unknown_lost: ALWAYS,
            ..none
        });
        assert!(matches!(put(&kv, b"lost").await, Err(Error::Unknown)));
        assert!(!has(&mem, b"lost").await);
        kv.set_plan(FaultPlan {
            conflict: ALWAYS,
            ..none
        });
        assert!(matches!(put(&kv, b"conflict").await, Err(Error::Conflict(_))));
        assert!(!has(&mem, b"conflict").await);
        kv.begin().await.unwrap().commit().await.unwrap();

        kv.set_plan(FaultPlan {
            backend: ALWAYS,
            ..none
        });
        assert!(matches!(kv.version().await, Err(Error::Backend { .. })));
        assert!(kv.begin().await.is_err());
        let delay = Millis(2_000);
        kv.set_plan(FaultPlan {
            slow: ALWAYS,
            delay,
            ..none
        });
        let before = tokio::time::Instant::now();
        kv.version().await.unwrap();
        assert_eq!(before.elapsed(), delay.as_duration());
        kv.set_plan(none);
        assert!(has(&kv, b"plain").await);
    }
}
