//! What a feed carries and a view applies: each entity's newest record, or that it is gone.

use std::sync::Arc;

use crate::host::HostRecord;
use crate::id::{HostId, JobId, TaskId};
use crate::job::JobRecord;
use crate::task::TaskHot;

/// One change of the cluster's state. Applying the same one twice changes nothing.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "tasks are the bulk of a feed: a box each would cost more than the room"
)]
pub enum Change {
    /// A job is new or has changed.
    Job(Arc<JobRecord>),
    /// A job was archived.
    JobGone(JobId),
    /// A task is new or has changed.
    Task(TaskHot),
    /// A task was archived.
    TaskGone(TaskId),
    /// A host is new or has changed.
    Host(Arc<HostRecord>),
    /// A host was removed.
    HostGone(HostId),
}
