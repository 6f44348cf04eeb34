//! How the view keeps a host: its record, the tasks that take its room, and how much they take.

use std::sync::Arc;

use super::account::{max_each, plus};
use super::table::{Ix, Row};
use super::tasks::TaskIx;
use crate::host::HostRecord;
use crate::id::HostId;
use crate::resources::Resources;
use crate::schedule::index::{ClassIx, emptiness};
use crate::shard::stable_hash;

pub(crate) type HostIx = Ix<HostRow>;
pub(crate) type ZoneIx = Ix<ZoneRow>;

/// A zone that some host has named; never forgotten, since there are few.
#[derive(Debug, Default)]
pub(crate) struct ZoneRow {
    pub(crate) name: String,
    /// What the hosts of the zone have.
    pub(crate) capacity: Resources,
    /// What tasks take there.
    pub(crate) taken: Resources,
    /// Hosts that take tasks.
    pub(crate) open: u32,
}

/// A host of the view. It outlives its record while tasks name it, and may come before it.
#[derive(Debug)]
pub(crate) struct HostRow {
    pub(crate) id: HostId,
    pub(crate) record: Option<Arc<HostRecord>>,
    pub(crate) zone: Option<ZoneIx>,
    /// Its class in the index; `None` while it takes no tasks.
    pub(crate) class: Option<ClassIx>,
    /// Taken by tasks whose records say so.
    pub(crate) held: Resources,
    /// Taken by placements that are assumed.
    pub(crate) assumed: Resources,
    /// The tasks that take room, in no order.
    pub(crate) tasks: Vec<TaskIx>,
    /// Of these, tasks that want the host for themselves.
    pub(crate) exclusive: u32,
    /// Task rows that name it.
    pub(crate) refs: u32,
}

impl ZoneRow {
    /// How much of the zone is taken, in shares of its cpu and memory together.
    pub(crate) fn load(&self) -> i32 {
        emptiness(&self.taken, &self.capacity)
    }
}

impl HostRow {
    pub(crate) fn named(id: HostId) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    /// What is promised: by the host's own record or by its tasks, whichever is more, since the two come by
    /// different feeds and either may be ahead.
    pub(crate) fn taken(&self) -> Resources {
        let by_tasks = plus(&self.held, &self.assumed);
        self.record
            .as_ref()
            .map_or(by_tasks, |record| max_each(&by_tasks, &record.desired.used))
    }

    /// True when plans may place on it.
    pub(crate) fn is_open(&self) -> bool {
        self.exclusive == 0 && self.record.as_ref().is_some_and(|record| record.takes_tasks())
    }

    /// The room that a plan may use.
    pub(crate) fn free(&self) -> Resources {
        self.record.as_ref().map_or(Resources::ZERO, |record| {
            record.spec.capacity.saturating_sub(&self.taken())
        })
    }
}

impl Default for HostRow {
    fn default() -> Self {
        Self {
            id: HostId::new("none").expect("a valid name"),
            record: None,
            zone: None,
            class: None,
            held: Resources::ZERO,
            assumed: Resources::ZERO,
            tasks: Vec::new(),
            exclusive: 0,
            refs: 0,
        }
    }
}

impl Row for HostRow {
    type Key = HostId;

    fn key(&self) -> HostId {
        self.id
    }

    fn hash(key: &HostId) -> u64 {
        stable_hash(key.as_str().as_bytes())
    }
}
