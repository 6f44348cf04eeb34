//! Changes to a job that runs already, as values: what it would become, or why not.

use super::findings::Findings;
use super::limits::Limits;
use super::request::Capacity;
use super::rules;
use super::spec::{JobKind, ServiceSpec};
use super::violation::Violations;
use crate::job::{JobRecord, JobState};

/// The parts of a capacity that a client wants changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapacityUpdate {
    /// The new minimum.
    pub min: Option<u32>,
    /// The new number of tasks.
    pub desired: Option<u32>,
    /// The new maximum.
    pub max: Option<u32>,
}

impl From<Capacity> for CapacityUpdate {
    fn from(all: Capacity) -> Self {
        Self {
            min: Some(all.min),
            desired: Some(all.desired),
            max: Some(all.max),
        }
    }
}

/// Why a running job cannot be changed as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateRefused {
    /// Only a service job can be changed so.
    #[error("the job is a batch job: only a service job can be changed so")]
    NotService,
    /// The job is ending or has ended.
    #[error("the job is {}: only an Accepted job can be changed", .0.name())]
    NotAccepted(JobState),
    /// `serviceJobProcesses` forbids it.
    #[error("the job's serviceJobProcesses.{0} is set: clear it first")]
    Guarded(&'static str),
    /// The capacity would not be in order or in bounds.
    #[error("the capacity cannot be set")]
    Capacity(#[source] Violations),
    /// There is no smaller size without lowering the minimum, which the caller forbade.
    #[error(
        "the job has {desired} task(s) and a minimum of {min}: lower the minimum first, or let it follow"
    )]
    AtMinimum {
        /// How many tasks the job has.
        desired: u32,
        /// The fewest that it may have.
        min: u32,
    },
}

/// The capacity that an update leads to; the job's own where it changes nothing.
///
/// Where `desired` is not given it follows a minimum that rises above it and a maximum that falls below it.
///
/// # Errors
/// [`UpdateRefused`] for a batch job, a job that is ending, a guard, or a capacity out of order or bounds. A maximum
/// is held against the limits when it rises: a limit that was lowered later stops nobody from shrinking.
pub fn set_capacity(
    job: &JobRecord,
    update: CapacityUpdate,
    limits: &Limits,
) -> Result<Capacity, UpdateRefused> {
    let service = running_service(job)?;
    let next = followed(job.capacity, update);
    let mut found = Findings::default();
    if next.max > job.capacity.max {
        rules::capacity(next, limits, &mut found);
    } else {
        rules::capacity(next, &Limits::unbounded(), &mut found);
    }
    if !found.violations.is_empty() {
        return Err(UpdateRefused::Capacity(Violations(found.violations)));
    }
    guarded(service, job.capacity.desired, next.desired)?;
    Ok(next)
}

/// The capacity after one task is stopped for good: desired falls by one, and the minimum follows if it has to.
///
/// # Errors
/// [`UpdateRefused`] as for [`set_capacity`], and [`UpdateRefused::AtMinimum`] with `keep_min` where only a lower
/// minimum would do.
pub fn shrink(job: &JobRecord, keep_min: bool) -> Result<Capacity, UpdateRefused> {
    let service = running_service(job)?;
    let Capacity { min, desired, max } = job.capacity;
    if keep_min && desired <= min {
        return Err(UpdateRefused::AtMinimum { desired, min });
    }
    let smaller = desired.saturating_sub(1);
    guarded(service, desired, smaller)?;
    Ok(Capacity {
        min: min.min(smaller),
        desired: smaller,
        max,
    })
}

/// Whether a job may be taken into or out of service.
///
/// # Errors
/// [`UpdateRefused`] for a batch job or one that is ending.
pub fn check_enable(job: &JobRecord) -> Result<(), UpdateRefused> {
    running_service(job).map(|_| ())
}

fn running_service(job: &JobRecord) -> Result<&ServiceSpec, UpdateRefused> {
    match (job.spec.kind(), job.status.state) {
        (JobKind::Batch(_), _) => Err(UpdateRefused::NotService),
        (JobKind::Service(service), JobState::Accepted) => Ok(service),
        (JobKind::Service(_), state) => Err(UpdateRefused::NotAccepted(state)),
    }
}

fn followed(now: Capacity, update: CapacityUpdate) -> Capacity {
    let min = update.min.unwrap_or(now.min);
    let max = update.max.unwrap_or(now.max);
    let raised = if update.min.is_some() {
        now.desired.max(min)
    } else {
        now.desired
    };
    let lowered = if update.max.is_some() {
        raised.min(max)
    } else {
        raised
    };
    Capacity {
        min,
        desired: update.desired.unwrap_or(lowered),
        max,
    }
}

