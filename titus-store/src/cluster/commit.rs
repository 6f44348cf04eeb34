//! Commit: a plan's placements, each checked again, fenced by the lease, a slice of hosts a transaction.

use super::transact;
use std::collections::BTreeMap;

use titus_core::host::HostHealth;
use titus_core::id::HostId;
use titus_core::resources::Resources;
use titus_core::schedule::{Placement, Plan, RefusalReason, Refused};
use titus_core::shard::ShardId;
use titus_core::task::{TaskHot, TaskState, place};

use super::Cluster;
use super::lease::Lease;
use super::tx::Tx;
use crate::error::Result;

/// What became of a plan.
#[derive(Debug, Clone, Default)]
pub struct Committed {
    /// Placements that are durable.
    pub placed: Vec<Placement>,
    /// Placements that were refused, and why. They return to the queue.
    pub refused: Vec<Refused>,
    /// True when the lease did not hold for some of them: the rest of the plan was not tried.
    pub fenced: bool,
}

/// Hosts and placements of one transaction. A placement writes about 700 bytes.
const MOST_HOSTS: usize = 64;
const MOST_PLACEMENTS: usize = 350;

enum Slice {
    Done(Committed),
    Fenced,
}

impl Cluster {
    /// Makes a plan's placements durable, as far as they still hold.
    ///
    /// # Errors
    /// The store's. What was committed before the error stays, and the feed tells of it.
    pub async fn commit(&self, plan: &Plan, lease: &Lease) -> Result<Committed> {
        let mut done = Committed::default();
        for slice in slices(&plan.placements) {
            match self.commit_slice(plan, lease, &slice).await {
                Ok(Slice::Done(part)) => {
                    done.placed.extend(part.placed);
                    done.refused.extend(part.refused);
                }
                Ok(Slice::Fenced) => {
                    tracing::warn!(plan = %plan.id, "lease does not hold any more; plan dropped");
                    done.fenced = true;
                    return Ok(done);
                }
                Err(error) if error.is_retryable() => {
                    let reason = RefusalReason::Contended;
                    done.refused.extend(slice.iter().map(|placement| Refused {
                        placement: *placement,
                        reason,
                    }));
                }
                Err(error) => return Err(error),
            }
        }
        tracing::debug!(plan = %plan.id, placed = done.placed.len(), refused = done.refused.len(), "plan committed");
        Ok(done)
    }

    async fn commit_slice(&self, plan: &Plan, lease: &Lease, slice: &[Placement]) -> Result<Slice> {
        let (outcome, _) = transact!(self, "commit plan", |mut tx| {
            let mut fenced: BTreeMap<ShardId, bool> = BTreeMap::new();
            let mut rooms: BTreeMap<HostId, Option<Resources>> = BTreeMap::new();
            let mut part = Committed::default();
            for placement in slice {
                let Some((shard, task)) = self.find_live_task(&tx, placement.task).await? else {
                    part.refused
                        .push(refused(placement, RefusalReason::TaskNotWaiting));
                    continue;
                };
                let holds = match fenced.get(&shard) {
                    Some(holds) => *holds,
                    None => lease.holds(&tx, shard).await?,
                };
                fenced.insert(shard, holds);
                if !holds {
                    return Ok((self.begin().await?, Slice::Fenced));
                }
                match self
                    .place_one(&mut tx, plan, placement, shard, &task, &mut rooms)
                    .await?
                {
                    Ok(()) => part.placed.push(*placement),
                    Err(reason) => part.refused.push(refused(placement, reason)),
                }
            }
            Ok((tx, Slice::Done(part)))
        })?;
        Ok(outcome)
    }

    async fn place_one(
        &self,
        tx: &mut Tx,
        plan: &Plan,
        placement: &Placement,
        shard: ShardId,
        task: &TaskHot,
        rooms: &mut BTreeMap<HostId, Option<Resources>>,
    ) -> Result<Result<(), RefusalReason>> {
        // After an unknown outcome the plan finds its own work.
        if task.plan == Some(plan.id) && task.host == Some(placement.host) {
            return Ok(Ok(()));
        }
        if task.state != TaskState::Accepted {
            return Ok(Err(RefusalReason::TaskNotWaiting));
        }
        let Some(job) = self.specs.get(tx, shard, task.job).await? else {
            return Ok(Err(RefusalReason::TaskNotWaiting));
        };
        let asks = job.resources();
        let free = match rooms.get(&placement.host) {
            Some(free) => *free,
            None => free_room(tx, placement.host).await?,
        };
        let Some(free) = free else {
            rooms.insert(placement.host, None);
            return Ok(Err(RefusalReason::HostUnavailable));
        };
        let Some(left) = free.checked_sub(&asks) else {
            rooms.insert(placement.host, Some(free));
            let kind = free.first_shortage(&asks);
            return Ok(Err(
                kind.map_or(RefusalReason::HostUnavailable, RefusalReason::NoRoom)
            ));
        };
        let Some(placed) = place(task, plan.id, placement.host, self.clock.now()) else {
            return Ok(Err(RefusalReason::TaskNotWaiting));
        };
        rooms.insert(placement.host, Some(left));
        tx.put_task(shard, Some(task), &placed, &asks);
        Ok(Ok(()))
    }
}

const fn refused(placement: &Placement, reason: RefusalReason) -> Refused {
    Refused {
        placement: *placement,
        reason,
    }
}

/// What a host has left, or `None` when it takes no tasks.
async fn free_room(tx: &Tx, host: HostId) -> Result<Option<Resources>> {
    let (Some(row), Some(spec)) = (tx.desired(host).await?, tx.host_spec(host).await?) else {
        return Ok(None);
    };
    let takes = row.health == HostHealth::Ready && !row.desired.draining;
    Ok(takes.then(|| spec.capacity.saturating_sub(&row.desired.used)))
}

/// Cuts placements by host, so that a conflict costs one slice.
fn slices(placements: &[Placement]) -> Vec<Vec<Placement>> {
    let mut by_host: BTreeMap<HostId, Vec<Placement>> = BTreeMap::new();
    for placement in placements {
        by_host.entry(placement.host).or_default().push(*placement);
    }
    let mut slices: Vec<Vec<Placement>> = Vec::new();
    let (mut hosts, mut current) = (0, Vec::new());
    for group in by_host.into_values() {
        for part in group.chunks(MOST_PLACEMENTS) {
            if hosts >= MOST_HOSTS || current.len() + part.len() > MOST_PLACEMENTS {
                slices.push(std::mem::take(&mut current));
                hosts = 0;
            }
            current.extend_from_slice(part);
            hosts += 1;
        }
    }
    slices.push(current);
    slices.retain(|slice| !slice.is_empty());
    slices
}
