//! A transaction in the cell's words: records instead of bytes, and what must be written together.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use titus_core::host::HostSpec;
use titus_core::id::{HostId, JobId, TaskId};
use titus_core::job::JobRecord;
use titus_core::resources::Resources;
use titus_core::shard::ShardId;
use titus_core::task::{TaskHot, TaskState};

use super::keys::{self, Feed};
use super::record::host::DesiredRow;
use super::record::note::Note;
use super::record::{feed, host, job, note, task};
use crate::codec::{Reader, Writer};
use crate::error::{Error, RecordProblem, Result};
use crate::kv::{Entry, KeyRange, Read, Txn, Version};

/// A transaction and what it still has to write to hosts.
pub(super) struct Tx {
    txn: Box<dyn Txn>,
    rooms: BTreeMap<HostId, Room>,
}

/// The change of a host's room by this transaction.
#[derive(Debug, Clone, Copy, Default)]
struct Room {
    taken: Resources,
    given: Resources,
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx")
            .field("rooms", &self.rooms)
            .finish_non_exhaustive()
    }
}

impl Tx {
    pub(super) fn new(txn: Box<dyn Txn>) -> Self {
        Self {
            txn,
            rooms: BTreeMap::new(),
        }
    }

    pub(super) fn read_version(&self) -> Version {
        self.txn.read_version()
    }

    /// Writes the hosts' rooms and commits.
    pub(super) async fn commit(mut self) -> Result<Version> {
        for (id, room) in std::mem::take(&mut self.rooms) {
            let Some(mut row) = self.desired(id).await? else {
                continue;
            };
            let used = &row.desired.used;
            row.desired.used = used
                .checked_add(&room.taken)
                .unwrap_or(*used)
                .saturating_sub(&room.given);
            row.desired.generation += 1;
            self.put_desired(id, &row);
        }
        self.txn.commit().await
    }

