//! One round of planning: the view, and an undo log of what the round has placed.

use crate::id::{HostId, PlanId, TaskId};
use crate::schedule::{Placement, RefusalReason};
use crate::task::TaskState;
use crate::view::{ClusterView, HostIx, TaskIx};

/// A view with this round's placements on it. [`keep`](Self::keep) leaves them assumed; dropping undoes them all.
#[derive(Debug)]
pub struct Round<'v> {
    view: &'v mut ClusterView,
    plan: PlanId,
    placed: Vec<TaskIx>,
}

impl<'v> Round<'v> {
    pub(crate) const fn new(view: &'v mut ClusterView, plan: PlanId) -> Self {
        Self {
            view,
            plan,
            placed: Vec::new(),
        }
    }

    /// The id of the plan that this round makes.
    #[must_use]
    pub const fn plan_id(&self) -> PlanId {
        self.plan
    }

    /// The view as it is with this round's placements.
    #[must_use]
    pub const fn view(&self) -> &ClusterView {
        self.view
    }

    pub(crate) const fn view_mut(&mut self) -> &mut ClusterView {
        self.view
    }

    /// Gives a waiting task a host, after checking that both are there and that there is room. Constraints are
    /// the planner's to check.
    ///
    /// # Errors
    /// The [`RefusalReason`] that a commit would give.
    pub fn place(&mut self, task: TaskId, host: HostId) -> Result<Placement, RefusalReason> {
        let host = self.view.find_host(host).ok_or(RefusalReason::HostUnavailable)?;
        self.place_on(task, host)
    }

    pub(crate) fn place_on(&mut self, task: TaskId, host: HostIx) -> Result<Placement, RefusalReason> {
        let task = self.view.find_task(task).ok_or(RefusalReason::TaskNotWaiting)?;
        let placement = self.view.offer(task, host)?;
        self.view.assume(task, host, self.plan);
        self.placed.push(task);
        Ok(placement)
    }

    /// Takes back one of this round's placements; false when it made none for that task.
    pub fn undo(&mut self, task: TaskId) -> bool {
        let place = self.view.find_task(task);
        let place = place.and_then(|ix| self.placed.iter().rposition(|placed| *placed == ix));
        match place {
            Some(place) => {
                let ix = self.placed.swap_remove(place);
                self.view.forget_assumed(ix);
                true
            }
            None => false,
        }
    }

    /// Takes back all of this round's placements, the last first.
    pub fn undo_all(&mut self) {
        while let Some(ix) = self.placed.pop() {
            self.view.forget_assumed(ix);
        }
    }

    /// How many tasks the round has placed.
    #[must_use]
    pub const fn placed(&self) -> usize {
        self.placed.len()
    }

    /// Ends the round and leaves its placements assumed, while the plan commits.
    pub fn keep(mut self) {
        let placed = std::mem::take(&mut self.placed);
        self.view.keep_assumed(self.plan, placed);
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        self.undo_all();
    }
}

impl ClusterView {
    /// What placing would be, if a commit would take it as far as the view knows.
    fn offer(&self, task: TaskIx, host: HostIx) -> Result<Placement, RefusalReason> {
        let row = self.task_row(task);
        if row.assumed || row.state != TaskState::Accepted {
            return Err(RefusalReason::TaskNotWaiting);
        }
        let job = self.job_row(row.job());
        let host = self.host_row(host);
        let record = host.record.as_ref().filter(|record| record.takes_tasks());
        let record = record.ok_or(RefusalReason::HostUnavailable)?;
        match host.free().first_shortage(&job.shape) {
            Some(kind) => Err(RefusalReason::NoRoom(kind)),
            None => Ok(Placement {
                task: row.id,
                job: job.id,
                host: host.id,
                resources: job.shape,
                host_generation: record.desired.generation,
            }),
        }
    }
}
