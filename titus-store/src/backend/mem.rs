//! A store in memory: a real backend with all limits on, deterministic under a seed and without threads of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use titus_core::rng::{Rng, RngTree};

use crate::clock::{Clock, SystemClock, lock};
use crate::error::{Conflict, Error, Result};
use crate::kv::{Entry, KeyRange, Kv, Txn, Version};
use crate::limits::Limits;
use crate::local::conflict::{Checks, Commit, Window};
use crate::local::watch::Watches;
use crate::local::{Engine, Intent, LocalTxn, Mutation, Snapshot};
use crate::metrics::StoreMetrics;

/// The store in memory. A clone is a handle to the same store.
#[derive(Clone)]
pub struct MemKv(Arc<Mem>);

impl MemKv {
    /// An empty store on the system clock that never answers `Unknown`.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A store with other settings.
    #[must_use]
    pub fn builder() -> MemKvBuilder {
        MemKvBuilder {
            limits: Limits::default(),
            clock: None,
            unknown: None,
            checks: Checks::ALL,
        }
    }

    /// What it counts about itself.
    #[must_use]
    pub fn metrics(&self) -> &StoreMetrics {
        &self.0.metrics
    }

    /// How many versions of values it holds: live ones, and those that a living transaction may still read.
    #[must_use]
    pub fn stored_versions(&self) -> usize {
        self.0.state().values.values().map(Vec::len).sum()
    }
}

impl Default for MemKv {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemKv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state();
        f.debug_struct("MemKv")
            .field("version", &state.version)
            .field("keys", &state.values.len())
            .finish_non_exhaustive()
    }
}

/// Settings of a [`MemKv`].
#[derive(Debug)]
pub struct MemKvBuilder {
    limits: Limits,
    clock: Option<Arc<dyn Clock>>,
    unknown: Option<(u64, Rng)>,
    checks: Checks,
}

impl MemKvBuilder {
    /// Another transaction budget.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Another clock, for the age of transactions.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Answers `Unknown` to `per_mille` of 1,000 commits that could have succeeded; half of them landed.
    #[must_use]
    pub fn unknown(mut self, per_mille: u64, seed: u64) -> Self {
        self.unknown = Some((per_mille, RngTree::new(seed).child("mem/unknown")));
        self
    }

    /// Leaves out the check of point reads: broken on purpose, so that the conformance suite can prove that it notices.
    #[cfg(feature = "conformance")]
    #[doc(hidden)]
    #[must_use]
    pub const fn without_point_check(mut self) -> Self {
        self.checks.points = false;
        self
    }

    /// Leaves out the check of range reads: broken on purpose, so that the conformance suite can prove that it notices.
    #[cfg(feature = "conformance")]
    #[doc(hidden)]
    #[must_use]
    pub const fn without_range_check(mut self) -> Self {
        self.checks.ranges = false;
        self
    }

    /// The store.
    #[must_use]
    pub fn build(self) -> MemKv {
        MemKv(Arc::new(Mem {
            limits: self.limits,
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock::new())),
            metrics: StoreMetrics::default(),
            watches: Watches::default(),
            state: Mutex::new(State {
                version: Version(0),
                values: BTreeMap::new(),
                window: Window::new(Version(0), self.checks),
                unknown: self.unknown,
            }),
        }))
    }
}

struct Mem {
    limits: Limits,
    clock: Arc<dyn Clock>,
    metrics: StoreMetrics,
    watches: Watches,
    state: Mutex<State>,
}

struct State {
    version: Version,
    /// Each key's values, oldest first; `None` is a removal. Only versions that a living transaction may read are kept.
    values: BTreeMap<Bytes, Vec<(Version, Option<Bytes>)>>,
    window: Window,
    unknown: Option<(u64, Rng)>,
}

/// What becomes of a commit that could succeed.
enum Fate {
    Known,
    Landed,
    Lost,
}

impl Mem {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn at(&self, key: &[u8], version: Version) -> Option<Bytes> {
        visible(self.values.get(key)?, version)
    }

    fn draw_fate(&mut self) -> Fate {
        let Some((per_mille, rng)) = &mut self.unknown else {
            return Fate::Known;
        };
        match (rng.chance(*per_mille, 1_000), rng.chance(1, 2)) {
            (false, _) => Fate::Known,
            (true, true) => Fate::Landed,
            (true, false) => Fate::Lost,
        }
    }

