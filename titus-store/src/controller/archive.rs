//! Moves finished jobs out of the way, and forgets what is old enough.

use std::time::Duration;

use titus_core::id::{JobId, TaskId};
use titus_core::job::JobState;
use titus_core::shard::ShardId;
use titus_core::time::Millis;

use super::warm::WarmView;
use crate::cluster::Lease;
use crate::error::Result;

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// A finished job stays among the active ones for so long.
    pub finished: Millis,
    /// At most so many finished jobs stay; the oldest are archived first.
    pub finished_jobs: usize,
    /// An archived job is forgotten after so long.
    pub archived: Millis,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            finished: Millis::from_secs(300),
            finished_jobs: 1_000,
            archived: Millis::from_secs(7 * 24 * 3_600),
        }
    }
}

/// Archives.
#[derive(Debug)]
pub struct ArchiveController {
    retention: Retention,
    archived: u64,
}

impl ArchiveController {
    /// A controller.
    #[must_use]
    pub const fn new(retention: Retention) -> Self {
        Self {
            retention,
            archived: 0,
        }
    }

    /// How often to call [`tick`](Self::tick).
    #[must_use]
    pub const fn interval(&self) -> Duration {
        Duration::from_secs(5)
    }

    /// Jobs archived so far.
    #[must_use]
    pub const fn archived(&self) -> u64 {
        self.archived
    }

    /// Archives jobs that finished long enough ago, and drops old archives, request keys and feed entries.
    ///
    /// # Errors
    /// The store's; the next tick goes on.
    pub async fn tick(&mut self, warm: &WarmView, lease: &Lease) -> Result<()> {
        let now = warm.cluster().clock().now();
        for (shard, job, tasks) in self.due(warm, lease) {
            if warm.cluster().archive_job(lease, shard, job, &tasks).await? {
                self.archived += 1;
                tracing::debug!(%job, tasks = tasks.len(), "job archived");
            }
        }
        warm.cluster()
            .drop_archived(now - self.retention.archived)
            .await?;
        warm.cluster().drop_request_keys(now).await?;
        warm.cluster().compact_feeds(now).await
    }

    fn due(&self, warm: &WarmView, lease: &Lease) -> Vec<(ShardId, JobId, Vec<TaskId>)> {
        let now = warm.cluster().clock().now();
        warm.with(|view| {
            let mut finished: Vec<_> = view
                .jobs()
                .filter(|job| job.status.state == JobState::Finished && lease.owns(job.spec.shard()))
                .map(|job| (job.status.at, job.id, job.spec.shard()))
                .collect();
            finished.sort_unstable();
            let surplus = finished.len().saturating_sub(self.retention.finished_jobs);
            finished
                .into_iter()
                .enumerate()
                .filter(|(nth, (at, ..))| *nth < surplus || now.since(*at) >= self.retention.finished)
                .map(|(_, (_, job, shard))| (shard, job, view.tasks_of_job(job).map(|t| t.id).collect()))
                .collect()
        })
    }
}
