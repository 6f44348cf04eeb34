//! A job's record: all of it but the request, which never changes and is kept beside it.

use std::sync::Arc;

use titus_core::id::JobId;
use titus_core::job::{JobRecord, JobState, JobStatus};
use titus_core::spec::{Capacity, JobSpec};
use titus_core::task::ReasonCode;
use titus_core::time::Timestamp;

use crate::codec::{decode_message, encode_message};
use crate::error::{Error, RecordProblem, Result};

const VERSION: u8 = 1;

#[derive(Clone, PartialEq, prost::Message)]
struct JobRow {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(uint32, tag = "2")]
    min: u32,
    #[prost(uint32, tag = "3")]
    desired: u32,
    #[prost(uint32, tag = "4")]
    max: u32,
    #[prost(bool, tag = "5")]
    enabled: bool,
    #[prost(message, repeated, tag = "6")]
    statuses: Vec<StatusRow>,
    #[prost(int64, tag = "7")]
    created: i64,
    #[prost(uint64, tag = "8")]
    version: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StatusRow {
    #[prost(uint32, tag = "1")]
    state: u32,
    #[prost(uint32, tag = "2")]
    reason: u32,
    #[prost(string, tag = "3")]
    message: String,
    #[prost(int64, tag = "4")]
    at: i64,
}

/// A job's record before it is put together with its request.
#[derive(Debug, Clone)]
pub struct StoredJob(JobRow);

/// Writes the record.
#[must_use]
pub fn encode(job: &JobRecord) -> bytes::Bytes {
    let status = |s: &JobStatus| StatusRow {
        state: s.state.number().into(),
        reason: s.reason.number().into(),
        message: s.message.clone(),
        at: s.at.as_millis(),
    };
    let row = JobRow {
        id: job.id.to_bytes().to_vec(),
        min: job.capacity.min,
        desired: job.capacity.desired,
        max: job.capacity.max,
        enabled: job.enabled,
        statuses: job.history.iter().chain([&job.status]).map(status).collect(),
        created: job.created.as_millis(),
        version: job.version,
    };
    encode_message(VERSION, &row)
}

/// Reads the record.
///
/// # Errors
/// [`Error::Record`] when it is damaged or of an unknown version.
pub fn decode(bytes: &[u8]) -> Result<StoredJob> {
    let row: JobRow = decode_message("job", VERSION, bytes)?;
    if row.id.len() != 16 {
        return Err(invalid("id"));
    }
    if row.statuses.is_empty() {
        return Err(invalid("status"));
    }
    Ok(StoredJob(row))
}

const fn invalid(field: &'static str) -> Error {
    Error::Record {
        record: "job",
        problem: RecordProblem::Field(field),
    }
}

impl StoredJob {
    /// The job.
    #[must_use]
    pub fn id(&self) -> JobId {
        JobId::from_bytes(<[u8; 16]>::try_from(self.0.id.as_slice()).unwrap_or_default())
    }

    /// Puts the record together with its checked request.
    ///
    /// # Errors
    /// [`Error::Record`] when a field holds a value that cannot be.
    pub fn with(self, spec: Arc<JobSpec>) -> Result<JobRecord> {
        let id = self.id();
        let mut history = self
            .0
            .statuses
            .into_iter()
            .map(status)
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| invalid("status"))?;
        let current = history.pop().ok_or_else(|| invalid("status"))?;
        Ok(JobRecord {
            id,
            spec,
            capacity: Capacity {
                min: self.0.min,
                desired: self.0.desired,
                max: self.0.max,
            },
            enabled: self.0.enabled,
            status: current,
            history,
            created: Timestamp::from_millis(self.0.created),
            version: self.0.version,
        })
    }
}

fn status(row: StatusRow) -> Option<JobStatus> {
    Some(JobStatus {
        state: JobState::from_number(u8::try_from(row.state).ok()?)?,
        reason: ReasonCode::from_number(u8::try_from(row.reason).ok()?)?,
        message: row.message,
        at: Timestamp::from_millis(row.at),
    })
}
