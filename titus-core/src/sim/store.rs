//! The records: what a store keeps, with the same checks on every write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::change::Change;
use crate::host::{HostHealth, HostRecord, HostSpec};
use crate::id::{HostId, JobId, PlanId, TaskId};
use crate::job::{JobRecord, JobState};
use crate::reconcile::{Action, directive};
use crate::resources::Resources;
use crate::schedule::{Placement, RefusalReason};
use crate::shard::stable_hash;
use crate::task::{self, ReasonCode, TaskHot, TaskState};
use crate::time::Timestamp;
use crate::wire::{Directive, HostReport};

use super::config::SimCounts;

#[derive(Debug, Default)]
pub(super) struct Store {
    jobs: BTreeMap<JobId, Arc<JobRecord>>,
    tasks: BTreeMap<TaskId, TaskHot>,
    hosts: BTreeMap<HostId, HostRecord>,
    of_job: BTreeMap<JobId, BTreeSet<TaskId>>,
    on_host: BTreeMap<HostId, BTreeSet<TaskId>>,
    /// Written and not yet seen by the view.
    pub(super) feed: Vec<Change>,
    /// Jobs of which something changed since the reconcile controller looked.
    pub(super) changed_jobs: BTreeSet<JobId>,
    /// Hosts whose directive changed since they were told.
    pub(super) changed_hosts: BTreeSet<HostId>,
    pub(super) counts: SimCounts,
    pub(super) wrong: Vec<String>,
    pub(super) hash: u64,
}

impl Store {
    pub(super) fn jobs(&self) -> impl Iterator<Item = &Arc<JobRecord>> {
        self.jobs.values()
    }

    pub(super) fn job(&self, id: JobId) -> Option<&Arc<JobRecord>> {
        self.jobs.get(&id)
    }

    pub(super) fn tasks(&self) -> impl Iterator<Item = &TaskHot> {
        self.tasks.values()
    }

    pub(super) fn task(&self, id: TaskId) -> Option<&TaskHot> {
        self.tasks.get(&id)
    }

    pub(super) fn tasks_of(&self, job: JobId) -> Vec<TaskHot> {
        let ids = self.of_job.get(&job).into_iter().flatten();
        ids.filter_map(|id| self.tasks.get(id)).copied().collect()
    }

    pub(super) fn tasks_on(&self, host: HostId) -> impl Iterator<Item = &TaskHot> {
        let ids = self.on_host.get(&host).into_iter().flatten();
        ids.filter_map(|id| self.tasks.get(id))
    }

    pub(super) fn hosts(&self) -> impl Iterator<Item = &HostRecord> {
        self.hosts.values()
    }

    pub(super) fn host(&self, id: HostId) -> Option<&HostRecord> {
        self.hosts.get(&id)
    }

    pub(super) fn mix(&mut self, values: &[u64]) {
        let mut bytes = self.hash.to_be_bytes().to_vec();
        bytes.extend(values.iter().flat_map(|v| v.to_be_bytes()));
        self.hash = stable_hash(&bytes);
    }

    pub(super) fn write_job(&mut self, job: JobRecord) {
        self.counts.writes += 1;
        self.mix(&[1, u64::from(job.status.state.number()), job.version]);
        self.changed_jobs.insert(job.id);
        let job = Arc::new(job);
        self.feed.push(Change::Job(Arc::clone(&job)));
        self.jobs.insert(job.id, job);
    }

    fn write_host(&mut self, host: HostRecord) {
        self.counts.writes += 1;
        self.feed.push(Change::Host(Arc::new(host.clone())));
        self.hosts.insert(host.spec.id, host);
    }

    /// Writes a task, and with it the room and the directive of its host.
    fn write_task(&mut self, task: TaskHot) {
        let old = self.tasks.insert(task.id, task);
        self.counts.writes += 1;
        let id = task.id.uuid().as_u64_pair();
        self.mix(&[
            2,
            id.0,
            id.1,
            u64::from(task.state.number()),
            u64::from(task.reason.number()),
            task.version,
        ]);
        if let Some(old) = old {
            let back = task.state < old.state && old.state != TaskState::Disconnected;
            if task.version <= old.version || back {
                self.wrong.push(format!(
                    "task {} went from {} version {} to {} version {}",
                    task.id, old.state, old.version, task.state, task.version
                ));
            }
        }
        let held = old.is_some_and(|t| t.state.holds_host());
        self.of_job.entry(task.job).or_default().insert(task.id);
        self.changed_jobs.insert(task.job);
        self.feed.push(Change::Task(task));
        if task.state == TaskState::Finished {
            self.counts.finished += 1;
            self.counts.lost += u64::from(task.reason == ReasonCode::Lost);
        }
        let Some(host) = task.host else { return };
        let redirected = held != task.state.holds_host()
            || (task.state == TaskState::KillInitiated && old.is_some_and(|t| t.state != task.state));
        if redirected {
            self.redirect(host, &task, held);
        }
    }

