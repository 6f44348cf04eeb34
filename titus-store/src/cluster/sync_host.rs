//! The conversation with a host: its full observed state in, its full desired state out. Needs no lease: the record that
//! is read in the transaction and the transition table guard each write.

use super::transact;
use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use titus_core::host::{HostHealth, HostSpec};
use titus_core::id::{HostId, JobId, TaskId};
use titus_core::reconcile::directive;
use titus_core::shard::ShardId;
use titus_core::spec::JobSpec;
use titus_core::task::{TaskHot, TaskState, observe_host};
use titus_core::wire::{Directive, HostReport};

use super::record::feed;
use super::record::host::{DesiredRow, encode_spec};
use super::record::note::Note;
use super::tx::Tx;
use super::{Cluster, Feed, keys};
use crate::error::Result;
use crate::kv::Version;

/// Task changes of one transaction: a report that says more is applied over several.
const MOST_CHANGES: usize = 400;

impl Cluster {
    /// Applies a host's report and answers with what it shall run. A report equal to the last one writes nothing.
    ///
    /// # Errors
    /// The store's.
    pub async fn sync_host(&self, report: &HostReport) -> Result<Directive> {
        let digest = digest(report);
        loop {
            let (left, _) = transact!(self, "sync host", |tx| {
                self.observe_once(tx, report, &digest).await
            })?;
            if !left {
                break;
            }
        }
        self.directive(report.host()).await
    }

    /// What a host shall run now.
    ///
    /// # Errors
    /// The store's.
    pub async fn directive(&self, host: HostId) -> Result<Directive> {
        let tx = self.begin().await?;
        let generation = tx.desired(host).await?.map_or(0, |row| row.desired.generation);
        let tasks = self.tasks_on(&tx, host).await?;
        Ok(directive(
            host,
            generation,
            tasks.iter().map(|(task, spec, _)| (task, &**spec)),
        ))
    }

    /// Resolves when what a host shall run may have changed since `since`.
    ///
    /// # Errors
    /// The store's.
    pub async fn host_changed(&self, host: HostId, since: Version) -> Result<()> {
        self.kv.changed(&keys::host_desired(host), since).await
    }

    /// Applies at most [`MOST_CHANGES`] of what the report says; true when there is more.
    async fn observe_once(&self, mut tx: Tx, report: &HostReport, digest: &[u8]) -> Result<(Tx, bool)> {
        let now = self.clock.now();
        let host = report.host();
        let known = tx.desired(host).await?;
        let mut row = known.unwrap_or_else(|| DesiredRow::new(now));
        let spec_changed = self.put_spec(&mut tx, &report.spec).await?;
        let revived = row.health != HostHealth::Ready;
        if known.is_none() || revived {
            row.health = HostHealth::Ready;
            row.since = now;
            tx.put_desired(host, &row);
            tracing::info!(%host, revived, "host is ready");
        }
        if known.is_none() || revived || spec_changed {
            tx.feed(Feed::Hosts, &feed::of_host(host));
        }
        let same = tx
            .get(&keys::host_observed(host))
            .await?
            .is_some_and(|last| *last == *digest);
        if same && !revived {
            return Ok((tx, false));
        }
        let tasks = self.tasks_on(&tx, host).await?;
        let by_id: BTreeMap<TaskId, (TaskHot, Arc<JobSpec>, ShardId)> =
            tasks.into_iter().map(|entry| (entry.0.id, entry)).collect();
        let changed = observe_host(
            by_id.values().map(|(task, ..)| task),
            report,
            row.desired.generation,
            now,
        );
        let more = changed.len() > MOST_CHANGES;
        for new in changed.iter().take(MOST_CHANGES) {
            if let Some((old, spec, shard)) = by_id.get(&new.id) {
                tx.put_task(*shard, Some(old), new, &spec.resources());
                self.note_report(&mut tx, *shard, old, new, report).await?;
            }
        }
        if !more {
            tx.set(&keys::host_observed(host), digest);
        }
        Ok((tx, more))
    }

    async fn put_spec(&self, tx: &mut Tx, spec: &HostSpec) -> Result<bool> {
        let (key, bytes) = (keys::host_spec(spec.id), encode_spec(spec));
        let changed = tx.get(&key).await?.is_none_or(|old| old != bytes);
        if changed {
            tx.set(&key, &bytes);
        }
        Ok(changed)
    }

    /// Keeps what the host says for people, where it says something.
    async fn note_report(
        &self,
        tx: &mut Tx,
        shard: ShardId,
        old: &TaskHot,
        new: &TaskHot,
        report: &HostReport,
    ) -> Result<()> {
        if old.state != new.state {
            tracing::info!(task = %new.id, job = %new.job, from = %old.state, to = %new.state, reason = %new.reason,
                "task moved on");
        }
        let told = report.tasks.iter().find(|told| told.task == new.id);
        let message = match told {
            Some(told) => told.message.clone(),
            None if new.state == TaskState::Finished => {
                format!("host {} does not have the task any more", report.host())
            }
            None => String::new(),
        };
        let at = self.clock.now();
        tx.add_note(
            shard,
            new.id,
            Note {
                state: new.state,
                reason: new.reason,
                message,
                at,
            },
        )
        .await
    }

    /// Every task that holds room on a host, with its job's request and shard. A damaged one is reported and left out.
    async fn tasks_on(&self, tx: &Tx, host: HostId) -> Result<Vec<(TaskHot, Arc<JobSpec>, ShardId)>> {
        let mut tasks = Vec::new();
        for (id, shard, job) in tx.on_host(host).await? {
            match self.task_with_spec(tx, id, shard, job).await {
                Ok(Some(found)) => tasks.push(found),
                Ok(None) => tracing::error!(%host, task = %id, "a task on the host has no record"),
                Err(error @ crate::Error::Record { .. }) => {
                    tracing::error!(%host, task = %id, %error, "a task on the host cannot be read");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(tasks)
    }

    async fn task_with_spec(
        &self,
        tx: &Tx,
        id: TaskId,
        shard: ShardId,
        job: JobId,
    ) -> Result<Option<(TaskHot, Arc<JobSpec>, ShardId)>> {
        let Some(task) = tx.task(shard, id).await? else {
            return Ok(None);
        };
        let Some(spec) = self.specs.get(tx, shard, job).await? else {
            return Ok(None);
        };
        Ok(Some((task, spec, shard)))
    }
}

/// A digest of all that a report says.
fn digest(report: &HostReport) -> Vec<u8> {
    // Debug output names every field, and a report holds no map with an order of its own.
    Sha256::digest(format!("{report:?}").as_bytes()).to_vec()
}
