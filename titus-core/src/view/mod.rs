//! The warm view: everything that is live, advanced by changes and never rebuilt.
//!
//! Call order: [`apply`](ClusterView::apply) each change of the feeds as it comes. To plan, open a
//! [`round`](ClusterView::round), let a planner place into it, [`keep`](crate::round::Round::keep) it, and commit
//! the plan. Its placements stay assumed until the feed's echo of each task replaces them; until then the caller
//! says which ones were refused ([`undo`](ClusterView::undo)), or that the whole plan is void, because the commit
//! failed or the lease is lost ([`undo_plan`](ClusterView::undo_plan)). The next round may be planned meanwhile.
//!
//! Changes may come twice and in any order between entities: a record older than the one held is ignored (jobs and
//! tasks by `version`, hosts by `desired.generation` and `since`), a task may come before its job and its host. Only
//! the end of an entity must come last, as it does in a feed.

mod account;
mod apply;
mod hosts;
mod jobs;
mod read;
mod table;
mod tasks;
mod waiting;

use std::collections::BTreeMap;

pub use read::StateCounts;

pub(crate) use account::plus;
pub(crate) use hosts::{HostIx, ZoneIx, ZoneRow};
pub(crate) use jobs::{JobIx, JobRow};
pub(crate) use tasks::TaskIx;
pub(crate) use waiting::Queue;

use crate::id::{HostId, JobId, PlanId};
use crate::resources::Resources;
use crate::round::Round;
use crate::schedule::index::{HostIndex, Scarce};
use crate::time::Timestamp;
use hosts::HostRow;
use table::{Ix, Table};
use tasks::{Lineage, TaskRow};
use waiting::Queues;

/// All jobs, tasks and hosts of a cell that are live, and what each plan in flight is assumed to do to them.
#[derive(Default)]
pub struct ClusterView {
    jobs: Table<JobRow>,
    by_age: BTreeMap<(Timestamp, JobId), JobIx>,
    tasks: Table<TaskRow>,
    lineage: BTreeMap<TaskIx, Lineage>,
    hosts: Table<HostRow>,
    by_name: BTreeMap<HostId, HostIx>,
    zones: Vec<ZoneRow>,
    index: HostIndex,
    queues: Queues,
    counts: StateCounts,
    assumed: BTreeMap<PlanId, Assumed>,
}

/// The placements of a plan in flight.
#[derive(Debug, Default)]
struct Assumed {
    /// Those placed, of which some may have been replaced or undone since.
    tasks: Vec<TaskIx>,
    /// Those not replaced or undone yet.
    open: usize,
}

impl ClusterView {
    /// An empty view.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a round under the id that its plan will have. Dropping it undoes its placements.
    pub fn round(&mut self, plan: PlanId) -> Round<'_> {
        Round::new(self, plan)
    }

    /// Takes back one assumed placement, which the commit refused: its task waits again.
    /// False when it is not assumed any more.
    pub fn undo(&mut self, plan: PlanId, task: crate::id::TaskId) -> bool {
        let assumed = |ix: &TaskIx| self.tasks[*ix].assumed && self.tasks[*ix].plan() == plan;
        match self.tasks.find(&task).filter(assumed) {
            Some(ix) => {
                self.closed(ix);
                self.forget_assumed(ix);
                true
            }
            None => false,
        }
    }

    /// Takes back all that is still assumed of a plan: its commit failed, or the lease is lost.
    pub fn undo_plan(&mut self, plan: PlanId) {
        for ix in self.assumed.remove(&plan).unwrap_or_default().tasks {
            if self.tasks[ix].assumed && self.tasks[ix].plan() == plan {
                self.forget_assumed(ix);
            }
        }
    }

    /// How many placements are assumed and neither echoed nor undone yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.assumed.values().map(|plan| plan.open).sum()
    }

    pub(crate) fn task_row(&self, ix: TaskIx) -> &TaskRow {
        &self.tasks[ix]
    }

    pub(crate) fn job_row(&self, ix: JobIx) -> &JobRow {
        &self.jobs[ix]
    }

    pub(crate) fn host_row(&self, ix: HostIx) -> &HostRow {
        &self.hosts[ix]
    }

    pub(crate) fn zone_row(&self, ix: ZoneIx) -> &ZoneRow {
        &self.zones[ix.place()]
    }

    pub(crate) const fn index(&self) -> &HostIndex {
        &self.index
    }

    pub(crate) const fn index_mut(&mut self) -> &mut HostIndex {
        &mut self.index
    }

    /// The resource of which the cell's tasks take the greater share.
    pub(crate) fn scarce(&self) -> Scarce {
        let taken = self
            .zones
            .iter()
            .fold(Resources::ZERO, |sum, zone| plus(&sum, &zone.taken));
        Scarce::of(&taken, &self.capacity())
    }

    /// What all hosts of the cell have together.
    pub(crate) fn capacity(&self) -> Resources {
        let zones = self.zones.iter();
        zones.fold(Resources::ZERO, |sum, zone| plus(&sum, &zone.capacity))
    }

    pub(crate) fn queues(&self) -> impl Iterator<Item = &Queue> {
        self.queues.iter()
    }

    /// The zones with a host that takes tasks.
    pub(crate) fn open_zones(&self) -> impl Iterator<Item = ZoneIx> {
        let open = self.zones.iter().enumerate().filter(|(_, zone)| zone.open > 0);
        open.map(|(place, _)| Ix::new(place))
    }

    fn zone_ix(&mut self, name: &str) -> ZoneIx {
        let place = self
            .zones
            .iter()
            .position(|zone| zone.name == name)
            .unwrap_or_else(|| {
                self.zones.push(ZoneRow {
                    name: name.to_owned(),
                    ..ZoneRow::default()
                });
                self.zones.len() - 1
            });
        Ix::new(place)
    }
}

impl std::fmt::Debug for ClusterView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterView")
            .field("jobs", &self.by_age.len())
            .field("tasks", &self.counts)
            .field("hosts", &self.hosts.len())
            .field("in_flight", &self.in_flight())
            .finish()
    }
}
