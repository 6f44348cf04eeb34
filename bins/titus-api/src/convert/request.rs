//! `JobDescriptor` and `JobRequest`: the same names, except where Titus's message has more.

use std::collections::BTreeMap;

use titus_core::spec::{
    BackOffRetry, BatchRequest, Capacity, ConstraintsRequest, ContainerRequest, DelayedRetry, ImageRequest,
    ImmediateRetry, JobGroupInfo, JobRequest, OwnerRequest, ResourcesRequest, RetryRequest, Secret,
    SecurityProfileRequest, ServiceProcesses, ServiceRequest, Violation, Violations, VolumeRequest, Warning,
    WarningKind,
};

use super::malformed;
use crate::v3;

/// A container attribute `titusParameter.agent.hostVolume.<path in the container>` with the path on the host as its
/// value is a read-only host volume: Titus's messages have no field for one.
pub const HOST_VOLUME: &str = "titusParameter.agent.hostVolume.";

/// What a request asks for, and what of it will have no effect.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Received {
    /// The request, to be checked by `JobSpec::parse`.
    pub request: JobRequest,
    /// Fields that were given and do nothing.
    pub warnings: Vec<Warning>,
}

/// Takes a descriptor as a client sends it.
///
/// # Errors
/// The fields without which the job would not be what was asked for and which are not offered.
pub fn request_from_descriptor(job: v3::JobDescriptor) -> Result<Received, Violations> {
    let refused = refused_fields(&job);
    if !refused.is_empty() {
        return Err(Violations(refused));
    }
    let warnings = ignored_fields(&job);
    let (batch, service) = match job.job_spec {
        Some(v3::job_descriptor::JobSpec::Batch(batch)) => (Some(batch_request(batch)), None),
        Some(v3::job_descriptor::JobSpec::Service(service)) => (None, Some(service_request(service))),
        None => (None, None),
    };
    let request = JobRequest {
        owner: OwnerRequest {
            team_email: job.owner.unwrap_or_default().team_email,
        },
        application_name: job.application_name,
        capacity_group: job.capacity_group,
        job_group_info: group_info(job.job_group_info.unwrap_or_default()),
        attributes: job.attributes,
        container: container_request(job.container.unwrap_or_default()),
        batch,
        service,
    };
    Ok(Received { request, warnings })
}

/// The descriptor of a request: what a client sends, and what it is shown back.
#[must_use]
pub fn descriptor_from_request(request: &JobRequest) -> v3::JobDescriptor {
    use v3::job_descriptor::JobSpec;
    let batch = request.batch.as_ref().map(|b| JobSpec::Batch(batch_spec(b)));
    let service = request
        .service
        .as_ref()
        .map(|s| JobSpec::Service(service_spec(s)));
    v3::JobDescriptor {
        owner: Some(v3::Owner {
            team_email: request.owner.team_email.clone(),
        }),
        application_name: request.application_name.clone(),
        capacity_group: request.capacity_group.clone(),
        job_group_info: Some(v3::JobGroupInfo {
            stack: request.job_group_info.stack.clone(),
            detail: request.job_group_info.detail.clone(),
            sequence: request.job_group_info.sequence.clone(),
        }),
        attributes: request.attributes.clone(),
        container: Some(container(&request.container)),
        job_spec: batch.or(service),
        ..Default::default()
    }
}

/// Fields that change what a task sees: a job without them would be another job.
fn refused_fields(job: &v3::JobDescriptor) -> Vec<Violation> {
    let container = job.container.clone().unwrap_or_default();
    let resources = container.resources.clone().unwrap_or_default();
    let expression = |c: &Option<v3::Constraints>| c.as_ref().is_some_and(|c| !c.expression.is_empty());
    let given = [
        ("container.resources.efsMounts", !resources.efs_mounts.is_empty()),
        (
            "container.resources.signedAddressAllocations",
            !resources.signed_address_allocations.is_empty(),
        ),
        (
            "container.resources.staticIPAddresses",
            resources.static_ip_addresses.is_some(),
        ),
        (
            "container.hardConstraints.expression",
            expression(&container.hard_constraints),
        ),
        ("container.volumeMounts", !container.volume_mounts.is_empty()),
        ("container.experimental", container.experimental.is_some()),
        ("extraContainers", !job.extra_containers.is_empty()),
        ("volumes", !job.volumes.is_empty()),
        ("platformSidecars", !job.platform_sidecars.is_empty()),
    ];
    let refusal = |field| malformed(field, "is not offered", "leave it out");
    given
        .into_iter()
        .filter(|(_, set)| *set)
        .map(|(field, _)| refusal(field))
        .collect()
}

