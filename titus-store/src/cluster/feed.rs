//! Following a feed: every change after a place, in order, or "too old, take a snapshot".

use super::transact;
use std::sync::Arc;

use titus_core::change::Change;
use titus_core::host::HostRecord;
use titus_core::id::HostId;
use titus_core::shard::ShardId;
use titus_core::time::Timestamp;

use super::Cluster;
use super::keys::{self, Feed};
use super::record::feed::{self, FeedEntry};
use super::snapshot::BadRecord;
use super::tx::Tx;
use crate::error::{Error, Result};
use crate::key::Stamp;
use crate::kv::{Entry, KeyRange, Read, Version};

/// What a feed holds after a place.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedPage {
    /// Changes in order; the caller is now as far as `complete` says.
    Changes {
        /// The changes, oldest first.
        changes: Vec<(Version, Change)>,
        /// Entries that could not be read; they are passed over.
        bad: Vec<BadRecord>,
        /// Everything up to this version was given out.
        complete: Version,
        /// There is more already: ask again from `complete`.
        more: bool,
    },
    /// Entries after the place were dropped: take a snapshot.
    TooOld,
}

/// The most entries of one page.
const PAGE: usize = 2_000;
/// How long entries are kept.
const KEEP_MINUTES: i64 = 60;

impl Cluster {
    /// The changes of a feed after `after`, at most 2,000.
    ///
    /// # Errors
    /// The store's.
    pub async fn follow(&self, feed: Feed, after: Version) -> Result<FeedPage> {
        let tx = self.begin().await?;
        if floor(&tx, feed).await? > after {
            return Ok(FeedPage::TooOld);
        }
        let prefix = keys::feed(feed);
        let mut range = KeyRange::new(Stamp::after(after).key_under(&prefix), prefix.children().end);
        let mut entries = Vec::new();
        let (complete, more) = loop {
            let page = tx.scan(&range, PAGE, Read::Snapshot).await?;
            let full = page.len() == PAGE;
            entries.extend(page);
            match entries.last() {
                Some(last) if full => range = range.after(&last.key),
                _ => break (tx.read_version(), false),
            }
            if let Some(complete) = whole_commits(&mut entries)? {
                break (complete, true);
            }
        };
        let (mut changes, mut bad) = (Vec::with_capacity(entries.len()), Vec::new());
        for entry in entries {
            let version = Stamp::of_key(&entry.key)?.version;
            match self.change(&tx, feed, &entry.value).await {
                Ok(Some(change)) => changes.push((version, change)),
                Ok(None) => {}
                Err(error @ Error::Record { .. }) => bad.push(BadRecord::new(&entry.key, &error)),
                Err(error) => return Err(error),
            }
        }
        Ok(FeedPage::Changes {
            changes,
            bad,
            complete,
            more,
        })
    }

    /// Resolves when a feed has something after `since`.
    ///
    /// # Errors
    /// The store's.
    pub async fn feed_changed(&self, feed: Feed, since: Version) -> Result<()> {
        self.kv.changed(&keys::feed(feed), since).await
    }

    async fn change(&self, tx: &Tx, feed: Feed, bytes: &[u8]) -> Result<Option<Change>> {
        Ok(match feed::decode(bytes)? {
            FeedEntry::Job(stored) => {
                let Feed::Shard(shard) = feed else { return Ok(None) };
                // An archived job's request is gone, and the entry that says so follows.
                let Some(spec) = self.specs.get(tx, shard, stored.id()).await? else {
                    return Ok(None);
                };
                Some(Change::Job(Arc::new(stored.with(spec)?)))
            }
            FeedEntry::JobGone(id) => Some(Change::JobGone(id)),
            FeedEntry::Task(hot) => Some(Change::Task(*hot)),
            FeedEntry::TaskGone(id) => Some(Change::TaskGone(id)),
            FeedEntry::Host(id) => host_record(tx, id)
                .await?
                .map(|record| Change::Host(Arc::new(record))),
            FeedEntry::HostGone(id) => Some(Change::HostGone(id)),
        })
    }

    /// Notes the time, and drops entries older than an hour from all feeds.
    ///
    /// # Errors
    /// The store's.
    pub async fn compact_feeds(&self, now: Timestamp) -> Result<()> {
        let minute = now.as_millis().div_euclid(60_000);
        let version = self.kv.version().await?;
        let (floor, _) = transact!(self, "mark feeds", |mut tx| {
            if tx.get(&keys::mark(minute)).await?.is_none() {
                tx.set(&keys::mark(minute), &version.0.to_be_bytes());
            }
            let mut floor = None;
            for entry in tx
                .scan(&keys::marks().children(), 1_000, Read::Serializable)
                .await?
            {
                if keys::minute_of_mark(&entry.key)? >= minute - KEEP_MINUTES {
                    break;
                }
                floor = <[u8; 8]>::try_from(&entry.value[..])
                    .ok()
                    .map(|b| Version(u64::from_be_bytes(b)));
                tx.clear_key(&entry.key);
            }
            Ok((tx, floor))
        })?;
        let Some(floor) = floor else { return Ok(()) };
        for feed in Feed::all() {
            self.drop_entries(feed, floor).await?;
        }
        tracing::debug!(%floor, "feeds compacted");
        Ok(())
    }

    /// Drops a feed's entries up to a version; followers behind it are told to take a snapshot.
    async fn drop_entries(&self, feed: Feed, up_to: Version) -> Result<()> {
        transact!(self, "compact feed", |mut tx| {
            if floor(&tx, feed).await? >= up_to {
                return Ok((tx, ()));
            }
            let prefix = keys::feed(feed);
            let range = KeyRange::new(prefix.children().start, Stamp::after(up_to).key_under(&prefix));
            if !tx.scan(&range, 1, Read::Snapshot).await?.is_empty() {
                tx.clear(&range);
                tx.set(&keys::feed_floor(feed), &up_to.0.to_be_bytes());
            }
            Ok((tx, ()))
        })?;
        Ok(())
    }
}

/// A full page may end in the middle of a commit: its last commit is left for the next page, unless it is the only one.
fn whole_commits(entries: &mut Vec<Entry>) -> Result<Option<Version>> {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
        return Ok(None);
    };
    let (first, last) = (
        Stamp::of_key(&first.key)?.version,
        Stamp::of_key(&last.key)?.version,
    );
    if first == last {
        return Ok(None);
    }
    entries.retain(|e| Stamp::of_key(&e.key).is_ok_and(|s| s.version < last));
    Ok(Some(Version(last.0 - 1)))
}

async fn floor(tx: &Tx, feed: Feed) -> Result<Version> {
    let bytes = tx.peek(&keys::feed_floor(feed)).await?;
    Ok(bytes
        .and_then(|b| <[u8; 8]>::try_from(&b[..]).ok())
        .map_or(Version(0), |b| Version(u64::from_be_bytes(b))))
}

/// A host as views hold it.
pub(super) async fn host_record(tx: &Tx, id: HostId) -> Result<Option<HostRecord>> {
    let (Some(spec), Some(row)) = (tx.host_spec(id).await?, tx.desired(id).await?) else {
        return Ok(None);
    };
    Ok(Some(HostRecord {
        spec,
        desired: row.desired,
        health: row.health,
        since: row.since,
    }))
}

/// The feed that a shard's changes are in.
impl From<ShardId> for Feed {
    fn from(shard: ShardId) -> Self {
        Self::Shard(shard)
    }
}
