//! What everyone else reads of the view.

use std::ops::Bound;
use std::sync::Arc;

use super::{ClusterView, HostIx, JobIx, TaskIx};
use crate::host::HostRecord;
use crate::id::{HostId, JobId, TaskId};
use crate::job::{JobRecord, JobState};
use crate::resources::Resources;
use crate::schedule::PendingTask;
use crate::shard::ShardId;
use crate::task::{TaskHot, TaskState};
use crate::time::Timestamp;

/// How many tasks are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StateCounts([u32; TaskState::ALL.len()]);

impl StateCounts {
    /// How many are in one state.
    #[must_use]
    pub const fn of(&self, state: TaskState) -> u32 {
        self.0[state.number() as usize]
    }

    /// How many there are in all.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.0.iter().sum()
    }

    /// How many have not ended.
    #[must_use]
    pub fn unfinished(&self) -> u32 {
        self.total() - self.of(TaskState::Finished)
    }

    pub(super) const fn shift(&mut self, state: TaskState, more: bool) {
        let count = &mut self.0[state.number() as usize];
        *count = if more { *count + 1 } else { *count - 1 };
    }
}

impl ClusterView {
    /// A job's record.
    #[must_use]
    pub fn job(&self, id: JobId) -> Option<&Arc<JobRecord>> {
        self.jobs.find(&id).and_then(|ix| self.jobs[ix].record.as_ref())
    }

    /// Every job, in the order of creation and then of id.
    pub fn jobs(&self) -> impl Iterator<Item = &Arc<JobRecord>> {
        self.jobs_after(None)
    }

    /// The jobs that come after one in that order, whether it is still there or not: the next page.
    pub fn jobs_after(&self, last: Option<(Timestamp, JobId)>) -> impl Iterator<Item = &Arc<JobRecord>> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_age
            .range((from, Bound::Unbounded))
            .filter_map(|(_, ix)| self.jobs[*ix].record.as_ref())
    }

    /// How many jobs there are.
    #[must_use]
    pub fn job_count(&self) -> usize {
        self.by_age.len()
    }

    /// A job's tasks, in the order of slot and then of id: those that run and those that ended and are kept.
    pub fn tasks_of_job(&self, id: JobId) -> impl Iterator<Item = TaskHot> {
        let ix = self.jobs.find(&id);
        let tasks = ix.map_or(&[][..], |ix| &self.jobs[ix].tasks);
        tasks.iter().map(|task| self.read_task(*task))
    }

    /// How many of a job's tasks are in each state.
    #[must_use]
    pub fn job_counts(&self, id: JobId) -> StateCounts {
        self.jobs
            .find(&id)
            .map_or_else(StateCounts::default, |ix| self.jobs[ix].counts)
    }

    /// How many tasks of all jobs are in each state.
    #[must_use]
    pub const fn counts(&self) -> StateCounts {
        self.counts
    }

    /// A task's record, as the store has it: an assumed placement does not show.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<TaskHot> {
        self.tasks.find(&id).map(|ix| self.read_task(ix))
    }

    /// Every task of the jobs that are known, job by job.
    pub fn tasks(&self) -> impl Iterator<Item = TaskHot> {
        let jobs = self.by_age.values();
        jobs.flat_map(|ix| self.jobs[*ix].tasks.iter().map(|task| self.read_task(*task)))
    }

    /// A host's record.
    #[must_use]
    pub fn host(&self, id: HostId) -> Option<&Arc<HostRecord>> {
        self.hosts.find(&id).and_then(|ix| self.hosts[ix].record.as_ref())
    }

    /// Every host, by name.
    pub fn hosts(&self) -> impl Iterator<Item = &Arc<HostRecord>> {
        self.by_name
            .values()
            .filter_map(|ix| self.hosts[*ix].record.as_ref())
    }

    /// The hosts whose names come after one: the next page.
    pub fn hosts_after(&self, last: Option<HostId>) -> impl Iterator<Item = &Arc<HostRecord>> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_name
            .range((from, Bound::Unbounded))
            .filter_map(|(_, ix)| self.hosts[*ix].record.as_ref())
    }

    /// The tasks whose records hold room on a host, by id. Assumed placements are not among them.
    #[must_use]
    pub fn tasks_on_host(&self, id: HostId) -> Vec<TaskHot> {
        let ix = self.hosts.find(&id);
        let rows = ix.map_or(&[][..], |ix| &self.hosts[ix].tasks);
        let held = rows.iter().filter(|task| !self.tasks[**task].assumed);
        let mut tasks: Vec<TaskHot> = held.map(|task| self.read_task(*task)).collect();
        tasks.sort_unstable_by_key(|task| task.id);
        tasks
    }

    /// The room that those tasks hold: what the host's `desired.used` must say once all feeds are read.
    #[must_use]
    pub fn used_on_host(&self, id: HostId) -> Resources {
        self.hosts
            .find(&id)
            .map_or(Resources::ZERO, |ix| self.hosts[ix].held)
    }

    /// The room that a plan may still use on a host, assumed placements taken off; nothing on an unknown one.
    #[must_use]
    pub fn free_on_host(&self, id: HostId) -> Resources {
        self.hosts
            .find(&id)
            .map_or(Resources::ZERO, |ix| self.hosts[ix].free())
    }

    /// The tasks of some shards that may be placed now, oldest first within each capacity group: Accepted, past
    /// their back-off, not assumed to be placed, of a job that runs.
    pub fn pending(
        &self,
        owned: impl Fn(ShardId) -> bool,
        now: Timestamp,
    ) -> impl Iterator<Item = PendingTask> {
        let queues = self.queues.iter().filter(move |queue| owned(queue.shard));
        queues.flat_map(move |queue| self.ready(queue, now))
    }

    /// When the next task of some shards gets past its back-off: the latest moment to plan again.
    pub fn next_ready(&self, owned: impl Fn(ShardId) -> bool, now: Timestamp) -> Option<Timestamp> {
        let queues = self.queues.iter().filter(|queue| owned(queue.shard));
        queues.filter_map(|queue| queue.next_after(now)).min()
    }

    pub(crate) fn ready<'v>(
        &'v self,
        queue: &'v super::Queue,
        now: Timestamp,
    ) -> impl Iterator<Item = PendingTask> + use<'v> {
        let tickets = queue.tickets.iter();
        let due = tickets.take_while(move |(ticket, _)| ticket.ready <= now);
        due.filter_map(|(ticket, ix)| {
            let row = &self.tasks[*ix];
            let job = self.jobs[row.job()].record.as_ref()?;
            let waits = !row.assumed && job.status.state == JobState::Accepted;
            waits.then(|| PendingTask {
                task: row.id,
                job: Arc::clone(job),
                since: ticket.ready,
            })
        })
    }

    pub(crate) fn find_task(&self, id: TaskId) -> Option<TaskIx> {
        self.tasks.find(&id)
    }

    pub(crate) fn find_job(&self, id: JobId) -> Option<JobIx> {
        self.jobs.find(&id)
    }

    pub(crate) fn find_host(&self, id: HostId) -> Option<HostIx> {
        self.hosts.find(&id)
    }

    pub(crate) fn host_ixs(&self) -> impl Iterator<Item = HostIx> {
        self.by_name.values().copied()
    }

    fn read_task(&self, ix: TaskIx) -> TaskHot {
        let row = &self.tasks[ix];
        let host = row.host.map(|host| self.hosts[host].id);
        row.read(self.jobs[row.job()].id, host, self.lineage.get(&ix))
    }
}
