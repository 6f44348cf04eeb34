//! `Job`: a job's record as clients see it.

use titus_core::job::{JobRecord, JobState, JobStatus};
use titus_core::time::Timestamp;

use super::request::{capacity, descriptor_from_request};
use crate::v3;

/// Milliseconds since the epoch; moments before it count as 0.
#[must_use]
pub fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(0)
}

/// A job with its capacity and switch as they are now.
#[must_use]
pub fn job_to_proto(job: &JobRecord) -> v3::Job {
    let mut descriptor = descriptor_from_request(job.spec.request());
    if let Some(v3::job_descriptor::JobSpec::Service(service)) = &mut descriptor.job_spec {
        service.capacity = Some(capacity(job.capacity));
        service.enabled = job.enabled;
    }
    v3::Job {
        id: job.id.to_string(),
        job_descriptor: Some(descriptor),
        status: Some(status(&job.status)),
        status_history: job.history.iter().map(status).collect(),
        version: Some(v3::Version {
            timestamp: job.version,
        }),
    }
}

fn status(status: &JobStatus) -> v3::JobStatus {
    v3::JobStatus {
        state: state(status.state).into(),
        reason_code: status.reason.code().to_owned(),
        reason_message: status.message.clone(),
        timestamp: millis(status.at),
    }
}

const fn state(state: JobState) -> v3::job_status::JobState {
    match state {
        JobState::Accepted => v3::job_status::JobState::Accepted,
        JobState::KillInitiated => v3::job_status::JobState::KillInitiated,
        JobState::Finished => v3::job_status::JobState::Finished,
    }
}
