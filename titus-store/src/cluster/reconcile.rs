//! Writes what reconciling a job has decided.

use super::transact;
use titus_core::id::{JobId, TaskId};
use titus_core::job::{JobRecord, JobState};
use titus_core::reconcile::Action;
use titus_core::shard::ShardId;
use titus_core::spec::JobKind;
use titus_core::task::{TaskHot, TaskState};

use super::lease::Lease;
use super::record::feed;
use super::tx::{Tx, id_of};
use super::{Cluster, Feed, keys};
use crate::error::Result;

/// Actions of one transaction: each writes at most about a kilobyte.
const MOST_ACTIONS: usize = 400;

impl Cluster {
    /// Applies actions to a job, under the lease; answers false when the lease does not hold any more.
    ///
    /// Each action is applied to the task as the store has it now; what does not apply any more is left out, and the
    /// feed's echo brings the job up again.
    ///
    /// # Errors
    /// The store's. What was applied before the error stays.
    pub async fn apply_actions(
        &self,
        lease: &Lease,
        shard: ShardId,
        id: JobId,
        actions: &[Action],
    ) -> Result<bool> {
        for part in actions.chunks(MOST_ACTIONS) {
            let (held, _) = transact!(self, "reconcile job", |mut tx| {
                if !lease.holds(&tx, shard).await? {
                    return Ok((tx, false));
                }
                let Some(mut job) = self.specs.job(&tx, shard, id).await? else {
                    return Ok((tx, true));
                };
                for action in part {
                    self.apply_action(&mut tx, &mut job, action).await?;
                }
                Ok((tx, true))
            })?;
            if !held {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn apply_action(&self, tx: &mut Tx, job: &mut JobRecord, action: &Action) -> Result<()> {
        let shard = job.spec.shard();
        let asks = job.spec.resources();
        match action {
            Action::Create(task) => {
                if job.status.state == JobState::Accepted && slot_is_free(tx, job, task).await? {
                    tx.set(&keys::slot(shard, job.id, task.index), &task.id.to_bytes());
                    tx.put_task(shard, None, task, &asks);
                }
            }
            Action::FinishJob { reason, message } => {
                if job.status.state != JobState::Finished {
                    job.enter(JobState::Finished, *reason, message, self.clock.now());
                    tx.put_job(job);
                    if let Some(name) = job.spec.unique_name() {
                        tx.clear_key(&keys::name(&name));
                    }
                    tracing::info!(job = %job.id, %reason, message, "job finished");
                }
            }
            Action::Archive { task } => {
                if let Some(old) = tx.task(shard, *task).await?
                    && old.state == TaskState::Finished
                {
                    archive_task(tx, shard, &old).await?;
                }
            }
            Action::Kill { task, .. } | Action::GiveUpKill { task } => {
                if let Some(old) = tx.task(shard, *task).await?
                    && let Some(new) = action.applied_to(&old, self.clock.now())
                {
                    tx.put_task(shard, Some(&old), &new, &asks);
                    tracing::info!(task = %old.id, job = %job.id, reason = %new.reason, "task told to end");
                }
            }
        }
        Ok(())
    }
}

/// True when a new task may take its slot: the newest task there is over, and is the one that this one replaces.
///
/// What was decided on a view that lags behind is left out here, so no slot ever has two live tasks, and no result of a
/// batch job is made twice.
async fn slot_is_free(tx: &Tx, job: &JobRecord, task: &TaskHot) -> Result<bool> {
    let shard = job.spec.shard();
    let Some(bytes) = tx.get(&keys::slot(shard, job.id, task.index)).await? else {
        return Ok(true);
    };
    let newest = TaskId::from_bytes(id_of("slot", &bytes)?);
    let Some(record) = tx.task(shard, newest).await? else {
        return Ok(true);
    };
    let follows = match task.resubmit_of {
        Some(replaced) => replaced == newest,
        // A slot that a service had given up is taken anew; a batch job's has its result.
        None => matches!(job.spec.kind(), JobKind::Service(_)),
    };
    Ok(record.state == TaskState::Finished && follows)
}

/// Moves a finished task out of the live keys.
pub(super) async fn archive_task(tx: &mut Tx, shard: ShardId, task: &TaskHot) -> Result<()> {
    let record = super::record::task::encode(task);
    let finished = task.times.finished.unwrap_or_default();
    tx.set(&keys::archived_task(task.id), &record);
    tx.set(&keys::archived_of_job_at(task.job, finished, task.id), &[]);
    tx.set(&keys::archived_task_age(finished, task.id), &task.job.to_bytes());
    tx.clear_key(&keys::task(shard, task.id));
    tx.feed(Feed::Shard(shard), &feed::of_task_gone(task.id));
    Ok(())
}
