//! Changes of running jobs and tasks that users ask for. They enter as changed desired state.

use super::transact;
use std::sync::Arc;

use titus_core::id::{JobId, TaskId};
use titus_core::job::{JobRecord, JobState};
use titus_core::shard::ShardId;
use titus_core::spec::{Capacity, CapacityUpdate, Limits, UpdateRefused, check_enable, set_capacity, shrink};
use titus_core::task::{ReasonCode, TaskHot, TaskState, kill};

use super::record::note::Note;
use super::tx::Tx;
use super::{Cluster, keys};
use crate::error::Result;
use crate::kv::{Read, Version};

/// What shall change about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobChange {
    /// It shall end.
    Kill {
        /// Who wants it and why, for people.
        message: String,
    },
    /// It shall have another size.
    Capacity(CapacityUpdate),
    /// It shall be in service, or not.
    Enabled(bool),
}

/// A task that shall end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KillRequest {
    /// The task.
    pub task: TaskId,
    /// Its job's size shrinks by one, so that it is not replaced.
    pub shrink: bool,
    /// With `shrink`: refuse to lower the job's minimum.
    pub keep_min: bool,
    /// Who wants it and why, for people.
    pub message: String,
}

/// Why a change was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeRefused {
    /// There is no such job among the active ones.
    #[error("there is no active job {0}")]
    NoJob(JobId),
    /// There is no such task among the active ones.
    #[error("there is no active task {0}")]
    NoTask(TaskId),
    /// The job is ending or has ended.
    #[error("job {0} is {name} already", name = .1.name())]
    JobEnding(JobId, JobState),
    /// The task is ending or has ended.
    #[error("task {0} is {1} already")]
    TaskEnding(TaskId, TaskState),
    /// The rules for changing jobs.
    #[error("{0}")]
    Rules(#[source] UpdateRefused),
}

impl Cluster {
    /// Changes a job, and answers with the version from which on the change is seen.
    ///
    /// # Errors
    /// The store's; the refusal is a value inside.
    pub async fn change_job(
        &self,
        id: JobId,
        change: &JobChange,
        limits: &Limits,
    ) -> Result<Result<Version, ChangeRefused>> {
        let now = self.clock.now();
        let (outcome, version) = transact!(self, "change job", |mut tx| {
            let Some(mut job) = self.active_job(&tx, id).await? else {
                return Ok((tx, Err(ChangeRefused::NoJob(id))));
            };
            let done = match change {
                JobChange::Kill { message } if job.status.state == JobState::Accepted => {
                    job.enter(JobState::KillInitiated, ReasonCode::Killed, message, now);
                    Ok(true)
                }
                // A repeat after an unknown outcome finds its own change.
                JobChange::Kill { message } if job.status.message == *message && job.status.at == now => {
                    Ok(false)
                }
                JobChange::Kill { .. } => Err(ChangeRefused::JobEnding(id, job.status.state)),
                JobChange::Capacity(update) => match set_capacity(&job, *update, limits) {
                    Ok(capacity) => Ok(resize(&mut job, capacity)),
                    Err(refused) => Err(ChangeRefused::Rules(refused)),
                },
                JobChange::Enabled(enabled) => match check_enable(&job) {
                    Ok(()) => Ok(enable(&mut job, *enabled)),
                    Err(refused) => Err(ChangeRefused::Rules(refused)),
                },
            };
            if done == Ok(true) {
                tx.put_job(&job);
            }
            Ok((tx, done.map(|_| ())))
        })?;
        if outcome.is_ok() {
            tracing::info!(job = %id, ?change, "job changed");
        }
        Ok(outcome.map(|()| version))
    }

