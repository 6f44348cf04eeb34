//! Who owns which shard: an epoch a shard that is never cleared, and one renewal key a process.
//!
//! No wall clocks are compared. A challenger times an unchanged renewal on its own monotonic clock and begins anew after
//! each failed or slow read, so a storage hiccup changes no owner. A take-over reads the epoch and the old owner's
//! renewal, so a renewal that lands first wins. Whoever writes for a shard reads its epoch in the same transaction, so a
//! stale owner is fenced by the transaction and not by luck.

use super::transact;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use titus_core::rng::Rng;
use titus_core::shard::ShardId;
use uuid::Uuid;

use super::tx::Tx;
use super::{Cluster, keys};
use crate::codec::{Reader, Writer};
use crate::error::Result;
use crate::kv::Read;

/// A scheduler process, for as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(Uuid);

impl MemberId {
    /// A new process's id.
    #[must_use]
    pub fn generate(rng: &mut Rng) -> Self {
        Self(Uuid::from_u64_pair(rng.next_u64(), rng.next_u64()))
    }
}

/// The shards that a process owns, with the epoch of each. What is written under it is fenced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    member: MemberId,
    epochs: BTreeMap<ShardId, u64>,
}

impl Lease {
    /// True when the process owns the shard.
    #[must_use]
    pub fn owns(&self, shard: ShardId) -> bool {
        self.epochs.contains_key(&shard)
    }

    /// The shards that it owns.
    pub fn shards(&self) -> impl Iterator<Item = ShardId> + '_ {
        self.epochs.keys().copied()
    }

    /// Reads the shard's epoch; false when it is not this lease's any more.
    pub(super) async fn holds(&self, tx: &Tx, shard: ShardId) -> Result<bool> {
        let Some(epoch) = self.epochs.get(&shard) else {
            return Ok(false);
        };
        let owner = Owner::read(tx, shard, Read::Serializable).await?;
        Ok(owner.epoch == *epoch && owner.member == Some(self.member))
    }
}

/// Who owns a shard; epoch 0 is before its first owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Owner {
    epoch: u64,
    member: Option<MemberId>,
}

const VERSION: u8 = 1;

impl Owner {
    async fn read(tx: &Tx, shard: ShardId, read: Read) -> Result<Self> {
        let key = keys::epoch(shard);
        let bytes = match read {
            Read::Serializable => tx.get(&key).await?,
            Read::Snapshot => tx.peek(&key).await?,
        };
        let Some(bytes) = bytes else {
            return Ok(Self::default());
        };
        let (_, mut r) = Reader::open("epoch", &[VERSION], &bytes)?;
        let epoch = r.u64()?;
        let member = Uuid::from_bytes(r.array()?);
        r.finish()?;
        Ok(Self {
            epoch,
            member: (!member.is_nil()).then_some(MemberId(member)),
        })
    }

    fn write(self, tx: &mut Tx, shard: ShardId) {
        let mut w = Writer::new(VERSION);
        w.u64(self.epoch)
            .raw(self.member.map_or(Uuid::nil(), |m| m.0).as_bytes());
        tx.set(&keys::epoch(shard), &w.finish());
    }
}

/// Acquires, renews and gives away the shards of one process.
#[derive(Debug)]
pub struct LeaseKeeper {
    cluster: Cluster,
    member: MemberId,
    length: Duration,
    lease: Lease,
    renewals: u64,
    renewed: Option<Duration>,
    /// When the last tick ended.
    looked: Option<Duration>,
    watched: BTreeMap<MemberId, Watched>,
}

/// Another member's renewal as last seen, and since when it has not changed.
#[derive(Debug, Clone, Copy)]
struct Watched {
    renewals: u64,
    since: Duration,
}

impl LeaseKeeper {
    /// A keeper for a new process. `length` is the same for all processes of a cell.
    #[must_use]
    pub const fn new(cluster: Cluster, member: MemberId, length: Duration) -> Self {
        let lease = Lease {
            member,
            epochs: BTreeMap::new(),
        };
        Self {
            cluster,
            member,
            length,
            lease,
            renewals: 0,
            renewed: None,
            looked: None,
            watched: BTreeMap::new(),
        }
    }

