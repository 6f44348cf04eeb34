//! Where everything is kept: every key of a cell.

use titus_core::id::{HostId, JobId, TaskId};
use titus_core::shard::ShardId;
use titus_core::time::Timestamp;

use crate::error::Result;
use crate::key::{Key, Parts};

/// A feed: one for each shard, and one for hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feed {
    /// Jobs and tasks of a shard.
    Shard(ShardId),
    /// Hosts.
    Hosts,
}

impl Feed {
    /// Every feed.
    pub fn all() -> impl Iterator<Item = Self> {
        ShardId::all()
            .map(Self::Shard)
            .chain(std::iter::once(Self::Hosts))
    }

    const fn number(self) -> i64 {
        match self {
            Self::Shard(shard) => shard.get() as i64,
            Self::Hosts => 1_000,
        }
    }
}

/// The prefix under which a feed's entries are appended.
pub(crate) fn feed(feed: Feed) -> Key {
    Key::new().text("feed").int(feed.number())
}

/// The last version of which entries were dropped from a feed.
pub(crate) fn feed_floor(feed: Feed) -> Key {
    Key::new().text("floor").int(feed.number())
}

/// The version at a minute, for dropping old entries by age.
pub(crate) fn mark(minute: i64) -> Key {
    marks().int(minute)
}

pub(crate) fn marks() -> Key {
    Key::new().text("mark")
}

pub(crate) fn minute_of_mark(key: &[u8]) -> Result<i64> {
    let mut parts = Parts::of(key);
    parts.text()?;
    parts.int()
}

fn shard_of(kind: &str, shard: ShardId) -> Key {
    Key::new().text(kind).int(i64::from(shard.get()))
}

pub(crate) fn jobs(shard: ShardId) -> Key {
    shard_of("job", shard)
}

pub(crate) fn job(shard: ShardId, job: JobId) -> Key {
    jobs(shard).uuid(job.to_bytes())
}

/// The request of a job, which never changes.
pub(crate) fn spec(shard: ShardId, job: JobId) -> Key {
    shard_of("spec", shard).uuid(job.to_bytes())
}

pub(crate) fn tasks(shard: ShardId) -> Key {
    shard_of("task", shard)
}

pub(crate) fn task(shard: ShardId, task: TaskId) -> Key {
    tasks(shard).uuid(task.to_bytes())
}

/// The newest task of each of a job's slots: a new one is made only in place of it.
pub(crate) fn slots(shard: ShardId, job: JobId) -> Key {
    shard_of("slot", shard).uuid(job.to_bytes())
}

pub(crate) fn slot(shard: ShardId, job: JobId, index: u32) -> Key {
    slots(shard, job).int(i64::from(index))
}

/// What is known of a task for people.
pub(crate) fn note(shard: ShardId, task: TaskId) -> Key {
    shard_of("note", shard).uuid(task.to_bytes())
}

/// Tasks that wait for a host, in the order of their age.
pub(crate) fn ready_all(shard: ShardId) -> Key {
    shard_of("ready", shard)
}

pub(crate) fn ready(shard: ShardId, since: Timestamp, task: TaskId) -> Key {
    ready_all(shard).int(since.as_millis()).uuid(task.to_bytes())
}

pub(crate) fn task_of_ready(key: &[u8]) -> Result<TaskId> {
    let mut parts = Parts::of(key);
    parts.text()?;
    parts.int()?;
    parts.int()?;
    Ok(TaskId::from_bytes(parts.uuid()?))
}

fn host(kind: &str, host: HostId) -> Key {
    Key::new().text("host").text(host.as_str()).text(kind)
}

pub(crate) fn hosts() -> Key {
    Key::new().text("host")
}

pub(crate) fn host_spec(id: HostId) -> Key {
    host("spec", id)
}

pub(crate) fn host_desired(id: HostId) -> Key {
    host("desired", id)
}

pub(crate) fn host_observed(id: HostId) -> Key {
    host("observed", id)
}

pub(crate) fn host_alive(id: HostId) -> Key {
    host("alive", id)
}

