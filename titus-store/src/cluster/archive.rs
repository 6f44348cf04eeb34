//! The end of things: finished jobs leave the live keys, old archives and request keys are dropped.

use titus_core::id::JobId;
use titus_core::job::JobState;
use titus_core::shard::ShardId;
use titus_core::task::TaskState;
use titus_core::time::Timestamp;

use super::lease::Lease;
use super::query::archived_spec;
use super::reconcile::archive_task;
use super::record::{feed, job, request};
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
            let (moved, _) = self
                .write("archive tasks", async |mut tx| {
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
                })
                .await?;
            if !moved {
                return Ok(false);
            }
        }
        let (moved, _) = self
            .write("archive job", async |mut tx| {
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
            })
            .await?;
        Ok(moved)
    }

    /// Drops archived jobs, with their tasks and notes, that finished before `before`; answers how many.
    ///
    /// # Errors
    /// The store's.
    pub async fn drop_archived(&self, before: Timestamp) -> Result<usize> {
        let mut dropped = 0;
        loop {
            let (part, _) = self
                .write("drop archive", async |mut tx| {
                    let range = keys::archive_by_age().children();
                    let Some(entry) = tx.scan(&range, 1, Read::Serializable).await?.pop() else {
                        return Ok((tx, false));
                    };
                    let (finished, job) = keys::job_of_archive_age(&entry.key)?;
                    if finished >= before {
                        return Ok((tx, false));
                    }
                    let tasks = keys::archived_of_job(job).children();
                    let entries = tx.scan(&tasks, MOST, Read::Serializable).await?;
                    let all = entries.len() < MOST;
                    for entry in entries {
                        let task = keys::task_of_archived(&entry.key)?;
                        tx.clear_key(&keys::archived_task(task));
                        if let Some(shard) = task.shard() {
                            tx.clear_key(&keys::note(shard, task));
                        }
                        tx.clear_key(&entry.key);
                    }
                    if all {
                        tx.clear_key(&keys::archived_job(job));
                        tx.clear_key(&archived_spec(job));
                        tx.clear_key(&entry.key);
                    }
                    Ok((tx, true))
                })
                .await?;
            if !part {
                return Ok(dropped);
            }
            dropped += 1;
        }
    }

    /// Drops request keys that expired before `now`; answers how many.
    ///
    /// # Errors
    /// The store's.
    pub async fn drop_request_keys(&self, now: Timestamp) -> Result<usize> {
        let (dropped, _) = self
            .write("drop request keys", async |mut tx| {
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
            })
            .await?;
        Ok(dropped)
    }
}
