//! The end of things: finished jobs leave the live keys, old archives and request keys are dropped.

use super::transact;
use titus_core::id::JobId;
use titus_core::job::JobState;
use titus_core::shard::ShardId;
use titus_core::task::TaskState;
use titus_core::time::Timestamp;

use super::lease::Lease;
use super::query::archived_spec;
use super::reconcile::archive_task;
use super::record::{feed, job, request};
use super::tx::{Tx, id_of};
use super::{Cluster, Feed, keys};
use crate::error::Result;
use crate::kv::Read;

const MOST: usize = 200;

impl Cluster {
    /// Moves a finished job and its tasks to the archive, under the lease; false when the lease does not hold, the
    /// job is not finished, or a task of it still lives.
    ///
    /// # Errors
    /// The store's. A part of the tasks may have been moved: call again.
    pub async fn archive_job(
        &self,
        lease: &Lease,
        shard: ShardId,
        id: JobId,
        tasks: &[titus_core::id::TaskId],
    ) -> Result<bool> {
        for part in tasks.chunks(MOST) {
            let (moved, _) = transact!(self, "archive tasks", |mut tx| {
                if !lease.holds(&tx, shard).await? {
                    return Ok((tx, false));
                }
                for task in part {
                    match tx.task(shard, *task).await? {
                        Some(old) if old.state == TaskState::Finished => {
                            archive_task(&mut tx, shard, &old).await?;
                        }
                        Some(_) => return Ok((self.begin().await?, false)),
                        None => {}
                    }
                }
                Ok((tx, true))
            })?;
            if !moved {
                return Ok(false);
            }
        }
        let (moved, _) = transact!(self, "archive job", |mut tx| {
            if !lease.holds(&tx, shard).await? {
                return Ok((tx, false));
            }
            let Some(record) = self.specs.job(&tx, shard, id).await? else {
                return Ok((tx, true));
            };
            if record.status.state != JobState::Finished {
                return Ok((tx, false));
            }
            tx.set(&keys::archived_job(id), &job::encode(&record));
            tx.set(&archived_spec(id), &request::encode(record.spec.request()));
            tx.set(&keys::archive_age(record.status.at, id), &[]);
            tx.clear_key(&keys::job(shard, id));
            tx.clear_key(&keys::spec(shard, id));
            tx.clear(&keys::slots(shard, id).children());
            tx.feed(Feed::Shard(shard), &feed::of_job_gone(id));
            Ok((tx, true))
        })?;
        Ok(moved)
    }

    /// Drops archived tasks, with their notes, and archived jobs that finished before `before`; answers how many of both.
    ///
    /// Tasks go by their own age: a job that runs for ever leaves no more than others.
    ///
    /// # Errors
    /// The store's. What was dropped before the error stays dropped.
    pub async fn drop_archived(&self, before: Timestamp) -> Result<usize> {
        let mut dropped = 0;
        loop {
            let (tasks, _) = transact!(self, "drop archived tasks", |tx| { drop_tasks(tx, before).await })?;
            let (jobs, _) = transact!(self, "drop archived jobs", |tx| { drop_jobs(tx, before).await })?;
            dropped += tasks + jobs;
            if tasks < MOST && jobs < MOST {
                return Ok(dropped);
            }
        }
    }

    /// Drops request keys that expired before `now`; answers how many.
    ///
    /// # Errors
    /// The store's.
    pub async fn drop_request_keys(&self, now: Timestamp) -> Result<usize> {
        let (dropped, _) = transact!(self, "drop request keys", |mut tx| {
            let range = keys::requests_by_expiry().children();
            let mut dropped = 0;
            for entry in tx.scan(&range, MOST, Read::Serializable).await? {
                let (at, key) = keys::request_of_expiry(&entry.key)?;
                if at >= now {
                    break;
                }
                tx.clear_key(&keys::request(&key));
                tx.clear_key(&entry.key);
                dropped += 1;
            }
            Ok((tx, dropped))
        })?;
        Ok(dropped)
    }
}

async fn drop_tasks(mut tx: Tx, before: Timestamp) -> Result<(Tx, usize)> {
    let range = keys::archived_tasks_by_age().children();
    let mut dropped = 0;
    for entry in tx.scan(&range, MOST, Read::Serializable).await? {
        let (finished, task) = keys::task_of_archived_age(&entry.key)?;
        if finished >= before {
            break;
        }
        let job = id_of("archived task", &entry.value).map(JobId::from_bytes)?;
        tx.clear_key(&keys::archived_task(task));
        tx.clear_key(&keys::archived_of_job_at(job, finished, task));
        if let Some(shard) = task.shard() {
            tx.clear_key(&keys::note(shard, task));
        }
        tx.clear_key(&entry.key);
        dropped += 1;
    }
    Ok((tx, dropped))
}

async fn drop_jobs(mut tx: Tx, before: Timestamp) -> Result<(Tx, usize)> {
    let range = keys::archive_by_age().children();
    let mut dropped = 0;
    for entry in tx.scan(&range, MOST, Read::Serializable).await? {
        let (finished, job) = keys::job_of_archive_age(&entry.key)?;
        if finished >= before {
            break;
        }
        tx.clear_key(&keys::archived_job(job));
        tx.clear_key(&archived_spec(job));
        tx.clear_key(&entry.key);
        dropped += 1;
    }
    Ok((tx, dropped))
}
