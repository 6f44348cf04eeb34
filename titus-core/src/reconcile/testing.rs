use std::sync::Arc;

use crate::id::{HostId, JobId, PlanId, TaskId};
use crate::job::JobRecord;
use crate::rng::{Rng, RngTree};
use crate::spec::{
    BatchRequest, Capacity, DelayedRetry, JobRequest, JobSpec, Limits, RetryRequest, ServiceRequest,
};
use crate::task::{self, ReasonCode, TaskHot, TaskState};
use crate::time::Timestamp;

pub(super) const T0: Timestamp = Timestamp::from_millis(1_000_000);

fn request() -> JobRequest {
    let mut request = JobRequest {
        application_name: "app".into(),
        ..JobRequest::default()
    };
    request.owner.team_email = "you@example.com".into();
    request.container.image.name = "host".into();
    request
}

fn accepted(request: JobRequest) -> JobRecord {
    let (spec, _) = JobSpec::parse(request, &Limits::dev()).unwrap();
    JobRecord::accepted(JobId::from_bytes([1; 16]), Arc::new(spec), T0)
}

pub(super) fn batch(size: u32, retries: u32) -> JobRecord {
    let mut request = request();
    request.batch = Some(BatchRequest {
        size,
        runtime_limit_sec: 600,
        retry_policy: RetryRequest {
            delayed: Some(DelayedRetry {
                delay_ms: 2_000,
                retries,
            }),
            ..RetryRequest::default()
        },
        ..BatchRequest::default()
    });
    accepted(request)
}

pub(super) fn service(desired: u32) -> JobRecord {
    let mut request = request();
    request.service = Some(ServiceRequest {
        capacity: Capacity {
            min: 0,
            desired,
            max: 500,
        },
        ..ServiceRequest::default()
    });
    accepted(request)
}

pub(super) fn rng() -> Rng {
    RngTree::new(1).child("test")
}

pub(super) fn host(n: u8) -> HostId {
    HostId::new(&format!("h{n}")).unwrap()
}

pub(super) fn id(n: u8) -> TaskId {
    TaskId::from_bytes([n; 16])
}

/// A task of slot `n`, queued at the epoch of the tests.
pub(super) fn waiting(job: &JobRecord, n: u8) -> TaskHot {
    TaskHot::accepted(id(n), job.id, u32::from(n), T0)
}

pub(super) fn launched(job: &JobRecord, n: u8, on: u8) -> TaskHot {
    task::place(&waiting(job, n), PlanId::from_bytes([9; 16]), host(on), T0).unwrap()
}

pub(super) fn started(job: &JobRecord, n: u8, on: u8) -> TaskHot {
    let mut task = launched(job, n, on);
    task.state = TaskState::Started;
    task.times.started = Some(T0);
    task
}

pub(super) fn finished(job: &JobRecord, n: u8, reason: ReasonCode, at: Timestamp) -> TaskHot {
    let mut task = started(job, n, 1);
    task.state = TaskState::Finished;
    task.reason = reason;
    task.times.finished = Some(at);
    task
}