    /// Ends a task; without `shrink` its job replaces it.
    ///
    /// # Errors
    /// The store's; the refusal is a value inside.
    pub async fn kill_task(&self, request: &KillRequest) -> Result<Result<Version, ChangeRefused>> {
        let now = self.clock.now();
        let id = request.task;
        let (outcome, version) = transact!(self, "kill task", |mut tx| {
            let Some((shard, task)) = self.find_live_task(&tx, id).await? else {
                return Ok((tx, Err(ChangeRefused::NoTask(id))));
            };
            let Some(mut job) = self.specs.job(&tx, shard, task.job).await? else {
                return Ok((tx, Err(ChangeRefused::NoJob(task.job))));
            };
            if task.times.killed == Some(now) {
                return Ok((tx, Ok(())));
            }
            let reason = if request.shrink {
                ReasonCode::ScaledDown
            } else {
                ReasonCode::Killed
            };
            let Some(killed) = kill(&task, reason, now) else {
                return Ok((tx, Err(ChangeRefused::TaskEnding(id, task.state))));
            };
            if request.shrink {
                match shrink(&job, request.keep_min) {
                    Ok(capacity) if resize(&mut job, capacity) => tx.put_job(&job),
                    Ok(_) => {}
                    Err(refused) => return Ok((tx, Err(ChangeRefused::Rules(refused)))),
                }
            }
            self.put_killed(&mut tx, shard, &job, &task, &killed, &request.message)
                .await?;
            Ok((tx, Ok(())))
        })?;
        if outcome.is_ok() {
            tracing::info!(task = %id, shrink = request.shrink, reason = request.message, "task killed");
        }
        Ok(outcome.map(|()| version))
    }

    async fn put_killed(
        &self,
        tx: &mut Tx,
        shard: ShardId,
        job: &JobRecord,
        old: &TaskHot,
        new: &TaskHot,
        message: &str,
    ) -> Result<()> {
        tx.put_task(shard, Some(old), new, &job.spec.resources());
        let at = new.times.killed.unwrap_or_else(|| self.clock.now());
        let note = Note {
            state: new.state,
            reason: new.reason,
            message: message.to_owned(),
            at,
        };
        tx.add_note(shard, new.id, note).await
    }

    /// A live job, wherever it lives: an id that we made names its shard.
    pub(super) async fn active_job(&self, tx: &Tx, id: JobId) -> Result<Option<JobRecord>> {
        if let Some(shard) = id.shard() {
            return self.specs.job(tx, shard, id).await;
        }
        for shard in ShardId::all() {
            if let Some(job) = self.specs.job(tx, shard, id).await? {
                return Ok(Some(job));
            }
        }
        Ok(None)
    }

    pub(super) async fn find_live_task(&self, tx: &Tx, id: TaskId) -> Result<Option<(ShardId, TaskHot)>> {
        let Some(shard) = id.shard() else { return Ok(None) };
        Ok(tx.task(shard, id).await?.map(|task| (shard, task)))
    }

    /// The waiting tasks of a shard, oldest first: for schedulers without a warm view.
    ///
    /// # Errors
    /// The store's.
    pub async fn pending(
        &self,
        shard: ShardId,
        limit: usize,
    ) -> Result<Vec<titus_core::schedule::PendingTask>> {
        let tx = self.begin().await?;
        let entries = tx
            .scan(&keys::ready_all(shard).children(), limit, Read::Snapshot)
            .await?;
        let mut pending = Vec::with_capacity(entries.len());
        for entry in entries {
            let id = keys::task_of_ready(&entry.key)?;
            let Some(task) = tx.task(shard, id).await? else {
                continue;
            };
            let Some(job) = self.specs.job(&tx, shard, task.job).await? else {
                continue;
            };
            let (Some(since), true) = (task.times.queued, task.state == TaskState::Accepted) else {
                continue;
            };
            pending.push(titus_core::schedule::PendingTask {
                task: id,
                job: Arc::new(job),
                since,
            });
        }
        Ok(pending)
    }
}

fn resize(job: &mut JobRecord, capacity: Capacity) -> bool {
    let changed = job.capacity != capacity;
    job.capacity = capacity;
    job.version += u64::from(changed);
    changed
}

fn enable(job: &mut JobRecord, enabled: bool) -> bool {
    let changed = job.enabled != enabled;
    job.enabled = enabled;
    job.version += u64::from(changed);
    changed
}
