//! How the view keeps a job: its record, its tasks by slot, and where they stand.

use std::sync::Arc;

use super::StateCounts;
use super::hosts::ZoneIx;
use super::table::{Ix, Row, mix, split};
use super::tasks::TaskIx;
use super::waiting::QueueIx;
use crate::id::JobId;
use crate::job::JobRecord;
use crate::resources::Resources;
use crate::schedule::Rules;

pub(crate) type JobIx = Ix<JobRow>;

/// A job of the view. It outlives its record while tasks name it, and may come before it.
#[derive(Debug)]
pub(crate) struct JobRow {
    pub(crate) id: JobId,
    pub(crate) record: Option<Arc<JobRecord>>,
    /// What one task takes; nothing until the record is known.
    pub(crate) shape: Resources,
    /// Its constraints; `None` where it has none, as most have.
    pub(crate) rules: Option<Box<Rules>>,
    /// Where its tasks wait; `None` until the record is known.
    pub(crate) queue: Option<QueueIx>,
    /// By slot, then by id.
    pub(crate) tasks: Vec<TaskIx>,
    pub(crate) counts: StateCounts,
    /// Tasks that take room, by zone.
    zones: Vec<u32>,
}

impl JobRow {
    pub(crate) fn named(id: JobId) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    /// How many of its tasks take room in a zone.
    pub(crate) fn in_zone(&self, zone: ZoneIx) -> u32 {
        self.zones.get(zone.place()).copied().unwrap_or(0)
    }

    pub(crate) fn enter_zone(&mut self, zone: ZoneIx) {
        if self.zones.len() <= zone.place() {
            self.zones.resize(zone.place() + 1, 0);
        }
        self.zones[zone.place()] += 1;
    }

    pub(crate) fn leave_zone(&mut self, zone: ZoneIx) {
        self.zones[zone.place()] -= 1;
    }

    /// Makes room for the counts of so many zones, so that placing allocates nothing.
    pub(crate) fn expect_zones(&mut self, zones: usize) {
        if self.zones.len() < zones {
            self.zones.resize(zones, 0);
        }
    }

    /// True when its tasks that take room take it from one host each.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.rules.as_ref().is_some_and(|rules| rules.hard.exclusive_host)
    }
}

impl Default for JobRow {
    fn default() -> Self {
        Self {
            id: JobId::from_bytes([0; 16]),
            record: None,
            shape: Resources::ZERO,
            rules: None,
            queue: None,
            tasks: Vec::new(),
            counts: StateCounts::default(),
            zones: Vec::new(),
        }
    }
}

impl Row for JobRow {
    type Key = JobId;

    fn key(&self) -> JobId {
        self.id
    }

    fn hash(key: &JobId) -> u64 {
        let [low, high] = split(key.uuid().as_u128());
        mix(high, low)
    }
}
