//! Tasks that wait for a host, oldest first, in one queue for each capacity group of each shard.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::table::Ix;
use super::tasks::TaskIx;
use crate::id::{JobId, TaskId};
use crate::resources::Resources;
use crate::shard::ShardId;
use crate::time::{Millis, Timestamp};

pub(crate) type QueueIx = Ix<Queue>;

/// A place in a queue: when the task may be placed, then its job and slot, so that a job's tasks stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    pub(crate) ready: Timestamp,
    job: [u64; 2],
    index: u32,
    task: [u64; 2],
}

impl Ticket {
    pub(crate) fn new(ready: Timestamp, job: JobId, index: u32, task: TaskId) -> Self {
        Self {
            ready,
            job: halves(job.uuid()),
            index,
            task: halves(task.uuid()),
        }
    }

    /// Before every ticket that is ready then.
    const fn first_at(ready: Timestamp) -> Self {
        Self {
            ready,
            job: [0; 2],
            index: 0,
            task: [0; 2],
        }
    }
}

/// An id as numbers, which compare faster than bytes and in the same order.
const fn halves(id: Uuid) -> [u64; 2] {
    let (high, low) = id.as_u64_pair();
    [high, low]
}

/// The part of a capacity group that lives in one shard.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) shard: ShardId,
    pub(crate) group: String,
    pub(crate) tickets: BTreeMap<Ticket, TaskIx>,
    /// What the group's tasks take, in this shard.
    pub(crate) taken: Resources,
}

impl Queue {
    /// When the next of its tasks that are not ready now will be.
    pub(crate) fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let mut later = self.tickets.range(Ticket::first_at(now + Millis(1))..);
        later.next().map(|(ticket, _)| ticket.ready)
    }
}

/// All queues; one that was named once stays, since there are few.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    rows: Vec<Queue>,
    by_name: BTreeMap<(ShardId, String), QueueIx>,
}

impl Queues {
    pub(crate) fn of(&mut self, shard: ShardId, group: &str) -> QueueIx {
        let key = (shard, group.to_owned());
        if let Some(ix) = self.by_name.get(&key) {
            return *ix;
        }
        let ix = Ix::new(self.rows.len());
        self.rows.push(Queue {
            shard,
            group: key.1.clone(),
            tickets: BTreeMap::new(),
            taken: Resources::ZERO,
        });
        self.by_name.insert(key, ix);
        ix
    }

    pub(crate) fn get(&self, ix: QueueIx) -> &Queue {
        &self.rows[ix.place()]
    }

    pub(crate) fn get_mut(&mut self, ix: QueueIx) -> &mut Queue {
        &mut self.rows[ix.place()]
    }

    /// In the order of shard and group.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Queue> {
        self.by_name.values().map(|ix| self.get(*ix))
    }
}