    pub(super) async fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.txn.get(key, Read::Serializable).await
    }

    pub(super) async fn peek(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.txn.get(key, Read::Snapshot).await
    }

    pub(super) async fn scan(&self, range: &KeyRange, limit: usize, read: Read) -> Result<Vec<Entry>> {
        self.txn.scan(range, limit, read).await
    }

    pub(super) fn set(&mut self, key: &[u8], value: &[u8]) {
        self.txn.set(key, value);
    }

    pub(super) fn clear_key(&mut self, key: &[u8]) {
        self.txn.clear(&KeyRange::one(key));
    }

    pub(super) fn clear(&mut self, range: &KeyRange) {
        self.txn.clear(range);
    }

    pub(super) fn feed(&mut self, to: Feed, entry: &[u8]) {
        self.txn.append(&keys::feed(to), entry);
    }

    pub(super) async fn task(&self, shard: ShardId, id: TaskId) -> Result<Option<TaskHot>> {
        self.get(&keys::task(shard, id))
            .await?
            .map(|bytes| task::decode(&bytes))
            .transpose()
    }

    /// Writes a task's record with all that hangs on it: its feed entry, its place in the queue, its place on its
    /// host and the room there. `asks` is what one task of the job takes.
    pub(super) fn put_task(
        &mut self,
        shard: ShardId,
        old: Option<&TaskHot>,
        new: &TaskHot,
        asks: &Resources,
    ) {
        let bytes = task::encode(new);
        self.set(&keys::task(shard, new.id), &bytes);
        self.feed(Feed::Shard(shard), &feed::of_task(&bytes));
        let waits = |t: &TaskHot| t.state == TaskState::Accepted;
        let queued = |t: &TaskHot| t.times.queued.map(|since| keys::ready(shard, since, t.id));
        match (old.filter(|t| waits(t)), waits(new)) {
            (None, true) => {
                if let Some(key) = queued(new) {
                    self.set(&key, &new.job.to_bytes());
                }
            }
            (Some(old), false) => {
                if let Some(key) = queued(old) {
                    self.clear_key(&key);
                }
            }
            _ => {}
        }
        self.put_place(shard, old, new, asks);
    }

    fn put_place(&mut self, shard: ShardId, old: Option<&TaskHot>, new: &TaskHot, asks: &Resources) {
        let held = |t: &TaskHot| t.host.filter(|_| t.state.holds_host());
        let (before, after) = (old.and_then(held), held(new));
        if before == after {
            // A kill changes what its host shall do, so the host's generation must rise.
            if let (Some(host), Some(old)) = (after, old)
                && old.state != new.state
                && new.state == TaskState::KillInitiated
            {
                self.rooms.entry(host).or_default();
            }
            return;
        }
        if let Some(host) = before {
            self.clear_key(&keys::on_host(host, new.id));
            let room = self.rooms.entry(host).or_default();
            room.given = room.given.checked_add(asks).unwrap_or(room.given);
        }
        if let Some(host) = after {
            self.set(&keys::on_host(host, new.id), &place(shard, new.job));
            let room = self.rooms.entry(host).or_default();
            room.taken = room.taken.checked_add(asks).unwrap_or(room.taken);
        }
    }

    /// Writes a job's record and its feed entry.
    pub(super) fn put_job(&mut self, record: &JobRecord) {
        let shard = record.spec.shard();
        let bytes = job::encode(record);
        self.set(&keys::job(shard, record.id), &bytes);
        self.feed(Feed::Shard(shard), &feed::of_job(&bytes));
    }

    pub(super) async fn notes(&self, shard: ShardId, id: TaskId) -> Result<Vec<Note>> {
        let bytes = self.peek(&keys::note(shard, id)).await?;
        Ok(bytes
            .map(|bytes| note::decode(&bytes))
            .transpose()?
            .unwrap_or_default())
    }

    /// Adds a note to a task, unless there is nothing to say.
    pub(super) async fn add_note(&mut self, shard: ShardId, id: TaskId, new: Note) -> Result<()> {
        if new.message.is_empty() {
            return Ok(());
        }
        let mut notes = self.notes(shard, id).await?;
        note::add(&mut notes, new);
        self.set(&keys::note(shard, id), &note::encode(&notes));
        Ok(())
    }

    pub(super) async fn desired(&self, id: HostId) -> Result<Option<DesiredRow>> {
        self.get(&keys::host_desired(id))
            .await?
            .map(|bytes| DesiredRow::decode(&bytes))
            .transpose()
    }

    pub(super) fn put_desired(&mut self, id: HostId, row: &DesiredRow) {
        self.set(&keys::host_desired(id), &row.encode());
    }

    pub(super) async fn host_spec(&self, id: HostId) -> Result<Option<HostSpec>> {
        self.peek(&keys::host_spec(id))
            .await?
            .map(|bytes| host::decode_spec(&bytes))
            .transpose()
    }

    /// The task, shard and job of every task that holds room on a host.
    pub(super) async fn on_host(&self, id: HostId) -> Result<Vec<(TaskId, ShardId, JobId)>> {
        let range = keys::on_host_all(id).children();
        let entries = self.scan(&range, MOST_ON_HOST, Read::Serializable).await?;
        entries.iter().map(placed).collect()
    }
}

/// The 16 bytes of an id that is a value.
pub(super) fn id_of(record: &'static str, bytes: &[u8]) -> Result<[u8; 16]> {
    <[u8; 16]>::try_from(bytes).map_err(|_| Error::Record {
        record,
        problem: RecordProblem::Length(bytes.len()),
    })
}

/// More tasks than any host runs; a scan must name a limit.
const MOST_ON_HOST: usize = 100_000;

/// The value of a place is a version byte, two bytes of shard, sixteen of job.
const PLACE_VERSION: u8 = 1;

fn place(shard: ShardId, job: JobId) -> Vec<u8> {
    let mut w = Writer::new(PLACE_VERSION);
    w.u16(shard.get()).raw(&job.to_bytes());
    w.finish()
}

fn placed(entry: &Entry) -> Result<(TaskId, ShardId, JobId)> {
    let task = keys::task_of_on_host(&entry.key)?;
    let (_, mut r) = Reader::open("place", &[PLACE_VERSION], &entry.value)?;
    let shard = r.u16()?;
    let shard = ShardId::new(shard).ok_or_else(|| r.invalid("shard"))?;
    let job = JobId::from_bytes(r.array()?);
    r.finish()?;
    Ok((task, shard, job))
}
