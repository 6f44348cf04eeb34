//! A job's request, stored as a protobuf message of our own.

use std::collections::BTreeMap;
use std::fmt;

use titus_core::spec::{
    BackOffRetry, BatchRequest, Capacity, ConstraintsRequest, ContainerRequest, DelayedRetry, ImageRequest,
    ImmediateRetry, JobGroupInfo, JobRequest, OwnerRequest, ResourcesRequest, RetryRequest, Secret,
    SecurityProfileRequest, ServiceProcesses, ServiceRequest, VolumeRequest,
};

use crate::codec::{decode_message, encode_message};
use crate::error::Result;

const VERSION: u8 = 1;

type Map = BTreeMap<String, String>;

#[derive(Clone, PartialEq, prost::Message)]
struct RequestRow {
    #[prost(string, tag = "1")]
    team_email: String,
    #[prost(string, tag = "2")]
    application: String,
    #[prost(string, tag = "3")]
    capacity_group: String,
    #[prost(string, tag = "4")]
    stack: String,
    #[prost(string, tag = "5")]
    detail: String,
    #[prost(string, tag = "6")]
    sequence: String,
    #[prost(btree_map = "string, string", tag = "7")]
    attributes: Map,
    #[prost(message, optional, tag = "8")]
    container: Option<ContainerRow>,
    #[prost(message, optional, tag = "9")]
    batch: Option<BatchRow>,
    #[prost(message, optional, tag = "10")]
    service: Option<ServiceRow>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
struct ContainerRow {
    #[prost(double, tag = "1")]
    cpu: f64,
    #[prost(uint32, tag = "2")]
    gpu: u32,
    #[prost(uint32, tag = "3")]
    memory_mb: u32,
    #[prost(uint32, tag = "4")]
    disk_mb: u32,
    #[prost(uint32, tag = "5")]
    network_mbps: u32,
    #[prost(bool, tag = "6")]
    allocate_ip: bool,
    #[prost(uint32, tag = "7")]
    shm_size_mb: u32,
    #[prost(string, repeated, tag = "8")]
    security_groups: Vec<String>,
    #[prost(string, tag = "9")]
    iam_role: String,
    #[prost(btree_map = "string, string", tag = "10")]
    security_attributes: Map,
    #[prost(string, tag = "11")]
    image_name: String,
    #[prost(string, tag = "12")]
    image_tag: String,
    #[prost(string, tag = "13")]
    image_digest: String,
    #[prost(btree_map = "string, string", tag = "14")]
    attributes: Map,
    #[prost(string, repeated, tag = "15")]
    entry_point: Vec<String>,
    #[prost(string, repeated, tag = "16")]
    command: Vec<String>,
    #[prost(btree_map = "string, string", tag = "17")]
    env: Map,
    #[prost(btree_map = "string, string", tag = "18")]
    soft_constraints: Map,
    #[prost(btree_map = "string, string", tag = "19")]
    hard_constraints: Map,
    #[prost(message, repeated, tag = "20")]
    volumes: Vec<VolumeRow>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct VolumeRow {
    #[prost(string, tag = "1")]
    host_path: String,
    #[prost(string, tag = "2")]
    mount_path: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct BatchRow {
    #[prost(uint32, tag = "1")]
    size: u32,
    #[prost(uint64, tag = "2")]
    runtime_limit_sec: u64,
    #[prost(message, optional, tag = "3")]
    retry: Option<RetryRow>,
    #[prost(bool, tag = "4")]
    retry_on_runtime_limit: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ServiceRow {
    #[prost(uint32, tag = "1")]
    min: u32,
    #[prost(uint32, tag = "2")]
    desired: u32,
    #[prost(uint32, tag = "3")]
    max: u32,
    #[prost(bool, tag = "4")]
    enabled: bool,
    #[prost(message, optional, tag = "5")]
    retry: Option<RetryRow>,
    #[prost(bool, tag = "6")]
    disable_increase_desired: bool,
    #[prost(bool, tag = "7")]
    disable_decrease_desired: bool,
}

/// Which of the three a request holds is told by the field that is there.
#[derive(Clone, PartialEq, prost::Message)]
struct RetryRow {
    #[prost(uint32, optional, tag = "1")]
    immediate: Option<u32>,
    #[prost(message, optional, tag = "2")]
    delayed: Option<DelayRow>,
    #[prost(message, optional, tag = "3")]
    back_off: Option<DelayRow>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct DelayRow {
    #[prost(uint64, tag = "1")]
    delay_ms: u64,
    #[prost(uint64, tag = "2")]
    max_ms: u64,
    #[prost(uint32, tag = "3")]
    retries: u32,
}

/// Its environment may hold secrets.
impl fmt::Debug for ContainerRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContainerRow").finish_non_exhaustive()
    }
}

/// Writes the record.
#[must_use]
pub fn encode(request: &JobRequest) -> bytes::Bytes {
    let row = RequestRow {
        team_email: request.owner.team_email.clone(),
        application: request.application_name.clone(),
        capacity_group: request.capacity_group.clone(),
        stack: request.job_group_info.stack.clone(),
        detail: request.job_group_info.detail.clone(),
        sequence: request.job_group_info.sequence.clone(),
        attributes: request.attributes.clone(),
        container: Some(container_row(&request.container)),
        batch: request.batch.as_ref().map(batch_row),
        service: request.service.as_ref().map(service_row),
    };
    encode_message(VERSION, &row)
}

fn container_row(c: &ContainerRequest) -> ContainerRow {
    ContainerRow {
        cpu: c.resources.cpu,
        gpu: c.resources.gpu,
        memory_mb: c.resources.memory_mb,
        disk_mb: c.resources.disk_mb,
        network_mbps: c.resources.network_mbps,
        allocate_ip: c.resources.allocate_ip,
        shm_size_mb: c.resources.shm_size_mb,
        security_groups: c.security_profile.security_groups.clone(),
        iam_role: c.security_profile.iam_role.clone(),
        security_attributes: c.security_profile.attributes.clone(),
        image_name: c.image.name.clone(),
        image_tag: c.image.tag.clone(),
        image_digest: c.image.digest.clone(),
        attributes: c.attributes.clone(),
        entry_point: c.entry_point.clone(),
        command: c.command.clone(),
        env: c
            .env
            .iter()
            .map(|(name, value)| (name.clone(), value.expose().to_owned()))
            .collect(),
        soft_constraints: c.soft_constraints.constraints.clone(),
        hard_constraints: c.hard_constraints.constraints.clone(),
        volumes: c
            .volumes
            .iter()
            .map(|v| VolumeRow {
                host_path: v.host_path.clone(),
                mount_path: v.mount_path.clone(),
            })
            .collect(),
    }
}

fn batch_row(b: &BatchRequest) -> BatchRow {
    BatchRow {
        size: b.size,
        runtime_limit_sec: b.runtime_limit_sec,
        retry: Some(retry_row(&b.retry_policy)),
        retry_on_runtime_limit: b.retry_on_runtime_limit,
    }
}

fn service_row(s: &ServiceRequest) -> ServiceRow {
    ServiceRow {
        min: s.capacity.min,
        desired: s.capacity.desired,
        max: s.capacity.max,
        enabled: s.enabled,
        retry: Some(retry_row(&s.retry_policy)),
        disable_increase_desired: s.service_job_processes.disable_increase_desired,
        disable_decrease_desired: s.service_job_processes.disable_decrease_desired,
    }
}

fn retry_row(r: &RetryRequest) -> RetryRow {
    RetryRow {
        immediate: r.immediate.map(|i| i.retries),
        delayed: r.delayed.map(|d| DelayRow {
            delay_ms: d.delay_ms,
            max_ms: 0,
            retries: d.retries,
        }),
        back_off: r.exponential_back_off.map(|b| DelayRow {
            delay_ms: b.initial_delay_ms,
            max_ms: b.max_delay_interval_ms,
            retries: b.retries,
        }),
    }
}

/// Reads the record.
///
/// # Errors
/// [`Error::Record`](crate::Error::Record) when it is damaged or of an unknown version.
pub fn decode(bytes: &[u8]) -> Result<JobRequest> {
    let row: RequestRow = decode_message("job request", VERSION, bytes)?;
    Ok(JobRequest {
        owner: OwnerRequest {
            team_email: row.team_email,
        },
        application_name: row.application,
        capacity_group: row.capacity_group,
        job_group_info: JobGroupInfo {
            stack: row.stack,
            detail: row.detail,
            sequence: row.sequence,
        },
        attributes: row.attributes,
        container: container(row.container.unwrap_or_default()),
        batch: row.batch.map(|b| BatchRequest {
            size: b.size,
            runtime_limit_sec: b.runtime_limit_sec,
            retry_policy: retry(b.retry),
            retry_on_runtime_limit: b.retry_on_runtime_limit,
        }),
        service: row.service.map(|s| ServiceRequest {
            capacity: Capacity {
                min: s.min,
                desired: s.desired,
                max: s.max,
            },
            enabled: s.enabled,
            retry_policy: retry(s.retry),
            service_job_processes: ServiceProcesses {
                disable_increase_desired: s.disable_increase_desired,
                disable_decrease_desired: s.disable_decrease_desired,
            },
        }),
    })
}

fn container(row: ContainerRow) -> ContainerRequest {
    ContainerRequest {
        resources: ResourcesRequest {
            cpu: row.cpu,
            gpu: row.gpu,
            memory_mb: row.memory_mb,
            disk_mb: row.disk_mb,
            network_mbps: row.network_mbps,
            allocate_ip: row.allocate_ip,
            shm_size_mb: row.shm_size_mb,
        },
        security_profile: SecurityProfileRequest {
            security_groups: row.security_groups,
            iam_role: row.iam_role,
            attributes: row.security_attributes,
        },
        image: ImageRequest {
            name: row.image_name,
            tag: row.image_tag,
            digest: row.image_digest,
        },
        attributes: row.attributes,
        entry_point: row.entry_point,
        command: row.command,
        env: row
            .env
            .into_iter()
            .map(|(name, value)| (name, Secret::new(value)))
            .collect(),
        soft_constraints: ConstraintsRequest {
            constraints: row.soft_constraints,
        },
        hard_constraints: ConstraintsRequest {
            constraints: row.hard_constraints,
        },
        volumes: row
            .volumes
            .into_iter()
            .map(|v| VolumeRequest {
                host_path: v.host_path,
                mount_path: v.mount_path,
            })
            .collect(),
    }
}

fn retry(row: Option<RetryRow>) -> RetryRequest {
    let row = row.unwrap_or_default();
    RetryRequest {
        immediate: row.immediate.map(|retries| ImmediateRetry { retries }),
        delayed: row.delayed.map(|d| DelayedRetry {
            delay_ms: d.delay_ms,
            retries: d.retries,
        }),
        exponential_back_off: row.back_off.map(|b| BackOffRetry {
            initial_delay_ms: b.delay_ms,
            max_delay_interval_ms: b.max_ms,
            retries: b.retries,
        }),
    }
}