    fn redirect(&mut self, host: HostId, task: &TaskHot, held: bool) {
        let asked = self
            .jobs
            .get(&task.job)
            .map(|job| job.spec.resources())
            .unwrap_or_default();
        let Some(mut record) = self.hosts.get(&host).cloned() else {
            return;
        };
        let used = record.desired.used;
        record.desired.used = match (held, task.state.holds_host()) {
            (false, true) => used.checked_add(&asked).unwrap_or(used),
            (true, false) => used.checked_sub(&asked).unwrap_or(Resources::ZERO),
            _ => used,
        };
        record.desired.generation += 1;
        let on_host = self.on_host.entry(host).or_default();
        if task.state.holds_host() {
            on_host.insert(task.id);
        } else {
            on_host.remove(&task.id);
        }
        self.changed_hosts.insert(host);
        self.write_host(record);
    }

    pub(super) fn place(
        &mut self,
        placement: &Placement,
        plan: PlanId,
        now: Timestamp,
    ) -> Result<(), RefusalReason> {
        let task = self
            .tasks
            .get(&placement.task)
            .ok_or(RefusalReason::TaskNotWaiting)?;
        let host = self
            .hosts
            .get(&placement.host)
            .ok_or(RefusalReason::HostUnavailable)?;
        if !host.takes_tasks() {
            return Err(RefusalReason::HostUnavailable);
        }
        let asked = self
            .jobs
            .get(&task.job)
            .map(|job| job.spec.resources())
            .unwrap_or_default();
        if let Some(kind) = host.free().first_shortage(&asked) {
            return Err(RefusalReason::NoRoom(kind));
        }
        let next = task::place(task, plan, placement.host, now).ok_or(RefusalReason::TaskNotWaiting)?;
        self.write_task(next);
        Ok(())
    }

    pub(super) fn kill(&mut self, id: TaskId, reason: ReasonCode, now: Timestamp) {
        if let Some(next) = self.tasks.get(&id).and_then(|t| task::kill(t, reason, now)) {
            self.write_task(next);
        }
    }

    /// A host's report; the first registers it.
    pub(super) fn sync(&mut self, report: &HostReport, now: Timestamp) {
        let id = report.host();
        if !self.hosts.contains_key(&id) {
            self.write_host(HostRecord::new(HostSpec::clone(&report.spec), now));
        }
        let desired = self.hosts.get(&id).map_or(0, |h| h.desired.generation);
        let on_host: Vec<TaskHot> = self.tasks_on(id).copied().collect();
        for next in task::observe_host(&on_host, report, desired, now) {
            self.write_task(next);
        }
    }

    pub(super) fn directive(&self, host: HostId) -> Option<Directive> {
        let record = self.hosts.get(&host)?;
        let tasks = self
            .tasks_on(host)
            .filter_map(|t| Some((t, self.jobs.get(&t.job)?.spec.as_ref())));
        Some(directive(host, record.desired.generation, tasks))
    }

    pub(super) fn set_health(&mut self, host: HostId, health: HostHealth, now: Timestamp) {
        let Some(mut record) = self.hosts.get(&host).cloned() else {
            return;
        };
        record.health = health;
        record.since = now;
        self.write_host(record);
        if health == HostHealth::Lost {
            let on_host: Vec<TaskHot> = self.tasks_on(host).copied().collect();
            for next in on_host.iter().filter_map(|t| task::lost(t, now)) {
                self.write_task(next);
            }
        }
    }

    /// Does what a reconciliation asks for, where it still holds: it was decided on a view that may lag behind.
    pub(super) fn act(&mut self, job: JobId, action: &Action, now: Timestamp) {
        match action {
            Action::Create(task) => {
                if self.slot_is_free(task) {
                    self.counts.tasks += 1;
                    self.counts.replacements += u64::from(task.resubmit_of.is_some());
                    self.write_task(**task);
                }
            }
            Action::Kill { task, .. } | Action::GiveUpKill { task } => {
                if let Some(next) = self.tasks.get(task).and_then(|t| action.applied_to(t, now)) {
                    self.write_task(next);
                }
            }
            Action::FinishJob { reason, message } => {
                let open = self
                    .jobs
                    .get(&job)
                    .filter(|j| j.status.state != JobState::Finished);
                if let Some(mut record) = open.map(|j| JobRecord::clone(j)) {
                    record.enter(JobState::Finished, *reason, message, now);
                    self.write_job(record);
                }
            }
            Action::Archive { task } => self.archive(*task),
        }
    }

    /// True when the slot's newest task is over and is the one that `new` replaces, if it replaces one.
    fn slot_is_free(&self, new: &TaskHot) -> bool {
        let accepted = |job: &Arc<JobRecord>| job.status.state == JobState::Accepted;
        let ids = self.of_job.get(&new.job).into_iter().flatten();
        let in_slot = ids
            .filter_map(|id| self.tasks.get(id))
            .filter(|t| t.index == new.index);
        let newest = in_slot.max_by_key(|t| (t.times.queued, t.attempts.resubmits, t.id));
        let follows = newest
            .is_none_or(|t| t.state == TaskState::Finished && new.resubmit_of.is_none_or(|old| old == t.id));
        follows && self.jobs.get(&new.job).is_some_and(accepted)
    }

    fn archive(&mut self, id: TaskId) {
        if self
            .tasks
            .get(&id)
            .is_some_and(|t| t.state == TaskState::Finished)
            && let Some(old) = self.tasks.remove(&id)
        {
            self.counts.archived += 1;
            self.of_job.entry(old.job).or_default().remove(&id);
            self.feed.push(Change::TaskGone(id));
        }
    }
}