    fn live_keys(&self, range: &KeyRange) -> Vec<Bytes> {
        self.values
            .range(range.start.clone()..range.end.clone())
            .filter(|(_, versions)| versions.last().is_some_and(|(_, value)| value.is_some()))
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn apply(&mut self, mutations: Vec<Mutation>) {
        for (key, value) in mutations {
            self.values.entry(key).or_default().push((self.version, value));
        }
    }

    /// Forgets the versions of these keys that no living transaction can read any more.
    fn collect_garbage(&mut self, expired: Vec<Commit>) {
        for commit in expired {
            for key in commit.keys {
                let Some(versions) = self.values.get_mut(&key) else {
                    continue;
                };
                let newest_for_all = versions
                    .partition_point(|(v, _)| *v <= commit.version)
                    .saturating_sub(1);
                versions.drain(..newest_for_all);
                if matches!(versions.as_slice(), [(v, None)] if *v <= commit.version) {
                    self.values.remove(&key);
                }
            }
        }
    }
}

fn visible(versions: &[(Version, Option<Bytes>)], at: Version) -> Option<Bytes> {
    let older = versions.partition_point(|(version, _)| *version <= at);
    versions[..older].last().and_then(|(_, value)| value.clone())
}

#[async_trait]
impl Engine for Mem {
    type Snapshot = MemSnapshot;

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    fn metrics(&self) -> &StoreMetrics {
        &self.metrics
    }

    async fn commit(&self, intent: Intent) -> Result<Version> {
        let mut state = self.state();
        let now = self.clock.elapsed();
        let expired = state.window.expire(now);
        state.collect_garbage(expired);
        state
            .window
            .check(intent.read_version, &intent.reads)
            .map_err(Error::Conflict)?;
        let fate = state.draw_fate();
        if matches!(fate, Fate::Lost) {
            return Err(Error::Unknown);
        }
        let version = Version(state.version.0 + 1);
        let mutations = intent
            .writes
            .resolve(version, |range| Ok(state.live_keys(range)))?;
        state.version = version;
        let keys: Vec<Bytes> = mutations.iter().map(|(key, _)| key.clone()).collect();
        state.apply(mutations);
        state.window.record(Commit {
            version,
            at: now,
            keys: keys.clone(),
        });
        self.metrics.observe_window(state.window.len());
        drop(state);
        self.watches.wake(&keys);
        match fate {
            Fate::Landed => Err(Error::Unknown),
            Fate::Known | Fate::Lost => Ok(version),
        }
    }
}

struct MemSnapshot {
    mem: Arc<Mem>,
    version: Version,
}

impl MemSnapshot {
    /// The state, unless values of this version may have been forgotten already.
    fn state(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.mem.state();
        if state.window.is_too_old(self.version) {
            return Err(Error::Conflict(Conflict::TooOld));
        }
        Ok(state)
    }
}

impl Snapshot for MemSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.state()?.at(key, self.version))
    }

    fn scan(&self, range: &KeyRange, each: &mut dyn FnMut(Entry) -> bool) -> Result<()> {
        let state = self.state()?;
        for (key, versions) in state.values.range(range.start.clone()..range.end.clone()) {
            let Some(value) = visible(versions, self.version) else {
                continue;
            };
            let key = key.clone();
            if !each(Entry { key, value }) {
                break;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Kv for MemKv {
    async fn begin(&self) -> Result<Box<dyn Txn>> {
        let begun = self.0.clock.elapsed();
        let version = self.0.state().version;
        let snapshot = MemSnapshot {
            mem: self.0.clone(),
            version,
        };
        Ok(Box::new(LocalTxn::new(self.0.clone(), snapshot, version, begun)))
    }

    async fn changed(&self, prefix: &[u8], since: Version) -> Result<()> {
        let woken = self.0.watches.register(prefix);
        let already = {
            let state = self.0.state();
            state
                .window
                .changed(&KeyRange::prefix(prefix), since, state.version)
        };
        if !already {
            // The sender lives in the store, which this handle keeps; an error cannot come, and would be a wake-up too.
            woken.await.unwrap_or_default();
        }
        Ok(())
    }

    async fn version(&self) -> Result<Version> {
        Ok(self.0.state().version)
    }
}
