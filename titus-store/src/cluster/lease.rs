//! Who owns which shard: an epoch a shard that is never cleared, and one renewal key a process.
//!
//! No wall clocks are compared. A challenger times an unchanged renewal on its own monotonic clock and begins anew after
//! each failed or slow read, so a storage hiccup changes no owner. A take-over reads the epoch and the old owner's
//! renewal, so a renewal that lands first wins. Whoever writes for a shard reads its epoch in the same transaction, so a
//! stale owner is fenced by the transaction and not by luck.

use std::collections::BTreeMap;
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
            watched: BTreeMap::new(),
        }
    }

    /// The lease, unless it was not renewed for half its length: then nothing may be planned under it.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        let age = self.cluster.clock.elapsed().checked_sub(self.renewed?)?;
        (age < self.length / 2).then_some(&self.lease)
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
        let outcome = self.renew_and_take_over(start).await;
        let took = self.cluster.clock.elapsed().saturating_sub(start);
        if outcome.is_err() || took > self.length / 2 {
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
        self.cluster
            .write("give leases away", async |mut tx| {
                for shard in lease.shards() {
                    if lease.holds(&tx, shard).await? {
                        let epoch = lease.epochs[&shard] + 1;
                        Owner { epoch, member: None }.write(&mut tx, shard);
                    }
                }
                tx.clear_key(&keys::member(*lease.member.0.as_bytes()));
                Ok((tx, ()))
            })
            .await?;
        self.lease.epochs.clear();
        self.renewed = None;
        tracing::info!(member = ?self.member, "leases given away");
        Ok(())
    }

    async fn renew_and_take_over(&mut self, start: Duration) -> Result<bool> {
        self.renewals += 1;
        let renewals = self.renewals;
        let (member, cluster) = (self.member, self.cluster.clone());
        let (owners, _) = cluster
            .write("renew lease", async |mut tx| {
                let mut owners = Vec::new();
                for shard in ShardId::all() {
                    owners.push((shard, Owner::read(&tx, shard, Read::Snapshot).await?));
                }
                tx.set(&keys::member(*member.0.as_bytes()), &renewals.to_be_bytes());
                Ok((tx, owners))
            })
            .await?;
        self.renewed = Some(start);
        let before = self.lease.epochs.len();
        let lost = self.drop_lost(&owners);
        let dead = self.dead_members(&owners).await?;
        for (shard, owner) in owners {
            let free = owner
                .member
                .is_none_or(|m| m != self.member && dead.contains_key(&m));
            if free && !self.lease.owns(shard) {
                self.take_over(shard, owner, &dead).await?;
            }
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
    async fn dead_members(&mut self, owners: &[(ShardId, Owner)]) -> Result<BTreeMap<MemberId, u64>> {
        let now = self.cluster.clock.elapsed();
        let tx = self.cluster.begin().await?;
        let mut dead = BTreeMap::new();
        for member in owners
            .iter()
            .filter_map(|(_, o)| o.member)
            .filter(|m| *m != self.member)
        {
            let renewals = renewals_of(&tx, member, Read::Snapshot).await?;
            let seen = self
                .watched
                .entry(member)
                .or_insert(Watched { renewals, since: now });
            if seen.renewals != renewals {
                *seen = Watched { renewals, since: now };
            }
            if now.saturating_sub(seen.since) >= self.length {
                dead.insert(member, renewals);
            }
        }
        Ok(dead)
    }

    async fn take_over(&mut self, shard: ShardId, seen: Owner, dead: &BTreeMap<MemberId, u64>) -> Result<()> {
        let next = Owner {
            epoch: seen.epoch + 1,
            member: Some(self.member),
        };
        let (taken, _) = self
            .cluster
            .write("take shard over", async |mut tx| {
                let owner = Owner::read(&tx, shard, Read::Serializable).await?;
                if owner == next {
                    return Ok((tx, true));
                }
                if owner != seen {
                    return Ok((tx, false));
                }
                if let Some(old) = owner.member {
                    let renewals = renewals_of(&tx, old, Read::Serializable).await?;
                    if dead.get(&old) != Some(&renewals) {
                        return Ok((tx, false));
                    }
                }
                next.write(&mut tx, shard);
                Ok((tx, true))
            })
            .await?;
        if taken {
            tracing::debug!(%shard, epoch = next.epoch, "shard taken over");
            self.lease.epochs.insert(shard, next.epoch);
        }
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