/// Fields that may be left aside without changing what a task sees.
fn ignored_fields(job: &v3::JobDescriptor) -> Vec<Warning> {
    use v3::job_descriptor::JobSpec;
    let soft = job.container.as_ref().and_then(|c| c.soft_constraints.as_ref());
    let (retry, migration) = match &job.job_spec {
        Some(JobSpec::Batch(batch)) => (batch.retry_policy.as_ref(), false),
        Some(JobSpec::Service(service)) => {
            (service.retry_policy.as_ref(), service.migration_policy.is_some())
        }
        None => (None, false),
    };
    let first_delay = matches!(
        retry.and_then(|r| r.policy.as_ref()),
        Some(v3::retry_policy::Policy::Delayed(d)) if d.initial_delay_ms != 0
    );
    let given = [
        (
            "container.softConstraints.expression",
            soft.is_some_and(|c| !c.expression.is_empty()),
        ),
        ("retryPolicy.delayed.initialDelayMs", first_delay),
        ("service.migrationPolicy", migration),
        ("disruptionBudget", job.disruption_budget.is_some()),
        ("networkConfiguration", job.network_configuration.is_some()),
    ];
    let warning = |field: &str| Warning {
        kind: WarningKind::NoEffect,
        field: field.to_owned(),
        message: "is accepted and has no effect".to_owned(),
    };
    given
        .into_iter()
        .filter(|(_, set)| *set)
        .map(|(field, _)| warning(field))
        .collect()
}

fn group_info(group: v3::JobGroupInfo) -> JobGroupInfo {
    JobGroupInfo {
        stack: group.stack,
        detail: group.detail,
        sequence: group.sequence,
    }
}

fn container_request(container: v3::Container) -> ContainerRequest {
    let (volumes, attributes): (BTreeMap<_, _>, BTreeMap<_, _>) = container
        .attributes
        .into_iter()
        .partition(|(key, _)| key.starts_with(HOST_VOLUME));
    let profile = container.security_profile.unwrap_or_default();
    let image = container.image.unwrap_or_default();
    ContainerRequest {
        resources: resources_request(&container.resources.unwrap_or_default()),
        security_profile: SecurityProfileRequest {
            security_groups: profile.security_groups,
            iam_role: profile.iam_role,
            attributes: profile.attributes,
        },
        image: ImageRequest {
            name: image.name,
            tag: image.tag,
            digest: image.digest,
        },
        attributes,
        entry_point: container.entry_point,
        command: container.command,
        env: container
            .env
            .into_iter()
            .map(|(k, v)| (k, Secret::new(v)))
            .collect(),
        soft_constraints: constraints_request(container.soft_constraints),
        hard_constraints: constraints_request(container.hard_constraints),
        volumes: volumes
            .into_iter()
            .map(|(key, host_path)| VolumeRequest {
                host_path,
                mount_path: key[HOST_VOLUME.len()..].to_owned(),
            })
            .collect(),
    }
}

fn container(request: &ContainerRequest) -> v3::Container {
    let volumes = request
        .volumes
        .iter()
        .map(|v| (format!("{HOST_VOLUME}{}", v.mount_path), v.host_path.clone()));
    v3::Container {
        resources: Some(container_resources(&request.resources)),
        security_profile: Some(v3::SecurityProfile {
            security_groups: request.security_profile.security_groups.clone(),
            iam_role: request.security_profile.iam_role.clone(),
            attributes: request.security_profile.attributes.clone(),
        }),
        image: Some(v3::Image {
            name: request.image.name.clone(),
            tag: request.image.tag.clone(),
            digest: request.image.digest.clone(),
        }),
        attributes: request.attributes.clone().into_iter().chain(volumes).collect(),
        entry_point: request.entry_point.clone(),
        command: request.command.clone(),
        env: request
            .env
            .iter()
            .map(|(k, v)| (k.clone(), v.expose().to_owned()))
            .collect(),
        soft_constraints: constraints(&request.soft_constraints),
        hard_constraints: constraints(&request.hard_constraints),
        ..Default::default()
    }
}

const fn resources_request(r: &v3::ContainerResources) -> ResourcesRequest {
    ResourcesRequest {
        cpu: r.cpu,
        gpu: r.gpu,
        memory_mb: r.memory_mb,
        disk_mb: r.disk_mb,
        network_mbps: r.network_mbps,
        allocate_ip: r.allocate_ip,
        shm_size_mb: r.shm_size_mb,
    }
}

