//! From a request to a checked job.

use std::sync::Arc;

use super::digest::digest;
use super::launch::{HostVolume, LaunchSpec};
use super::limits::Limits;
use super::request::{
    BackOffRetry, BatchRequest, Capacity, ContainerRequest, DelayedRetry, JobRequest, RetryRequest,
    ServiceRequest,
};
use super::rules;
use super::spec::{BatchSpec, JobKind, JobSpec, RetryPolicy, ServiceSpec};
use super::violation::{Violations, Warning};
use crate::resources::Resources;
use crate::shard::{DEFAULT_GROUP, ShardId};
use crate::time::Millis;

impl JobSpec {
    /// Checks a request and fills in what it leaves open. Nothing is changed without a [`Warning`], and parsing the
    /// [`request`](Self::request) of the result again changes nothing.
    ///
    /// ```
    /// use titus_core::spec::{BatchRequest, JobRequest, JobSpec, Limits};
    ///
    /// let mut request = JobRequest::default();
    /// request.application_name = "count".into();
    /// request.container.image.name = "host".into();
    /// request.batch = Some(BatchRequest { size: 4, ..Default::default() });
    ///
    /// let violations = JobSpec::parse(request.clone(), &Limits::dev()).unwrap_err();
    /// assert_eq!(violations.0[0].field, "owner.teamEmail");
    ///
    /// request.owner.team_email = "you@example.com".into();
    /// let (spec, warnings) = JobSpec::parse(request, &Limits::dev())?;
    /// assert_eq!(spec.resources().memory_mb, 64);
    /// assert!(warnings.iter().any(|w| w.field == "container.resources.memoryMB"));
    /// # Ok::<(), titus_core::spec::Violations>(())
    /// ```
    ///
    /// There is no other way to a job of one's own making:
    ///
    /// ```compile_fail,E0451
    /// use titus_core::spec::{JobRequest, JobSpec};
    ///
    /// fn forge(good: JobSpec) -> JobSpec {
    ///     JobSpec { request: JobRequest::default(), ..good }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Violations`]: everything that is wrong with the request, at once.
    pub fn parse(mut request: JobRequest, limits: &Limits) -> Result<(Self, Vec<Warning>), Violations> {
        let found = rules::apply(&mut request, limits);
        if found.violations.is_empty() {
            Ok((Self::build(request), found.warnings))
        } else {
            Err(Violations(found.violations))
        }
    }

    /// Takes a request that was accepted before as it is, and tells what is wrong with it: bad data in a store is
    /// reported and never stops a start. Limits do not apply; a capacity out of order is put in order.
    #[must_use]
    pub fn from_stored(request: JobRequest) -> (Self, Violations) {
        let found = rules::apply(&mut request.clone(), &Limits::unbounded());
        (Self::build(request), Violations(found.violations))
    }

    /// Total: whatever the request says, there is a job for it.
    fn build(mut request: JobRequest) -> Self {
        if request.capacity_group.is_empty() {
            DEFAULT_GROUP.clone_into(&mut request.capacity_group);
        }
        let kind = match (&request.batch, &request.service) {
            (Some(batch), _) => JobKind::Batch(batch_spec(batch)),
            (None, Some(service)) => JobKind::Service(service_spec(service)),
            (None, None) => JobKind::Service(service_spec(&ServiceRequest::default())),
        };
        let launch = launch_spec(&request);
        Self {
            shard: ShardId::of_job(&request.capacity_group, &request.application_name),
            kind,
            digest: digest(&launch),
            launch: Arc::new(launch),
            request,
        }
    }
}

const fn batch_spec(batch: &BatchRequest) -> BatchSpec {
    BatchSpec {
        size: batch.size,
        runtime_limit: Millis::from_secs(batch.runtime_limit_sec),
        retry: retry_policy(&batch.retry_policy),
        retry_on_runtime_limit: batch.retry_on_runtime_limit,
    }
}

fn service_spec(service: &ServiceRequest) -> ServiceSpec {
    let Capacity { min, desired, max } = service.capacity;
    let max = max.max(min);
    ServiceSpec {
        capacity: Capacity {
            min,
            desired: desired.clamp(min, max),
            max,
        },
        enabled: service.enabled,
        retry: retry_policy(&service.retry_policy),
        processes: service.service_job_processes,
    }
}

const fn retry_policy(policy: &RetryRequest) -> RetryPolicy {
    match policy {
        RetryRequest {
            exponential_back_off:
                Some(BackOffRetry {
                    initial_delay_ms,
                    max_delay_interval_ms,
                    retries,
                }),
            ..
        } => RetryPolicy::BackOff {
            initial: Millis(*initial_delay_ms),
            max: Millis(*max_delay_interval_ms),
            retries: *retries,
        },
        RetryRequest {
            delayed: Some(DelayedRetry { delay_ms, retries }),
            ..
        } => RetryPolicy::Delayed {
            delay: Millis(*delay_ms),
            retries: *retries,
        },
        RetryRequest {
            immediate: Some(immediate),
            ..
        } => RetryPolicy::Immediate {
            retries: immediate.retries,
        },
        _ => RetryPolicy::Immediate { retries: 0 },
    }
}

fn launch_spec(request: &JobRequest) -> LaunchSpec {
    let container = &request.container;
    LaunchSpec {
        application: request.application_name.clone(),
        image: container.image.clone(),
        entry_point: container.entry_point.clone(),
        command: container.command.clone(),
        env: container.env.clone(),
        resources: resources(container),
        shm_mb: container.resources.shm_size_mb.into(),
        volumes: container
            .volumes
            .iter()
            .map(|v| HostVolume {
                host_path: v.host_path.clone(),
                mount_path: v.mount_path.clone(),
            })
            .collect(),
        grace: rules::grace(container),
    }
}

fn resources(container: &ContainerRequest) -> Resources {
    let asked = &container.resources;
    Resources {
        cpu_milli: rules::cpu_milli(asked.cpu).unwrap_or(0),
        memory_mb: asked.memory_mb.into(),
        disk_mb: asked.disk_mb.into(),
        network_mbps: asked.network_mbps.into(),
        addresses: 1,
        gpu: asked.gpu.into(),
    }
}
