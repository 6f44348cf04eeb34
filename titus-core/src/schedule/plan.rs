use std::fmt;
use std::sync::Arc;

use crate::id::{HostId, JobId, PlanId, TaskId};
use crate::job::JobRecord;
use crate::resources::{ResourceKind, Resources};
use crate::time::Timestamp;

/// A task that waits for a host.
#[derive(Debug, Clone)]
pub struct PendingTask {
    /// The task.
    pub task: TaskId,
    /// Its job.
    pub job: Arc<JobRecord>,
    /// Since when it waits.
    pub since: Timestamp,
}

/// One task given one host: a proposal until the store has committed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// The task.
    pub task: TaskId,
    /// Its job.
    pub job: JobId,
    /// The host.
    pub host: HostId,
    /// What it takes there.
    pub resources: Resources,
    /// The generation of the host's desired state that the planner saw.
    pub host_generation: u64,
}

/// A task that found no host, and why.
#[derive(Debug, Clone)]
pub struct Unplaced {
    /// The task.
    pub task: TaskId,
    /// Its job.
    pub job: JobId,
    /// Why: the counts of all filters and of feasible hosts add up to the hosts seen.
    pub report: Arc<super::PlacementReport>,
}

/// What one round decided. Never changed once made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its id, by which a commit recognises its own work.
    pub id: PlanId,
    /// Who goes where.
    pub placements: Vec<Placement>,
    /// Who found no host.
    pub unplaced: Vec<Unplaced>,
}

/// Why a commit refused a placement that a plan proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RefusalReason {
    /// The host is gone, silent or draining.
    HostUnavailable,
    /// The host has no room left for it.
    NoRoom(ResourceKind),
    /// The task is not waiting any more: it was killed, or placed by another plan.
    TaskNotWaiting,
    /// The transaction conflicted more often than the commit retries.
    Contended,
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostUnavailable => f.write_str("the host takes no tasks any more"),
            Self::NoRoom(kind) => write!(f, "the host has too little {kind} left"),
            Self::TaskNotWaiting => f.write_str("the task does not wait any more"),
            Self::Contended => f.write_str("too many plans wrote to the host at once"),
        }
    }
}

/// A placement that a commit refused; the task returns to the queue unless it does not wait any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// What was refused.
    pub placement: Placement,
    /// Why.
    pub reason: RefusalReason,
}
