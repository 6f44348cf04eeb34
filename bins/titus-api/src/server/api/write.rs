//! Writes: what is wanted of jobs and tasks. Each answers once it is durable, with the version that shows it.

use std::sync::{Arc, PoisonError};

use pbjson_types::Empty;
use titus_core::id::JobId;
use titus_core::spec::{CapacityUpdate, JobSpec, UpdateRefused, Violations, Warning};
use titus_store::Version;
use titus_store::cluster::{ChangeRefused, Cluster, JobChange, KillRequest, Submission, SubmitRefused};

use super::Api;
use super::find::{job_id, task_id};
use crate::convert::{capacity_request, request_from_descriptor, required};
use crate::server::context::{CallContext, UNKNOWN_CALLER};
use crate::server::error::{ApiError, ErrorKind};
use crate::v3;

/// What a write answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply<T> {
    /// The answer itself.
    pub message: T,
    /// Reads at this version or later see the write.
    pub revision: Version,
    /// What the caller should know of its request.
    pub warnings: Vec<Warning>,
}

impl Reply<Empty> {
    const fn done(revision: Version) -> Self {
        Self {
            message: Empty {},
            revision,
            warnings: Vec::new(),
        }
    }
}

impl Api {
    /// Takes a job in.
    ///
    /// # Errors
    /// A job that breaks rules, with all of them; a sequence that another job has; a store that fails.
    pub async fn create_job(
        &self,
        context: &CallContext,
        descriptor: v3::JobDescriptor,
    ) -> Result<Reply<v3::JobId>, ApiError> {
        let received = request_from_descriptor(descriptor)?;
        let mut request = received.request;
        request
            .attributes
            .retain(|key, _| !GENERATED.iter().any(|prefix| key.starts_with(prefix)));
        if context.caller != UNKNOWN_CALLER {
            request
                .attributes
                .insert("titus.createdBy".to_owned(), context.caller.clone());
            request
                .attributes
                .insert("titus.callReason".to_owned(), context.reason.clone());
        }
        let (spec, found) = JobSpec::parse(request, &self.parts.limits)?;
        let submission = Submission {
            id: self.new_job_id(&spec),
            spec: Arc::new(spec),
            request_key: context.request_id.clone(),
        };
        let submitted = self
            .store(|cluster| async move { cluster.submit(&submission).await })
            .await?;
        let submitted = submitted.map_err(submit_refused)?;
        Ok(Reply {
            message: v3::JobId {
                id: submitted.id.to_string(),
            },
            revision: submitted.version,
            warnings: received.warnings.into_iter().chain(found).collect(),
        })
    }

    fn new_job_id(&self, spec: &JobSpec) -> JobId {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        JobId::generate(self.parts.clock.now(), spec.shard(), &mut rng)
    }

    /// Sets a service job's capacity, all of it.
    ///
    /// # Errors
    /// A job that nobody knows, that is ending or that is no service; a capacity out of order or bounds.
    pub async fn update_job_capacity(
        &self,
        _: &CallContext,
        update: v3::JobCapacityUpdate,
    ) -> Result<Reply<Empty>, ApiError> {
        let id = job_id(&update.job_id)?;
        let all = required(update.capacity, "Capacity").map_err(|v| ApiError::from(Violations(vec![v])))?;
        self.change(id, JobChange::Capacity(capacity_request(all).into()))
            .await
    }

    /// Sets the parts of a service job's capacity that are given.
    ///
    /// # Errors
    /// As for [`update_job_capacity`](Self::update_job_capacity).
    pub async fn update_job_capacity_parts(
        &self,
        _: &CallContext,
        update: v3::JobCapacityUpdateWithOptionalAttributes,
    ) -> Result<Reply<Empty>, ApiError> {
        let id = job_id(&update.job_id)?;
        let parts = update.job_capacity_with_optional_attributes.unwrap_or_default();
        let change = CapacityUpdate {
            min: parts.min.map(|v| v.value),
            desired: parts.desired.map(|v| v.value),
            max: parts.max.map(|v| v.value),
        };
        self.change(id, JobChange::Capacity(change)).await
    }

    /// Takes a service job into service or out of it; its tasks run on.
    ///
    /// # Errors
    /// A job that nobody knows, that is ending or that is no service.
    pub async fn update_job_status(
        &self,
        _: &CallContext,
        update: &v3::JobStatusUpdate,
    ) -> Result<Reply<Empty>, ApiError> {
        self.change(job_id(&update.id)?, JobChange::Enabled(update.enable_status))
            .await
    }

    /// Ends a job with all its tasks.
    ///
    /// # Errors
    /// A job that nobody knows or that is ending already.
    pub async fn kill_job(&self, context: &CallContext, id: &str) -> Result<Reply<Empty>, ApiError> {
        let message = told(context);
        self.change(job_id(id)?, JobChange::Kill { message }).await
    }

