//! Leases under a store that stalls and processes that freeze: nobody takes over from a living owner, and nobody plans
//! under a lease that ran out.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use titus_core::rng::RngTree;
use titus_core::time::{Millis, Timestamp};
use titus_store::backend::MemKv;
use titus_store::clock::SimClock;
use titus_store::cluster::{Cluster, LeaseKeeper, MemberId};
use titus_store::{Kv, Result, Txn, Version};

const LEASE: Duration = Duration::from_secs(1);

/// A store whose every call takes a while of the simulated time.
#[derive(Debug)]
struct Stalling {
    inner: MemKv,
    clock: Arc<SimClock>,
    stall: AtomicU64,
}

#[async_trait]
impl Kv for Stalling {
    async fn begin(&self) -> Result<Box<dyn Txn>> {
        self.clock.advance(Millis(self.stall.load(Ordering::Relaxed)));
        self.inner.begin().await
    }

    async fn changed(&self, prefix: &[u8], since: Version) -> Result<()> {
        self.inner.changed(prefix, since).await
    }

    async fn version(&self) -> Result<Version> {
        self.inner.version().await
    }
}

struct World {
    clock: Arc<SimClock>,
    kv: Arc<Stalling>,
    holder: LeaseKeeper,
    challenger: LeaseKeeper,
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(SimClock::new(Timestamp::from_millis(1_000)));
        let inner = MemKv::builder().clock(clock.clone()).build();
        let kv = Arc::new(Stalling {
            inner,
            clock: clock.clone(),
            stall: AtomicU64::new(0),
        });
        let cluster = Cluster::new(kv.clone(), clock.clone());
        let mut rng = RngTree::new(1).child("members");
        let mut keeper = || LeaseKeeper::new(cluster.clone(), MemberId::generate(&mut rng), LEASE);
        let mut world = Self {
            holder: keeper(),
            challenger: keeper(),
            clock,
            kv,
        };
        world.holder.tick().await.unwrap();
        assert_eq!(world.owned().0, 64);
        world
    }

    fn stall(&self, millis: u64) {
        self.kv.stall.store(millis, Ordering::Relaxed);
    }

    async fn turn(&mut self) {
        self.clock.advance(Millis(200));
        self.holder.tick().await.unwrap();
        self.challenger.tick().await.unwrap();
    }

    fn owned(&self) -> (usize, usize) {
        let count = |keeper: &LeaseKeeper| keeper.lease().map_or(0, |lease| lease.shards().count());
        (count(&self.holder), count(&self.challenger))
    }
}

#[tokio::test]
async fn stalls_of_the_store_change_no_owner() {
    let mut world = World::new().await;
    for stall in (0..100).map(|n| 500 + 55 * n) {
        for _ in 0..3 {
            world.turn().await;
        }
        assert_eq!(world.owned(), (64, 0), "before a stall of {stall} ms");
        // The store hangs under the challenger, and the holder hangs with it.
        world.stall(stall);
        world.challenger.tick().await.unwrap();
        world.stall(0);
        assert_eq!(
            world.owned().1,
            0,
            "the challenger took over in a stall of {stall} ms"
        );
        world.holder.tick().await.unwrap();
        world.turn().await;
        assert_eq!(world.owned(), (64, 0), "after a stall of {stall} ms");
    }
}

#[tokio::test]
async fn a_challenger_that_froze_begins_to_count_anew() {
    let mut world = World::new().await;
    world.turn().await;
    // Both froze, as on a machine that was suspended; the challenger is first to run again.
    world.clock.advance(Millis(10_000));
    world.challenger.tick().await.unwrap();
    assert_eq!(world.owned().1, 0);
    world.holder.tick().await.unwrap();
    world.turn().await;
    assert_eq!(world.owned(), (64, 0));
}

#[tokio::test]
async fn an_owner_that_is_gone_is_followed_after_one_lease() {
    let mut world = World::new().await;
    world.turn().await;
    let mut waited = 0;
    while world.owned().1 == 0 {
        world.clock.advance(Millis(200));
        world.challenger.tick().await.unwrap();
        waited += 200;
        assert!(waited <= 1_400, "not taken over after {waited} ms");
    }
    assert!(waited >= 1_000, "taken over after {waited} ms");
    assert_eq!(world.owned().1, 64);
    assert!(world.holder.lease().is_none());
}

#[tokio::test]
async fn taking_over_the_whole_cell_is_one_transaction() {
    let mut world = World::new().await;
    world.turn().await;
    for _ in 0..6 {
        world.clock.advance(Millis(200));
        let before = world.kv.inner.metrics().read().commits;
        world.challenger.tick().await.unwrap();
        let commits = world.kv.inner.metrics().read().commits - before;
        assert!(commits <= 2, "{commits} commits for one tick");
    }
    assert_eq!(world.owned().1, 64);
}
