//! Feed entries: which entity changed, with its hot record.

use titus_core::id::{HostId, JobId, TaskId};
use titus_core::task::TaskHot;

use super::job::StoredJob;
use super::{job, task};
use crate::error::{Error, RecordProblem, Result};

/// One entry, as stored. A host's entry names it only: its records are read when the entry is.
#[derive(Debug, Clone)]
pub enum FeedEntry {
    /// A job is new or has changed.
    Job(Box<StoredJob>),
    /// A job was archived.
    JobGone(JobId),
    /// A task is new or has changed.
    Task(Box<TaskHot>),
    /// A task was archived.
    TaskGone(TaskId),
    /// A host is new or has changed.
    Host(HostId),
    /// A host was removed.
    HostGone(HostId),
}

const JOB: u8 = 1;
const JOB_GONE: u8 = 2;
const TASK: u8 = 3;
const TASK_GONE: u8 = 4;
const HOST: u8 = 5;
const HOST_GONE: u8 = 6;

fn entry(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + payload.len());
    bytes.push(kind);
    bytes.extend_from_slice(payload);
    bytes
}

pub(crate) fn of_job(record: &[u8]) -> Vec<u8> {
    entry(JOB, record)
}

pub(crate) fn of_job_gone(id: JobId) -> Vec<u8> {
    entry(JOB_GONE, &id.to_bytes())
}

pub(crate) fn of_task(record: &[u8]) -> Vec<u8> {
    entry(TASK, record)
}

pub(crate) fn of_task_gone(id: TaskId) -> Vec<u8> {
    entry(TASK_GONE, &id.to_bytes())
}

pub(crate) fn of_host(id: HostId) -> Vec<u8> {
    entry(HOST, id.as_str().as_bytes())
}

pub(crate) fn decode(bytes: &[u8]) -> Result<FeedEntry> {
    let (kind, payload) = bytes
        .split_first()
        .ok_or_else(|| problem(RecordProblem::Length(0)))?;
    let uuid = || <[u8; 16]>::try_from(payload).map_err(|_| problem(RecordProblem::Length(payload.len())));
    let host = || {
        let name = std::str::from_utf8(payload)
            .ok()
            .and_then(|name| HostId::new(name).ok());
        name.ok_or_else(|| problem(RecordProblem::Field("host")))
    };
    Ok(match *kind {
        JOB => FeedEntry::Job(Box::new(job::decode(payload)?)),
        JOB_GONE => FeedEntry::JobGone(JobId::from_bytes(uuid()?)),
        TASK => FeedEntry::Task(Box::new(task::decode(payload)?)),
        TASK_GONE => FeedEntry::TaskGone(TaskId::from_bytes(uuid()?)),
        HOST => FeedEntry::Host(host()?),
        HOST_GONE => FeedEntry::HostGone(host()?),
        other => return Err(problem(RecordProblem::Version(other))),
    })
}

const fn problem(problem: RecordProblem) -> Error {
    Error::Record {
        record: "feed entry",
        problem,
    }
}