    /// The lease, unless it was not renewed for half its length: then nothing may be planned under it.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        let age = self.cluster.clock.elapsed().checked_sub(self.renewed?)?;
        (age < self.length / 2).then_some(&self.lease)
    }

    /// Until when, on the clock's [`elapsed`](crate::clock::Clock::elapsed), things may be planned under the lease.
    #[must_use]
    pub fn valid_until(&self) -> Option<Duration> {
        self.renewed.map(|renewed| renewed + self.length / 2)
    }

    /// How often to call [`tick`](Self::tick).
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.length / 5
    }

    /// Renews, and takes over shards without a living owner. Answers true when the set of owned shards has changed.
    ///
    /// # Errors
    /// The store's. The lease then ages; the timers of other members start anew.
    pub async fn tick(&mut self) -> Result<bool> {
        let start = self.cluster.clock.elapsed();
        // Whoever was not looking for so long cannot tell whether the others were.
        if self
            .looked
            .is_none_or(|before| start.saturating_sub(before) > self.length / 2)
        {
            self.watched.clear();
        }
        let outcome = self.renew_and_take_over(start).await;
        let end = self.cluster.clock.elapsed();
        self.looked = Some(end);
        if outcome.is_err() || end.saturating_sub(start) > self.length / 2 {
            self.watched.clear();
        }
        outcome
    }

    /// Gives all shards away, so that others need not wait.
    ///
    /// # Errors
    /// The store's.
    pub async fn give_away(&mut self) -> Result<()> {
        let lease = self.lease.clone();
        transact!(self.cluster, "give leases away", |mut tx| {
            for shard in lease.shards() {
                if lease.holds(&tx, shard).await? {
                    let epoch = lease.epochs[&shard] + 1;
                    Owner { epoch, member: None }.write(&mut tx, shard);
                }
            }
            tx.clear_key(&keys::member(*lease.member.0.as_bytes()));
            Ok((tx, ()))
        })?;
        self.lease.epochs.clear();
        self.renewed = None;
        tracing::info!(member = ?self.member, "leases given away");
        Ok(())
    }

    async fn renew_and_take_over(&mut self, start: Duration) -> Result<bool> {
        self.renewals += 1;
        let renewals = self.renewals;
        let (member, cluster) = (self.member, self.cluster.clone());
        let (owners, _) = transact!(cluster, "renew lease", |mut tx| {
            let mut owners = Vec::new();
            for shard in ShardId::all() {
                owners.push((shard, Owner::read(&tx, shard, Read::Snapshot).await?));
            }
            tx.set(&keys::member(*member.0.as_bytes()), &renewals.to_be_bytes());
            Ok((tx, owners))
        })?;
        self.renewed = Some(start);
        let before = self.lease.epochs.len();
        let lost = self.drop_lost(&owners);
        let dead = self.dead_members(&owners, start).await?;
        let held = |owner: &Owner| {
            owner
                .member
                .is_some_and(|m| m == self.member || !dead.contains_key(&m))
        };
        let free: Vec<(ShardId, Owner)> = owners
            .into_iter()
            .filter(|(shard, owner)| !held(owner) && !self.lease.owns(*shard))
            .collect();
        if !free.is_empty() {
            self.take_over(&free, &dead).await?;
        }
        Ok(lost || self.lease.epochs.len() != before)
    }

    /// Forgets shards that another process has taken.
    fn drop_lost(&mut self, owners: &[(ShardId, Owner)]) -> bool {
        let before = self.lease.epochs.len();
        let member = self.member;
        self.lease.epochs.retain(|shard, epoch| {
            owners
                .iter()
                .any(|(s, o)| s == shard && o.epoch == *epoch && o.member == Some(member))
        });
        if self.lease.epochs.len() < before {
            tracing::warn!(member = ?member, lost = before - self.lease.epochs.len(), "shards were taken over");
        }
        self.lease.epochs.len() < before
    }

    /// Members that own a shard and have not renewed for a lease's length, with the renewal that was seen last.
    ///
    /// Counted is the time up to `start`, before this tick asked the store anything: a store that stalls now stalls the
    /// renewals as well.
    async fn dead_members(
        &mut self,
        owners: &[(ShardId, Owner)],
        start: Duration,
    ) -> Result<BTreeMap<MemberId, u64>> {
        let tx = self.cluster.begin().await?;
        let mut dead = BTreeMap::new();
        let members: BTreeSet<MemberId> = owners.iter().filter_map(|(_, o)| o.member).collect();
        for member in members.into_iter().filter(|m| *m != self.member) {
            let renewals = renewals_of(&tx, member, Read::Snapshot).await?;
            let since = self.cluster.clock.elapsed();
            let seen = self.watched.entry(member).or_insert(Watched { renewals, since });
            if seen.renewals != renewals {
                *seen = Watched { renewals, since };
            }
            if start.saturating_sub(seen.since) >= self.length {
                dead.insert(member, renewals);
            }
        }
        Ok(dead)
    }

    /// Takes all shards that nobody living owns, in one transaction.
    async fn take_over(&mut self, free: &[(ShardId, Owner)], dead: &BTreeMap<MemberId, u64>) -> Result<()> {
        let member = self.member;
        let (taken, _) = transact!(self.cluster, "take shards over", |mut tx| {
            let mut taken = Vec::new();
            let mut still_dead: BTreeMap<MemberId, bool> = BTreeMap::new();
            for (shard, seen) in free {
                let next = Owner {
                    epoch: seen.epoch + 1,
                    member: Some(member),
                };
                let owner = Owner::read(&tx, *shard, Read::Serializable).await?;
                if owner == next {
                    taken.push((*shard, next.epoch));
                    continue;
                }
                let free = match seen.member {
                    None => true,
                    Some(old) => match still_dead.get(&old) {
                        Some(known) => *known,
                        None => dead.get(&old) == Some(&renewals_of(&tx, old, Read::Serializable).await?),
                    },
                };
                still_dead.extend(seen.member.map(|old| (old, free)));
                if owner == *seen && free {
                    next.write(&mut tx, *shard);
                    taken.push((*shard, next.epoch));
                }
            }
            Ok((tx, taken))
        })?;
        tracing::info!(member = ?self.member, shards = taken.len(), "shards taken over");
        self.lease.epochs.extend(taken);
        Ok(())
    }
}

/// A member's renewals; 0 for one that has given away or was never there.
async fn renewals_of(tx: &Tx, member: MemberId, read: Read) -> Result<u64> {
    let key = keys::member(*member.0.as_bytes());
    let bytes = match read {
        Read::Serializable => tx.get(&key).await?,
        Read::Snapshot => tx.peek(&key).await?,
    };
    Ok(bytes
        .and_then(|b| <[u8; 8]>::try_from(&b[..]).ok())
        .map_or(0, u64::from_be_bytes))
}