    /// Ends a task; its job replaces it unless it shrinks.
    ///
    /// # Errors
    /// A task that nobody knows or that is ending already; a shrink that is not possible.
    pub async fn kill_task(
        &self,
        context: &CallContext,
        kill: &v3::TaskKillRequest,
    ) -> Result<Reply<Empty>, ApiError> {
        let request = KillRequest {
            task: task_id(&kill.task_id)?,
            shrink: kill.shrink,
            keep_min: kill.prevent_min_size_update,
            message: told(context),
        };
        let done = self
            .store(|cluster| async move { cluster.kill_task(&request).await })
            .await?;
        done.map(Reply::done).map_err(|e| change_refused(&e))
    }

    async fn change(&self, id: JobId, change: JobChange) -> Result<Reply<Empty>, ApiError> {
        let limits = self.parts.limits.clone();
        let done = self
            .store(|cluster| async move { cluster.change_job(id, &change, &limits).await })
            .await?;
        done.map(Reply::done).map_err(|e| change_refused(&e))
    }

    /// Runs a write to its end, whether its caller still waits or not: what was begun is not left half known.
    async fn store<T, F>(&self, write: impl FnOnce(Cluster) -> F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: Future<Output = titus_store::Result<T>> + Send + 'static,
    {
        let written = tokio::spawn(write(self.parts.cluster.clone())).await;
        let written = written.map_err(|_| ApiError::new(ErrorKind::Internal, "the write was cut short"))?;
        written.map_err(|e| store_failed(&e))
    }
}

/// Attributes that only servers set: what a client sends under these names is dropped.
const GENERATED: [&str; 5] = [
    "titus.createdBy",
    "titus.callReason",
    "titus.sanitization.",
    "titus.runtimePrediction.",
    "titus.noncompliant",
];

/// Who asked, and why, for the history.
fn told(context: &CallContext) -> String {
    format!("{} ({})", context.caller, context.reason)
}

fn submit_refused(refused: SubmitRefused) -> ApiError {
    match refused {
        SubmitRefused::NameTaken { name, by } => {
            // Titus's clients look for the first words of this text.
            let message = format!("Constraint violation - job with group sequence {name} exists ({by})");
            ApiError::new(ErrorKind::InvalidSequenceId, message)
        }
        other => ApiError::new(ErrorKind::Internal, other.to_string()),
    }
}

fn change_refused(refused: &ChangeRefused) -> ApiError {
    let kind = match refused {
        ChangeRefused::NoJob(_) => ErrorKind::JobNotFound,
        ChangeRefused::NoTask(_) => ErrorKind::TaskNotFound,
        ChangeRefused::JobEnding(..) | ChangeRefused::Rules(UpdateRefused::NotAccepted(_)) => {
            ErrorKind::JobTerminating
        }
        ChangeRefused::TaskEnding(..) => ErrorKind::TaskTerminating,
        ChangeRefused::Rules(UpdateRefused::NotService) => ErrorKind::NotServiceJob,
        ChangeRefused::Rules(UpdateRefused::AtMinimum { .. }) => ErrorKind::TerminateAndShrinkNotAllowed,
        ChangeRefused::Rules(UpdateRefused::Capacity(violations)) => {
            let error = ApiError::from(violations.clone());
            return ApiError {
                kind: ErrorKind::InvalidDesiredCapacity,
                ..error
            };
        }
        ChangeRefused::Rules(_) => ErrorKind::InvalidDesiredCapacity,
        _ => ErrorKind::Internal,
    };
    ApiError::new(kind, refused.to_string())
}

/// A store that does not answer as it should: logged with its cause, told without.
pub(super) fn store_failed(error: &titus_store::Error) -> ApiError {
    use titus_store::Error;
    let source = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(%error, source, "the store failed a call");
    match error {
        Error::Conflict(_) => ApiError::new(
            ErrorKind::NotReady,
            "too many writers at once, nothing was done: try again",
        ),
        Error::Unknown => ApiError::new(
            ErrorKind::NotReady,
            "it is not known whether it was done: look before you try again",
        ),
        Error::Backend { .. } => ApiError::new(
            ErrorKind::NotReady,
            "the store does not work: see the server's log",
        ),
        other => ApiError::new(ErrorKind::Internal, other.to_string()),
    }
}

/// What to use instead of a call that is in the contract and not offered.
pub(crate) fn unoffered(call: &str) -> &'static str {
    match call {
        "UpdateJobProcesses" | "UpdateJobDisruptionBudget" => "set it in the job and create the job anew",
        "UpdateJobAttributes" | "DeleteJobAttributes" => "set attributes in the job and create the job anew",
        "UpdateTaskAttributes" | "DeleteTaskAttributes" => {
            "tasks have no attributes of their own here: use the job's"
        }
        "MoveTask" => "create the target job with the capacity wanted and shrink the source",
        "ObserveJobsWithKeepAlive" => "use ObserveJobs",
        _ => "see the compatibility table",
    }
}
