//! One change at a time: what each does to the view.

use std::sync::Arc;

use super::account::plus;
use super::hosts::HostRow;
use super::jobs::JobRow;
use super::tasks::{Lineage, TaskRow};
use super::waiting::{QueueIx, Ticket};
use super::{ClusterView, HostIx, JobIx, TaskIx, ZoneIx};
use crate::change::Change;
use crate::host::{HostRecord, HostSpec};
use crate::id::{HostId, JobId, TaskId};
use crate::job::JobRecord;
use crate::resources::Resources;
use crate::schedule::Rules;
use crate::task::{TaskHot, TaskState};

impl ClusterView {
    /// Takes a change in. Taking it in again, or one that is older than what is held, changes nothing.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Job(record) => self.apply_job(record),
            Change::JobGone(id) => self.job_gone(*id),
            Change::Task(hot) => self.apply_task(hot),
            Change::TaskGone(id) => self.task_gone(*id),
            Change::Host(record) => self.apply_host(record),
            Change::HostGone(id) => self.host_gone(*id),
        }
    }

    fn apply_task(&mut self, hot: &TaskHot) {
        let found = self.tasks.find(&hot.id);
        if found.is_some_and(|ix| self.tasks[ix].version > hot.version) {
            return;
        }
        let job = self.job_named(hot.job);
        let host = hot.host.map(|id| self.host_named(id));
        let ix = match found {
            Some(ix) => ix,
            None => self.insert_task(hot, job),
        };
        self.retire_ticket(ix);
        self.count(ix, false);
        self.rewrite_task(ix, hot, job, host);
        self.count(ix, true);
        self.issue_ticket(ix);
    }

    fn insert_task(&mut self, hot: &TaskHot, job: JobIx) -> TaskIx {
        let ix = self.tasks.insert(TaskRow::named(hot.id, job, hot.index));
        self.enter_slot(ix, job, hot.index);
        self.count(ix, true);
        ix
    }

    /// Replaces the record in its row, and moves the room that it holds where that has changed.
    fn rewrite_task(&mut self, ix: TaskIx, hot: &TaskHot, job: JobIx, host: Option<HostIx>) {
        let row = &self.tasks[ix];
        let (old_job, old_index, old_host) = (row.job(), row.index, row.host);
        let was_assumed = row.assumed;
        let keep = was_assumed && hot.state == TaskState::Accepted;
        let same_room = old_job == job
            && row.holds().is_some()
            && (keep || row.holds() == host.filter(|_| hot.state.holds_host()));
        if !same_room {
            self.release(ix);
        }
        if was_assumed && !keep {
            self.closed(ix);
        }
        if let Some(host) = host.filter(|_| !keep) {
            self.hosts[host].refs += 1;
        }
        self.tasks[ix].write(hot, job, host, keep);
        match Lineage::of(hot) {
            Some(lineage) => self.lineage.insert(ix, lineage),
            None => self.lineage.remove(&ix),
        };
        if (old_job, old_index) != (job, hot.index) {
            self.leave_slot(ix, old_job, old_index);
            self.enter_slot(ix, job, hot.index);
            self.forget_job_if_unused(old_job);
        }
        if !same_room {
            self.acquire(ix);
        } else if let Some(host) = host.filter(|_| was_assumed && !keep) {
            let shape = self.jobs[job].shape;
            self.confirm(host, &shape);
        }
        if !keep {
            self.drop_ref(old_host);
        } else if let Some(host) = host {
            self.forget_host_if_unused(host);
        }
    }

    fn task_gone(&mut self, id: TaskId) {
        let Some(ix) = self.tasks.find(&id) else { return };
        self.retire_ticket(ix);
        self.count(ix, false);
        self.release(ix);
        if self.tasks[ix].assumed {
            self.closed(ix);
        }
        let row = &self.tasks[ix];
        let (job, index, host) = (row.job(), row.index, row.host);
        self.lineage.remove(&ix);
        self.leave_slot(ix, job, index);
        self.tasks.remove(ix);
        self.drop_ref(host);
        self.forget_job_if_unused(job);
    }

    fn apply_job(&mut self, record: &Arc<JobRecord>) {
        let ix = self.job_named(record.id);
        let held = self.jobs[ix].record.as_ref();
        if held.is_some_and(|held| held.version > record.version) {
            return;
        }
        if let Some(held) = held {
            self.by_age.remove(&(held.created, held.id));
        }
        self.by_age.insert((record.created, record.id), ix);
        let spec = &record.spec;
        let rules = Rules::of(spec);
        let rules = (rules != Rules::NONE).then(|| Box::new(rules));
        let queue = self.queues.of(spec.shard(), spec.capacity_group());
        self.respec_job(ix, spec.resources(), rules, Some(queue));
        self.jobs[ix].record = Some(Arc::clone(record));
    }

    fn job_gone(&mut self, id: JobId) {
        let Some(ix) = self.jobs.find(&id) else { return };
        if let Some(record) = self.jobs[ix].record.take() {
            self.by_age.remove(&(record.created, record.id));
        }
        self.respec_job(ix, Resources::ZERO, None, None);
        self.forget_job_if_unused(ix);
    }

    /// Takes over what a job says about its tasks. Where that has changed, each of them gives back what it took and
    /// takes anew.
    fn respec_job(&mut self, ix: JobIx, shape: Resources, rules: Option<Box<Rules>>, queue: Option<QueueIx>) {
        let zones = self.zones.len();
        let job = &mut self.jobs[ix];
        job.expect_zones(zones);
        if (&job.shape, &job.rules, job.queue) == (&shape, &rules, queue) {
            return;
        }
        let tasks = std::mem::take(&mut job.tasks);
        for task in &tasks {
            self.retire_ticket(*task);
            self.release(*task);
        }
        let job = &mut self.jobs[ix];
        (job.shape, job.rules, job.queue) = (shape, rules, queue);
        for task in &tasks {
            self.acquire(*task);
            self.issue_ticket(*task);
        }
        self.jobs[ix].tasks = tasks;
    }

    fn apply_host(&mut self, record: &Arc<HostRecord>) {
        let ix = self.host_named(record.spec.id);
        let age = |record: &HostRecord| (record.desired.generation, record.since);
        let held = self.hosts[ix].record.as_ref();
        if held.is_some_and(|held| age(held) > age(record)) {
            return;
        }
        let zone = self.zone_ix(&record.spec.zone);
        let held = self.hosts[ix].record.as_ref();
        let same_class = held.is_some_and(|held| same_class(&held.spec, &record.spec));
        self.withdraw_host(ix, same_class);
        self.rezone_host(ix, Some(zone));
        let row = &mut self.zones[zone.place()];
        row.capacity = plus(&row.capacity, &record.spec.capacity);
        row.open += u32::from(record.takes_tasks());
        self.hosts[ix].record = Some(Arc::clone(record));
        self.reindex(ix);
    }

    fn host_gone(&mut self, id: HostId) {
        let Some(ix) = self.hosts.find(&id) else { return };
        self.withdraw_host(ix, false);
        self.rezone_host(ix, None);
        self.forget_host_if_unused(ix);
    }

    /// Moves a host, with the room that its tasks take, to another zone.
    fn rezone_host(&mut self, ix: HostIx, zone: Option<ZoneIx>) {
        if self.hosts[ix].zone != zone {
            let tasks = self.hosts[ix].tasks.clone();
            tasks.iter().for_each(|task| self.release(*task));
            self.hosts[ix].zone = zone;
            tasks.iter().for_each(|task| self.acquire(*task));
        }
    }

    /// Drops a host's record, and what it says, from its zone; from the index too, unless it stays in its class.
    fn withdraw_host(&mut self, ix: HostIx, same_class: bool) {
        let host = &mut self.hosts[ix];
        if !same_class && let Some(class) = host.class.take() {
            self.index.remove(ix.number(), class);
        }
        if let (Some(record), Some(zone)) = (host.record.take(), host.zone) {
            let zone = &mut self.zones[zone.place()];
            zone.capacity = zone.capacity.saturating_sub(&record.spec.capacity);
            zone.open -= u32::from(record.takes_tasks());
        }
    }

    fn count(&mut self, ix: TaskIx, more: bool) {
        let row = &self.tasks[ix];
        let (state, job) = (row.state, row.job());
        self.counts.shift(state, more);
        self.jobs[job].counts.shift(state, more);
    }

    fn ticket(&self, ix: TaskIx) -> Option<(QueueIx, Ticket)> {
        let row = &self.tasks[ix];
        let job = &self.jobs[row.job()];
        let queue = job.queue.filter(|_| row.state == TaskState::Accepted)?;
        let ticket = Ticket::new(row.ready_at(), job.id, row.index, row.id);
        Some((queue, ticket))
    }

    fn issue_ticket(&mut self, ix: TaskIx) {
        if let Some((queue, ticket)) = self.ticket(ix) {
            self.queues.get_mut(queue).tickets.insert(ticket, ix);
        }
    }

    fn retire_ticket(&mut self, ix: TaskIx) {
        if let Some((queue, ticket)) = self.ticket(ix) {
            self.queues.get_mut(queue).tickets.remove(&ticket);
        }
    }

    fn enter_slot(&mut self, ix: TaskIx, job: JobIx, index: u32) {
        let key = (index, self.tasks[ix].id);
        let place = {
            let tasks = &self.jobs[job].tasks;
            let last = tasks
                .last()
                .map(|last| (self.tasks[*last].index, self.tasks[*last].id));
            if last.is_none_or(|last| last < key) {
                tasks.len()
            } else {
                tasks.partition_point(|other| (self.tasks[*other].index, self.tasks[*other].id) < key)
            }
        };
        self.jobs[job].tasks.insert(place, ix);
    }

    fn leave_slot(&mut self, ix: TaskIx, job: JobIx, index: u32) {
        let key = (index, self.tasks[ix].id);
        let tasks = &self.jobs[job].tasks;
        let near = tasks.partition_point(|other| (self.tasks[*other].index, self.tasks[*other].id) < key);
        let place = if tasks.get(near) == Some(&ix) {
            Some(near)
        } else {
            tasks.iter().position(|other| *other == ix)
        };
        if let Some(place) = place {
            self.jobs[job].tasks.remove(place);
        }
    }

    fn job_named(&mut self, id: JobId) -> JobIx {
        self.jobs
            .find(&id)
            .unwrap_or_else(|| self.jobs.insert(JobRow::named(id)))
    }

    fn forget_job_if_unused(&mut self, ix: JobIx) {
        let job = &self.jobs[ix];
        if job.record.is_none() && job.tasks.is_empty() {
            self.jobs.remove(ix);
        }
    }

    fn host_named(&mut self, id: HostId) -> HostIx {
        self.hosts.find(&id).unwrap_or_else(|| {
            let ix = self.hosts.insert(HostRow::named(id));
            self.by_name.insert(id, ix);
            ix
        })
    }
}

fn same_class(a: &HostSpec, b: &HostSpec) -> bool {
    (&a.zone, &a.machine_type, &a.capacity) == (&b.zone, &b.machine_type, &b.capacity)
}
