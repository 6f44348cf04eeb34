//! Who takes how much of which host: the one place where room is taken and given back.

use super::tasks::TaskIx;
use super::{ClusterView, HostIx};
use crate::id::PlanId;
use crate::resources::Resources;

impl ClusterView {
    /// Takes room on the task's host, if it holds one.
    pub(super) fn acquire(&mut self, task: TaskIx) {
        let row = &self.tasks[task];
        let Some(at) = row.holds() else { return };
        let assumed = row.assumed;
        let job = row.job();
        let (shape, exclusive, queue) = {
            let job = &self.jobs[job];
            (job.shape, job.is_exclusive(), job.queue)
        };
        let host = &mut self.hosts[at];
        let part = if assumed {
            &mut host.assumed
        } else {
            &mut host.held
        };
        *part = plus(part, &shape);
        host.tasks.push(task);
        host.exclusive += u32::from(exclusive);
        if let Some(zone) = host.zone {
            self.jobs[job].enter_zone(zone);
            let zone = &mut self.zones[zone.place()];
            zone.taken = plus(&zone.taken, &shape);
        }
        if let Some(queue) = queue {
            let queue = self.queues.get_mut(queue);
            queue.taken = plus(&queue.taken, &shape);
        }
        self.reindex(at);
    }

    /// The inverse of [`acquire`](Self::acquire), before anything that it read has changed.
    pub(super) fn release(&mut self, task: TaskIx) {
        let row = &self.tasks[task];
        let Some(at) = row.holds() else { return };
        let assumed = row.assumed;
        let job = row.job();
        let (shape, exclusive, queue) = {
            let job = &self.jobs[job];
            (job.shape, job.is_exclusive(), job.queue)
        };
        let host = &mut self.hosts[at];
        let part = if assumed {
            &mut host.assumed
        } else {
            &mut host.held
        };
        *part = part.saturating_sub(&shape);
        if let Some(at) = host.tasks.iter().rposition(|other| *other == task) {
            host.tasks.swap_remove(at);
        }
        host.exclusive -= u32::from(exclusive);
        if let Some(zone) = host.zone {
            self.jobs[job].leave_zone(zone);
            let zone = &mut self.zones[zone.place()];
            zone.taken = zone.taken.saturating_sub(&shape);
        }
        if let Some(queue) = queue {
            let queue = self.queues.get_mut(queue);
            queue.taken = queue.taken.saturating_sub(&shape);
        }
        self.reindex(at);
    }

    /// Tells the index what a host has to offer now.
    pub(super) fn reindex(&mut self, ix: HostIx) {
        let host = &mut self.hosts[ix];
        let Some(record) = &host.record else { return };
        match (host.class, host.is_open()) {
            (Some(class), true) => self
                .index
                .update(ix.number(), class, &host.free(), &record.spec.capacity),
            (None, true) => host.class = Some(self.index.insert(ix.number(), record, &host.free())),
            (Some(class), false) => {
                self.index.remove(ix.number(), class);
                host.class = None;
            }
            (None, false) => {}
        }
    }

    /// A placement that was assumed is now in the records: the room moves from one account to the other.
    pub(super) fn confirm(&mut self, host: HostIx, shape: &Resources) {
        let host = &mut self.hosts[host];
        host.assumed = host.assumed.saturating_sub(shape);
        host.held = plus(&host.held, shape);
    }

    /// Gives a waiting task a host, on behalf of a plan that is not committed yet.
    pub(crate) fn assume(&mut self, task: TaskIx, host: HostIx, plan: PlanId) {
        self.tasks[task].assume(host, plan);
        self.hosts[host].refs += 1;
        self.acquire(task);
    }

    /// The inverse of [`assume`](Self::assume).
    pub(crate) fn forget_assumed(&mut self, task: TaskIx) {
        self.release(task);
        let host = self.tasks[task].host;
        self.tasks[task].forget_assumed();
        self.drop_ref(host);
    }

    /// Notes that a task's assumption has ended, while its row still says which plan's it was.
    pub(super) fn closed(&mut self, task: TaskIx) {
        let plan = self.tasks[task].plan();
        if let Some(assumed) = self.assumed.get_mut(&plan) {
            assumed.open -= 1;
            if assumed.open == 0 {
                self.assumed.remove(&plan);
            }
        }
    }

    pub(crate) fn keep_assumed(&mut self, plan: PlanId, tasks: Vec<TaskIx>) {
        if tasks.is_empty() {
            return;
        }
        let assumed = self.assumed.entry(plan).or_default();
        assumed.open += tasks.len();
        assumed.tasks.extend(tasks);
    }

    /// One row less names the host; a host with neither record nor rows is forgotten.
    pub(super) fn drop_ref(&mut self, host: Option<HostIx>) {
        let Some(ix) = host else { return };
        self.hosts[ix].refs -= 1;
        self.forget_host_if_unused(ix);
    }

    pub(super) fn forget_host_if_unused(&mut self, ix: HostIx) {
        let host = &self.hosts[ix];
        if host.record.is_none() && host.refs == 0 {
            self.by_name.remove(&host.id);
            self.hosts.remove(ix);
        }
    }
}

/// The sum; amounts are bounded where they enter, so that the clamp is never met.
pub(crate) fn plus(a: &Resources, b: &Resources) -> Resources {
    Resources {
        cpu_milli: a.cpu_milli.saturating_add(b.cpu_milli),
        memory_mb: a.memory_mb.saturating_add(b.memory_mb),
        disk_mb: a.disk_mb.saturating_add(b.disk_mb),
        network_mbps: a.network_mbps.saturating_add(b.network_mbps),
        addresses: a.addresses.saturating_add(b.addresses),
        gpu: a.gpu.saturating_add(b.gpu),
    }
}

/// The greater amount of each kind.
pub(crate) fn max_each(a: &Resources, b: &Resources) -> Resources {
    Resources {
        cpu_milli: a.cpu_milli.max(b.cpu_milli),
        memory_mb: a.memory_mb.max(b.memory_mb),
        disk_mb: a.disk_mb.max(b.disk_mb),
        network_mbps: a.network_mbps.max(b.network_mbps),
        addresses: a.addresses.max(b.addresses),
        gpu: a.gpu.max(b.gpu),
    }
}
