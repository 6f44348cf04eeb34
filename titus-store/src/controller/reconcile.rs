//! Keeps every job at what it shall be: makes missing tasks, replaces failed ones, ends what is too much.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use titus_core::id::JobId;
use titus_core::job::{JobRecord, JobState};
use titus_core::reconcile::{Limits, Reconciled, reconcile};
use titus_core::rng::Rng;
use titus_core::task::TaskHot;
use titus_core::time::{Millis, Timestamp};

use super::warm::WarmView;
use crate::cluster::Lease;
use crate::error::Result;

/// A job whose actions were written is looked at again after this even without an echo.
const CHECK_AGAIN: Millis = Millis(1_000);

/// Reconciles the jobs of the shards that a process owns.
#[derive(Debug)]
pub struct ReconcileController {
    limits: Limits,
    rng: Rng,
    dirty: BTreeSet<JobId>,
    wakes: BTreeMap<JobId, Timestamp>,
    actions: u64,
}

impl ReconcileController {
    /// A controller.
    #[must_use]
    pub const fn new(limits: Limits, rng: Rng) -> Self {
        Self {
            limits,
            rng,
            dirty: BTreeSet::new(),
            wakes: BTreeMap::new(),
            actions: 0,
        }
    }

    /// Looks at all jobs again: for a new lease.
    pub fn look_at_all(&mut self, warm: &WarmView) {
        warm.with(|view| self.dirty.extend(view.jobs().map(|job| job.id)));
    }

    /// Actions written so far.
    #[must_use]
    pub const fn actions(&self) -> u64 {
        self.actions
    }

    /// Reconciles every job that has changed or is due. Answers when the next one is due, beside whenever the view
    /// changes.
    ///
    /// # Errors
    /// The store's. Jobs not reconciled stay due.
    pub async fn tick(&mut self, warm: &WarmView, lease: &Lease) -> Result<Option<Timestamp>> {
        let now = warm.cluster().clock().now();
        self.dirty.extend(warm.take_dirty());
        let due: Vec<JobId> = self
            .wakes
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(job, _)| *job)
            .collect();
        self.dirty.extend(due);
        while let Some(job) = self.dirty.pop_first() {
            self.wakes.remove(&job);
            if let Err(error) = self.one(warm, lease, job, now).await {
                self.dirty.insert(job);
                return Err(error);
            }
        }
        Ok(self.wakes.values().min().copied())
    }

    async fn one(&mut self, warm: &WarmView, lease: &Lease, id: JobId, now: Timestamp) -> Result<()> {
        let Some((job, found)) = self.decide(warm, lease, id, now) else {
            return Ok(());
        };
        if let Some(wake) = found.wake {
            self.wakes.insert(id, wake.max(now + Millis(1)));
        }
        if found.actions.is_empty() {
            return Ok(());
        }
        tracing::debug!(job = %id, actions = found.actions.len(), "reconciling");
        self.actions += found.actions.len() as u64;
        let again = self
            .wakes
            .get(&id)
            .map_or(now + CHECK_AGAIN, |wake| (*wake).min(now + CHECK_AGAIN));
        self.wakes.insert(id, again);
        warm.cluster()
            .apply_actions(lease, job.spec.shard(), id, &found.actions)
            .await?;
        Ok(())
    }

    fn decide(
        &mut self,
        warm: &WarmView,
        lease: &Lease,
        id: JobId,
        now: Timestamp,
    ) -> Option<(Arc<JobRecord>, Reconciled)> {
        warm.with(|view| {
            let job = view.job(id)?;
            if job.status.state == JobState::Finished || !lease.owns(job.spec.shard()) {
                return None;
            }
            let tasks: Vec<TaskHot> = view.tasks_of_job(id).collect();
            let zone_of = |host| view.host(host).map(|record| record.spec.zone.as_str());
            let found = reconcile(job, &tasks, &zone_of, now, &self.limits, &mut self.rng);
            Some((Arc::clone(job), found))
        })
    }
}