/// The host and the kind of one of its four keys.
pub(crate) fn host_of_key(key: &[u8]) -> Result<(String, String)> {
    let mut parts = Parts::of(key);
    parts.text()?;
    Ok((parts.text()?, parts.text()?))
}

/// The tasks that hold room on a host.
pub(crate) fn on_host_all(id: HostId) -> Key {
    Key::new().text("on").text(id.as_str())
}

pub(crate) fn on_host(id: HostId, task: TaskId) -> Key {
    on_host_all(id).uuid(task.to_bytes())
}

pub(crate) fn task_of_on_host(key: &[u8]) -> Result<TaskId> {
    let mut parts = Parts::of(key);
    parts.text()?;
    parts.text()?;
    Ok(TaskId::from_bytes(parts.uuid()?))
}

/// The job that a request made.
pub(crate) fn request(key: &str) -> Key {
    Key::new().text("req").text(key)
}

/// Request keys by the time at which they expire.
pub(crate) fn requests_by_expiry() -> Key {
    Key::new().text("reqexp")
}

pub(crate) fn request_expiry(at: Timestamp, key: &str) -> Key {
    requests_by_expiry().int(at.as_millis()).text(key)
}

pub(crate) fn request_of_expiry(key: &[u8]) -> Result<(Timestamp, String)> {
    let mut parts = Parts::of(key);
    parts.text()?;
    Ok((Timestamp::from_millis(parts.int()?), parts.text()?))
}

/// The active job that has a unique name.
pub(crate) fn name(name: &str) -> Key {
    Key::new().text("name").text(name)
}

/// Who owns a shard, and since which epoch. Never cleared.
pub(crate) fn epoch(shard: ShardId) -> Key {
    shard_of("epoch", shard)
}

/// The renewals of a member.
pub(crate) fn member(member: [u8; 16]) -> Key {
    members().uuid(member)
}

pub(crate) fn members() -> Key {
    Key::new().text("member")
}

pub(crate) fn archived_job(job: JobId) -> Key {
    Key::new().text("ajob").uuid(job.to_bytes())
}

pub(crate) fn archived_task(task: TaskId) -> Key {
    Key::new().text("atask").uuid(task.to_bytes())
}

/// The archived tasks of a job, oldest first.
pub(crate) fn archived_of_job(job: JobId) -> Key {
    Key::new().text("ajt").uuid(job.to_bytes())
}

pub(crate) fn archived_of_job_at(job: JobId, finished: Timestamp, task: TaskId) -> Key {
    archived_of_job(job)
        .int(finished.as_millis())
        .uuid(task.to_bytes())
}

pub(crate) fn task_of_archived(key: &[u8]) -> Result<TaskId> {
    let mut parts = Parts::of(key);
    parts.text()?;
    parts.uuid()?;
    parts.int()?;
    Ok(TaskId::from_bytes(parts.uuid()?))
}

/// Archived tasks by the time at which they finished.
pub(crate) fn archived_tasks_by_age() -> Key {
    Key::new().text("tage")
}

pub(crate) fn archived_task_age(finished: Timestamp, task: TaskId) -> Key {
    archived_tasks_by_age()
        .int(finished.as_millis())
        .uuid(task.to_bytes())
}

pub(crate) fn task_of_archived_age(key: &[u8]) -> Result<(Timestamp, TaskId)> {
    let mut parts = Parts::of(key);
    parts.text()?;
    Ok((
        Timestamp::from_millis(parts.int()?),
        TaskId::from_bytes(parts.uuid()?),
    ))
}

/// Archived jobs by the time at which they finished.
pub(crate) fn archive_by_age() -> Key {
    Key::new().text("aage")
}

pub(crate) fn archive_age(finished: Timestamp, job: JobId) -> Key {
    archive_by_age().int(finished.as_millis()).uuid(job.to_bytes())
}

pub(crate) fn job_of_archive_age(key: &[u8]) -> Result<(Timestamp, JobId)> {
    let mut parts = Parts::of(key);
    parts.text()?;
    Ok((
        Timestamp::from_millis(parts.int()?),
        JobId::from_bytes(parts.uuid()?),
    ))
}