fn container_resources(r: &ResourcesRequest) -> v3::ContainerResources {
    v3::ContainerResources {
        cpu: r.cpu,
        gpu: r.gpu,
        memory_mb: r.memory_mb,
        disk_mb: r.disk_mb,
        network_mbps: r.network_mbps,
        allocate_ip: r.allocate_ip,
        shm_size_mb: r.shm_size_mb,
        ..Default::default()
    }
}

fn constraints_request(constraints: Option<v3::Constraints>) -> ConstraintsRequest {
    ConstraintsRequest {
        constraints: constraints.unwrap_or_default().constraints,
    }
}

fn constraints(request: &ConstraintsRequest) -> Option<v3::Constraints> {
    (!request.constraints.is_empty()).then(|| v3::Constraints {
        constraints: request.constraints.clone(),
        expression: String::new(),
    })
}

fn batch_request(batch: v3::BatchJobSpec) -> BatchRequest {
    BatchRequest {
        size: batch.size,
        runtime_limit_sec: batch.runtime_limit_sec,
        retry_policy: retry_request(batch.retry_policy),
        retry_on_runtime_limit: batch.retry_on_runtime_limit,
    }
}

fn batch_spec(batch: &BatchRequest) -> v3::BatchJobSpec {
    v3::BatchJobSpec {
        size: batch.size,
        runtime_limit_sec: batch.runtime_limit_sec,
        retry_policy: retry_policy(&batch.retry_policy),
        retry_on_runtime_limit: batch.retry_on_runtime_limit,
    }
}

fn service_request(service: v3::ServiceJobSpec) -> ServiceRequest {
    let processes = service.service_job_processes.unwrap_or_default();
    ServiceRequest {
        capacity: capacity_request(service.capacity.unwrap_or_default()),
        enabled: service.enabled,
        retry_policy: retry_request(service.retry_policy),
        service_job_processes: ServiceProcesses {
            disable_increase_desired: processes.disable_increase_desired,
            disable_decrease_desired: processes.disable_decrease_desired,
        },
    }
}

fn service_spec(service: &ServiceRequest) -> v3::ServiceJobSpec {
    v3::ServiceJobSpec {
        capacity: Some(capacity(service.capacity)),
        enabled: service.enabled,
        retry_policy: retry_policy(&service.retry_policy),
        migration_policy: None,
        service_job_processes: Some(v3::service_job_spec::ServiceJobProcesses {
            disable_increase_desired: service.service_job_processes.disable_increase_desired,
            disable_decrease_desired: service.service_job_processes.disable_decrease_desired,
        }),
    }
}

pub(crate) const fn capacity_request(c: v3::Capacity) -> Capacity {
    Capacity {
        min: c.min,
        desired: c.desired,
        max: c.max,
    }
}

pub(crate) const fn capacity(c: Capacity) -> v3::Capacity {
    v3::Capacity {
        min: c.min,
        max: c.max,
        desired: c.desired,
    }
}

fn retry_request(policy: Option<v3::RetryPolicy>) -> RetryRequest {
    use v3::retry_policy::Policy;
    let mut request = RetryRequest::default();
    match policy.and_then(|p| p.policy) {
        Some(Policy::Immediate(p)) => request.immediate = Some(ImmediateRetry { retries: p.retries }),
        Some(Policy::Delayed(p)) => {
            request.delayed = Some(DelayedRetry {
                delay_ms: p.delay_ms,
                retries: p.retries,
            });
        }
        Some(Policy::ExponentialBackOff(p)) => {
            request.exponential_back_off = Some(BackOffRetry {
                initial_delay_ms: p.initial_delay_ms,
                max_delay_interval_ms: p.max_delay_interval_ms,
                retries: p.retries,
            });
        }
        None => {}
    }
    request
}

fn retry_policy(request: &RetryRequest) -> Option<v3::RetryPolicy> {
    use v3::retry_policy::{Delayed, ExponentialBackOff, Immediate, Policy};
    let immediate = request
        .immediate
        .map(|p| Policy::Immediate(Immediate { retries: p.retries }));
    let delayed = request.delayed.map(|p| {
        Policy::Delayed(Delayed {
            initial_delay_ms: 0,
            delay_ms: p.delay_ms,
            retries: p.retries,
        })
    });
    let back_off = request.exponential_back_off.map(|p| {
        Policy::ExponentialBackOff(ExponentialBackOff {
            initial_delay_ms: p.initial_delay_ms,
            max_delay_interval_ms: p.max_delay_interval_ms,
            retries: p.retries,
        })
    });
    let policy = immediate.or(delayed).or(back_off)?;
    Some(v3::RetryPolicy { policy: Some(policy) })
}

#[cfg(test)]
mod tests;