fn guarded(service: &ServiceSpec, from: u32, to: u32) -> Result<(), UpdateRefused> {
    if to > from && service.processes.disable_increase_desired {
        Err(UpdateRefused::Guarded("disableIncreaseDesired"))
    } else if to < from && service.processes.disable_decrease_desired {
        Err(UpdateRefused::Guarded("disableDecreaseDesired"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::id::JobId;
    use crate::spec::{BatchRequest, JobRequest, JobSpec, Limit, ServiceProcesses, ServiceRequest};
    use crate::task::ReasonCode;
    use crate::time::Timestamp;

    const fn capacity(min: u32, desired: u32, max: u32) -> Capacity {
        Capacity { min, desired, max }
    }

    const fn update(min: Option<u32>, desired: Option<u32>, max: Option<u32>) -> CapacityUpdate {
        CapacityUpdate { min, desired, max }
    }

    fn record(request: JobRequest) -> JobRecord {
        let (spec, _) = JobSpec::from_stored(request);
        JobRecord::accepted(JobId::from_bytes([1; 16]), Arc::new(spec), Timestamp::EPOCH)
    }

    fn service(capacity: Capacity, service_job_processes: ServiceProcesses) -> JobRecord {
        record(JobRequest {
            service: Some(ServiceRequest {
                capacity,
                service_job_processes,
                ..ServiceRequest::default()
            }),
            ..JobRequest::default()
        })
    }

    fn job(min: u32, desired: u32, max: u32) -> JobRecord {
        service(capacity(min, desired, max), ServiceProcesses::default())
    }

    #[test]
    fn desired_follows_a_bound_that_passes_it_and_is_never_moved_when_given() {
        let set = |update| set_capacity(&job(2, 5, 10), update, &Limits::dev()).ok();
        assert_eq!(set(update(None, None, None)), Some(capacity(2, 5, 10)));
        assert_eq!(set(update(Some(7), None, None)), Some(capacity(7, 7, 10)));
        assert_eq!(set(update(Some(3), None, None)), Some(capacity(3, 5, 10)));
        assert_eq!(set(update(None, None, Some(4))), Some(capacity(2, 4, 4)));
        assert_eq!(set(update(None, Some(9), None)), Some(capacity(2, 9, 10)));
        assert_eq!(set(update(Some(0), Some(0), Some(0))), Some(capacity(0, 0, 0)));
        assert_eq!(set(update(Some(12), None, Some(20))), Some(capacity(12, 12, 20)));
        assert_eq!(
            set(CapacityUpdate::from(capacity(1, 2, 3))),
            Some(capacity(1, 2, 3))
        );
        for refused in [
            update(Some(11), None, None),
            update(None, None, Some(1)),
            update(None, Some(11), None),
            update(None, Some(1), None),
            update(Some(7), Some(5), None),
            update(None, Some(5), Some(4)),
            update(Some(4), None, Some(3)),
        ] {
            assert_eq!(set(refused), None, "{refused:?}");
        }
    }

    #[test]
    fn a_maximum_is_held_against_the_limit_only_when_it_rises() {
        let tight = Limits::dev().with_maximum(Limit::ServiceSize, 8);
        let set = |update| set_capacity(&job(2, 5, 10), update, &tight);
        assert!(set(update(None, Some(3), None)).is_ok());
        assert!(set(update(None, None, Some(9))).is_ok());
        let Err(UpdateRefused::Capacity(violations)) = set(update(None, None, Some(11))) else {
            panic!("11 is over the limit")
        };
        assert_eq!(violations.0[0].field, "service.capacity.max");
    }

    #[test]
    fn guards_refuse_their_direction_alone() {
        let up = ServiceProcesses {
            disable_increase_desired: true,
            ..ServiceProcesses::default()
        };
        let down = ServiceProcesses {
            disable_decrease_desired: true,
            ..ServiceProcesses::default()
        };
        let set =
            |processes, update| set_capacity(&service(capacity(2, 5, 10), processes), update, &Limits::dev());
        let increase = Err(UpdateRefused::Guarded("disableIncreaseDesired"));
        let decrease = Err(UpdateRefused::Guarded("disableDecreaseDesired"));
        assert_eq!(set(up, update(None, Some(6), None)), increase);
        assert_eq!(set(up, update(Some(6), None, None)), increase);
        assert!(set(up, update(None, Some(4), None)).is_ok());
        assert_eq!(set(down, update(None, Some(4), None)), decrease);
        assert!(set(down, update(None, Some(6), None)).is_ok());
        assert_eq!(shrink(&service(capacity(2, 5, 10), down), false), decrease);
        assert!(shrink(&service(capacity(2, 5, 10), up), false).is_ok());
    }

    #[test]
    fn shrinking_takes_the_minimum_along_unless_forbidden() {
        assert_eq!(shrink(&job(2, 5, 10), true), Ok(capacity(2, 4, 10)));
        assert_eq!(shrink(&job(5, 5, 10), false), Ok(capacity(4, 4, 10)));
        assert_eq!(
            shrink(&job(5, 5, 10), true),
            Err(UpdateRefused::AtMinimum { desired: 5, min: 5 })
        );
        assert_eq!(shrink(&job(0, 0, 10), false), Ok(capacity(0, 0, 10)));
    }

    #[test]
    fn only_a_service_that_runs_can_be_changed() {
        let batch = record(JobRequest {
            batch: Some(BatchRequest {
                size: 2,
                ..BatchRequest::default()
            }),
            ..JobRequest::default()
        });
        let mut ending = job(2, 5, 10);
        ending.enter(JobState::KillInitiated, ReasonCode::Killed, "", Timestamp::EPOCH);
        for (job, refused) in [
            (batch, UpdateRefused::NotService),
            (ending, UpdateRefused::NotAccepted(JobState::KillInitiated)),
        ] {
            let all = CapacityUpdate::default();
            assert_eq!(set_capacity(&job, all, &Limits::dev()), Err(refused.clone()));
            assert_eq!(shrink(&job, false), Err(refused.clone()));
            assert_eq!(check_enable(&job), Err(refused));
        }
        assert_eq!(check_enable(&job(1, 1, 1)), Ok(()));
    }
}
