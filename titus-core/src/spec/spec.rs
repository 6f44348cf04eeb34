use std::sync::Arc;

use super::launch::LaunchSpec;
use super::request::{Capacity, JobGroupInfo, JobRequest, ServiceProcesses};
use crate::id::SpecDigest;
use crate::resources::Resources;
use crate::shard::ShardId;
use crate::time::Millis;

/// When and how often a failed task is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryPolicy {
    /// At once.
    Immediate {
        /// How often.
        retries: u32,
    },
    /// After a fixed delay.
    Delayed {
        /// The delay.
        delay: Millis,
        /// How often.
        retries: u32,
    },
    /// After a delay that doubles up to a limit.
    BackOff {
        /// The first delay.
        initial: Millis,
        /// The longest delay.
        max: Millis,
        /// How often.
        retries: u32,
    },
}

/// A batch job's own part, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSpec {
    /// How many tasks it has.
    pub size: u32,
    /// How long one may run.
    pub runtime_limit: Millis,
    /// What happens when one fails.
    pub retry: RetryPolicy,
    /// True to retry a task that ran too long.
    pub retry_on_runtime_limit: bool,
}

/// A service job's own part, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceSpec {
    /// How many tasks it has at first.
    pub capacity: Capacity,
    /// In service at first.
    pub enabled: bool,
    /// The pace at which tasks are replaced; the limit is not applied.
    pub retry: RetryPolicy,
    /// Guards against scaling.
    pub processes: ServiceProcesses,
}

/// Which of the two kinds of job it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// Its tasks end by themselves.
    Batch(BatchSpec),
    /// Its tasks stay until they are stopped.
    Service(ServiceSpec),
}

/// A job that was checked: only [`JobSpec::parse`] and [`JobSpec::from_stored`] make one.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSpec {
    pub(super) request: JobRequest,
    pub(super) shard: ShardId,
    pub(super) kind: JobKind,
    pub(super) launch: Arc<LaunchSpec>,
    pub(super) digest: SpecDigest,
}

impl Eq for JobSpec {}

impl JobSpec {
    /// The request as accepted, with defaults filled in.
    #[must_use]
    pub const fn request(&self) -> &JobRequest {
        &self.request
    }

    /// Batch or service.
    #[must_use]
    pub const fn kind(&self) -> &JobKind {
        &self.kind
    }

    /// The owner's e-mail address.
    #[must_use]
    pub fn owner_email(&self) -> &str {
        &self.request.owner.team_email
    }

    /// The application.
    #[must_use]
    pub fn application(&self) -> &str {
        &self.request.application_name
    }

    /// The capacity group, never empty.
    #[must_use]
    pub fn capacity_group(&self) -> &str {
        &self.request.capacity_group
    }

    /// The naming triple.
    #[must_use]
    pub const fn group_info(&self) -> &JobGroupInfo {
        &self.request.job_group_info
    }

    /// The key that is unique among active jobs, where the job has a sequence: `app-stack-detail-sequence`.
    #[must_use]
    pub fn unique_name(&self) -> Option<String> {
        let JobGroupInfo {
            stack,
            detail,
            sequence,
        } = self.group_info();
        (!sequence.is_empty()).then(|| format!("{}-{stack}-{detail}-{sequence}", self.application()))
    }

    /// The shard that the job lives in.
    #[must_use]
    pub const fn shard(&self) -> ShardId {
        self.shard
    }

    /// What a host needs to run one task.
    #[must_use]
    pub const fn launch(&self) -> &Arc<LaunchSpec> {
        &self.launch
    }

    /// The digest of [`launch`](Self::launch).
    #[must_use]
    pub const fn digest(&self) -> SpecDigest {
        self.digest
    }

    /// What one task asks for.
    #[must_use]
    pub fn resources(&self) -> Resources {
        self.launch.resources
    }

    /// How many tasks the job starts with.
    #[must_use]
    pub const fn capacity(&self) -> Capacity {
        match &self.kind {
            JobKind::Batch(batch) => Capacity {
                min: batch.size,
                desired: batch.size,
                max: batch.size,
            },
            JobKind::Service(service) => service.capacity,
        }
    }

    /// In service at first; a batch job always is.
    #[must_use]
    pub const fn enabled(&self) -> bool {
        match &self.kind {
            JobKind::Batch(_) => true,
            JobKind::Service(service) => service.enabled,
        }
    }

    /// What happens when a task fails.
    #[must_use]
    pub const fn retry(&self) -> RetryPolicy {
        match &self.kind {
            JobKind::Batch(batch) => batch.retry,
            JobKind::Service(service) => service.retry,
        }
    }
}
