//! Look-ups by id, among what is live and what is archived.

use std::sync::Arc;

use titus_core::id::{JobId, TaskId};
use titus_core::job::JobRecord;
use titus_core::task::TaskHot;

use super::record::note::Note;
use super::record::{job, task};
use super::specs::checked;
use super::tx::Tx;
use super::{Cluster, keys};
use crate::error::Result;
use crate::kv::{Read, Version};

/// A job that was looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundJob {
    /// The job.
    pub record: JobRecord,
    /// True when it is archived.
    pub archived: bool,
}

/// A task that was looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTask {
    /// The task.
    pub hot: TaskHot,
    /// True when it is archived.
    pub archived: bool,
    /// What is known of it for people, oldest first.
    pub notes: Vec<Note>,
}

impl Cluster {
    /// The version that a reader sees now.
    ///
    /// # Errors
    /// The store's.
    pub async fn version(&self) -> Result<Version> {
        self.kv.version().await
    }

    /// A job by id.
    ///
    /// # Errors
    /// The store's.
    pub async fn job(&self, id: JobId) -> Result<Option<FoundJob>> {
        let tx = self.begin().await?;
        if let Some(record) = self.active_job(&tx, id).await? {
            return Ok(Some(FoundJob {
                record,
                archived: false,
            }));
        }
        let Some(bytes) = tx.peek(&keys::archived_job(id)).await? else {
            return Ok(None);
        };
        let stored = job::decode(&bytes)?;
        let Some(request) = tx.peek(&archived_spec(id)).await? else {
            return Ok(None);
        };
        Ok(Some(FoundJob {
            record: stored.with(checked(id, &request)?)?,
            archived: true,
        }))
    }

    /// A task by id, with its notes.
    ///
    /// # Errors
    /// The store's.
    pub async fn task(&self, id: TaskId) -> Result<Option<FoundTask>> {
        let tx = self.begin().await?;
        let Some((hot, archived)) = self.any_task(&tx, id).await? else {
            return Ok(None);
        };
        let notes = match id.shard() {
            Some(shard) => tx.notes(shard, id).await?,
            None => Vec::new(),
        };
        Ok(Some(FoundTask { hot, archived, notes }))
    }

    async fn any_task(&self, tx: &Tx, id: TaskId) -> Result<Option<(TaskHot, bool)>> {
        if let Some((_, hot)) = self.find_live_task(tx, id).await? {
            return Ok(Some((hot, false)));
        }
        let bytes = tx.peek(&keys::archived_task(id)).await?;
        Ok(bytes
            .map(|bytes| task::decode(&bytes))
            .transpose()?
            .map(|hot| (hot, true)))
    }

    /// The archived tasks of a job, oldest first, at most `limit`.
    ///
    /// # Errors
    /// The store's.
    pub async fn archived_tasks(&self, id: JobId, limit: usize) -> Result<Vec<TaskHot>> {
        let tx = self.begin().await?;
        let entries = tx
            .scan(&keys::archived_of_job(id).children(), limit, Read::Snapshot)
            .await?;
        let mut tasks = Vec::with_capacity(entries.len());
        for entry in entries {
            let id = keys::task_of_archived(&entry.key)?;
            if let Some(bytes) = tx.peek(&keys::archived_task(id)).await? {
                tasks.push(task::decode(&bytes)?);
            }
        }
        Ok(tasks)
    }

    /// The checked request of a live job.
    ///
    /// # Errors
    /// The store's.
    pub async fn spec(&self, id: JobId) -> Result<Option<Arc<titus_core::spec::JobSpec>>> {
        Ok(self.job(id).await?.map(|found| found.record.spec))
    }
}

/// Where an archived job's request is kept.
pub(super) fn archived_spec(id: JobId) -> crate::key::Key {
    crate::key::Key::new().text("aspec").uuid(id.to_bytes())
}
