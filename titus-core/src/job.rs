//! Jobs: the record that the store keeps and views hold.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::JobId;
use crate::spec::{Capacity, JobSpec};
use crate::task::ReasonCode;
use crate::time::Timestamp;

/// Where a job is in its life. The numbers are Titus's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum JobState {
    /// It runs, or will.
    Accepted = 0,
    /// Its end was asked for; its tasks are being stopped.
    KillInitiated = 1,
    /// It is over.
    Finished = 2,
}

impl JobState {
    /// The number by which it is stored and sent.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The inverse of [`number`](Self::number).
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Accepted),
            1 => Some(Self::KillInitiated),
            2 => Some(Self::Finished),
            _ => None,
        }
    }

    /// Its name, as `KillInitiated`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::KillInitiated => "KillInitiated",
            Self::Finished => "Finished",
        }
    }
}

/// One entry of a job's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobStatus {
    /// The state entered.
    pub state: JobState,
    /// Why.
    pub reason: ReasonCode,
    /// Why, for people.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// A job: what was asked for, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    /// The job.
    pub id: JobId,
    /// What was asked for, checked.
    pub spec: Arc<JobSpec>,
    /// How many tasks it shall have now. For a batch job min = desired = max = size.
    pub capacity: Capacity,
    /// False while a service job is taken out of service.
    pub enabled: bool,
    /// Where it stands.
    pub status: JobStatus,
    /// Where it stood before, oldest first: at most one entry a state.
    pub history: Vec<JobStatus>,
    /// When it was submitted.
    pub created: Timestamp,
    /// Strictly increasing with every change of this job.
    pub version: u64,
}

impl JobRecord {
    /// A job that was just accepted.
    #[must_use]
    pub fn accepted(id: JobId, spec: Arc<JobSpec>, now: Timestamp) -> Self {
        let status = JobStatus {
            state: JobState::Accepted,
            reason: ReasonCode::Normal,
            message: String::new(),
            at: now,
        };
        let capacity = spec.capacity();
        let enabled = spec.enabled();
        Self {
            id,
            spec,
            capacity,
            enabled,
            status,
            history: Vec::new(),
            created: now,
            version: 1,
        }
    }

    /// Enters a state, keeping the one before in the history.
    pub fn enter(&mut self, state: JobState, reason: ReasonCode, message: &str, now: Timestamp) {
        let next = JobStatus {
            state,
            reason,
            message: message.to_owned(),
            at: now,
        };
        self.history.push(std::mem::replace(&mut self.status, next));
        self.version += 1;
    }
}
