//! Everything that is live, page by page: how a view becomes warm.

use std::fmt;
use std::sync::Arc;

use titus_core::change::Change;
use titus_core::id::HostId;
use titus_core::shard::ShardId;

use super::Cluster;
use super::feed::host_record;
use super::keys;
use super::record::{job, task};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::kv::{KeyRange, Read, Version};

/// A stored record that cannot be read: set aside, and for an operator to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord {
    /// Its key, in hexadecimal.
    pub key: String,
    /// What is wrong with it.
    pub problem: String,
}

impl BadRecord {
    pub(super) fn new(key: &[u8], error: &Error) -> Self {
        let bad = Self {
            key: key.iter().map(|b| format!("{b:02x}")).collect(),
            problem: error.to_string(),
        };
        tracing::error!(key = bad.key, problem = bad.problem, "bad record set aside");
        bad
    }
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)
    }
}

/// One page of a snapshot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SnapshotPage {
    /// What is live, to be applied in order.
    pub changes: Vec<Change>,
    /// What could not be read.
    pub bad: Vec<BadRecord>,
}

/// A snapshot under way. Pages may be of different versions: a follower that then applies the feeds from
/// [`start`](Self::start) on is exact once it has passed the version at the snapshot's end.
#[derive(Debug)]
pub struct Snapshot {
    cluster: Cluster,
    start: Version,
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Jobs(ShardId, KeyRange),
    Tasks(ShardId, KeyRange),
    Hosts(KeyRange),
}

const PAGE: usize = 1_000;

impl Cluster {
    /// Begins a snapshot: jobs, tasks and hosts of all shards.
    ///
    /// # Errors
    /// The store's.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let range = |key: Key| key.children();
        let mut parts = vec![Part::Hosts(range(keys::hosts()))];
        for shard in ShardId::all() {
            parts.push(Part::Tasks(shard, range(keys::tasks(shard))));
            parts.push(Part::Jobs(shard, range(keys::jobs(shard))));
        }
        Ok(Snapshot {
            cluster: self.clone(),
            start: self.kv.version().await?,
            parts,
        })
    }
}

impl Snapshot {
    /// The version from which on feeds must be applied after the snapshot.
    #[must_use]
    pub const fn start(&self) -> Version {
        self.start
    }

    /// The next page, or `None` at the end.
    ///
    /// # Errors
    /// The store's; the same page can be asked for again.
    pub async fn next_page(&mut self) -> Result<Option<SnapshotPage>> {
        let Some(part) = self.parts.last().cloned() else {
            return Ok(None);
        };
        let (page, rest) = match &part {
            Part::Jobs(shard, range) => self.jobs(*shard, range).await?,
            Part::Tasks(_, range) => self.tasks(range).await?,
            Part::Hosts(range) => self.hosts(range).await?,
        };
        self.parts.pop();
        if let Some(rest) = rest {
            self.parts.push(match part {
                Part::Jobs(shard, _) => Part::Jobs(shard, rest),
                Part::Tasks(shard, _) => Part::Tasks(shard, rest),
                Part::Hosts(_) => Part::Hosts(rest),
            });
        }
        Ok(Some(page))
    }

    async fn jobs(&self, shard: ShardId, range: &KeyRange) -> Result<(SnapshotPage, Option<KeyRange>)> {
        let tx = self.cluster.begin().await?;
        let entries = tx.scan(range, PAGE, Read::Snapshot).await?;
        let mut page = SnapshotPage::default();
        for entry in &entries {
            let read = async {
                let stored = job::decode(&entry.value)?;
                let Some(spec) = self.cluster.specs.get(&tx, shard, stored.id()).await? else {
                    return Ok(None);
                };
                stored.with(spec).map(Some)
            };
            match read.await {
                Ok(Some(record)) => page.changes.push(Change::Job(Arc::new(record))),
                Ok(None) => {}
                Err(error @ Error::Record { .. }) => page.bad.push(BadRecord::new(&entry.key, &error)),
                Err(error) => return Err(error),
            }
        }
        Ok((page, rest(range, &entries)))
    }

    async fn tasks(&self, range: &KeyRange) -> Result<(SnapshotPage, Option<KeyRange>)> {
        let tx = self.cluster.begin().await?;
        let entries = tx.scan(range, PAGE, Read::Snapshot).await?;
        let mut page = SnapshotPage::default();
        for entry in &entries {
            match task::decode(&entry.value) {
                Ok(hot) => page.changes.push(Change::Task(hot)),
                Err(error) => page.bad.push(BadRecord::new(&entry.key, &error)),
            }
        }
        Ok((page, rest(range, &entries)))
    }

    async fn hosts(&self, range: &KeyRange) -> Result<(SnapshotPage, Option<KeyRange>)> {
        let tx = self.cluster.begin().await?;
        let entries = tx.scan(range, PAGE, Read::Snapshot).await?;
        let mut page = SnapshotPage::default();
        for entry in &entries {
            let (name, kind) = keys::host_of_key(&entry.key)?;
            if kind != "spec" {
                continue;
            }
            let Ok(id) = HostId::new(&name) else { continue };
            match host_record(&tx, id).await {
                Ok(Some(record)) => page.changes.push(Change::Host(Arc::new(record))),
                Ok(None) => {}
                Err(error @ Error::Record { .. }) => page.bad.push(BadRecord::new(&entry.key, &error)),
                Err(error) => return Err(error),
            }
        }
        Ok((page, rest(range, &entries)))
    }
}

fn rest(range: &KeyRange, entries: &[crate::kv::Entry]) -> Option<KeyRange> {
    entries
        .last()
        .filter(|_| entries.len() == PAGE)
        .map(|last| range.after(&last.key))
}
