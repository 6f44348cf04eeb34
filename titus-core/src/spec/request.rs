//! The raw request, with the names of the REST JSON. Nothing here is checked yet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::secret::Secret;

/// A job as a client asks for it: a job file, or the body of `POST /api/v3/jobs`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct JobRequest {
    /// Who owns the job. Required.
    pub owner: OwnerRequest,
    /// The application that it belongs to. Required.
    pub application_name: String,
    /// The capacity group; `DEFAULT` when empty.
    pub capacity_group: String,
    /// The naming triple app-stack-detail-sequence.
    pub job_group_info: JobGroupInfo,
    /// Labels.
    pub attributes: BTreeMap<String, String>,
    /// What to run. Required.
    pub container: ContainerRequest,
    /// For a job whose tasks end. Either this or `service`.
    pub batch: Option<BatchRequest>,
    /// For a job whose tasks stay. Either this or `batch`.
    pub service: Option<ServiceRequest>,
}

/// Who owns a job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OwnerRequest {
    /// Where to reach the owner.
    pub team_email: String,
}

/// The naming triple; `sequence`, when not empty, is unique among active jobs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct JobGroupInfo {
    /// The stack, as `prod`.
    pub stack: String,
    /// The detail, as `canary`.
    pub detail: String,
    /// The sequence, as `v001`.
    pub sequence: String,
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ContainerRequest {
    /// What one task asks for.
    pub resources: ResourcesRequest,
    /// Security groups and role.
    pub security_profile: SecurityProfileRequest,
    /// The image.
    pub image: ImageRequest,
    /// `titusParameter.agent.*` settings.
    pub attributes: BTreeMap<String, String>,
    /// The program and its first arguments.
    pub entry_point: Vec<String>,
    /// Further arguments.
    pub command: Vec<String>,
    /// The environment.
    pub env: BTreeMap<String, Secret>,
    /// Preferences.
    pub soft_constraints: ConstraintsRequest,
    /// Requirements.
    pub hard_constraints: ConstraintsRequest,
    /// Folders of the host, read-only; only where the host allows them (`titus dev --volume-root`).
    pub volumes: Vec<VolumeRequest>,
}

/// What one task asks for. Zero stands for the profile's default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ResourcesRequest {
    /// CPUs, as 0.5.
    pub cpu: f64,
    /// GPUs.
    pub gpu: u32,
    /// Memory in MB.
    #[serde(rename = "memoryMB")]
    pub memory_mb: u32,
    /// Disk in MB.
    #[serde(rename = "diskMB")]
    pub disk_mb: u32,
    /// Network bandwidth in Mbps.
    pub network_mbps: u32,
    /// An address of its own; always given, kept for Titus's clients.
    #[serde(rename = "allocateIP")]
    pub allocate_ip: bool,
    /// The size of /dev/shm in MB; 64 when zero.
    #[serde(rename = "shmSizeMB")]
    pub shm_size_mb: u32,
}

/// Security groups and role.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SecurityProfileRequest {
    /// Security groups.
    pub security_groups: Vec<String>,
    /// The role that the container takes.
    pub iam_role: String,
    /// Further settings.
    pub attributes: BTreeMap<String, String>,
}

/// An image: a name with a tag or a digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ImageRequest {
    /// The repository, as `library/busybox`; `host` is the host's own root.
    pub name: String,
    /// The tag.
    pub tag: String,
    /// The digest, as `sha256:…`.
    pub digest: String,
}

/// Constraints by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ConstraintsRequest {
    /// Name to value, which is usually `true`.
    pub constraints: BTreeMap<String, String>,
}

/// A folder of the host, mounted read-only.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct VolumeRequest {
    /// The folder on the host, absolute, below an allowed root.
    pub host_path: String,
    /// Where the container sees it, absolute.
    pub mount_path: String,
}

/// A batch job's own part.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BatchRequest {
    /// How many tasks run side by side.
    pub size: u32,
    /// How long one may run, in seconds; the profile's default when zero.
    pub runtime_limit_sec: u64,
    /// What happens when one fails.
    pub retry_policy: RetryRequest,
    /// True to retry a task that ran too long.
    pub retry_on_runtime_limit: bool,
}

/// A service job's own part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ServiceRequest {
    /// How many tasks it has.
    pub capacity: Capacity,
    /// In service. True in a job file that does not say; proto3 clients must set it.
    pub enabled: bool,
    /// The pace at which failed tasks are replaced.
    pub retry_policy: RetryRequest,
    /// Guards against scaling.
    pub service_job_processes: ServiceProcesses,
}

impl Default for ServiceRequest {
    fn default() -> Self {
        Self {
            capacity: Capacity::default(),
            enabled: true,
            retry_policy: RetryRequest::default(),
            service_job_processes: ServiceProcesses::default(),
        }
    }
}

/// How many tasks a job has: 0 <= min <= desired <= max.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Capacity {
    /// The fewest that scaling may leave.
    pub min: u32,
    /// How many there shall be.
    pub desired: u32,
    /// The most that scaling may make.
    pub max: u32,
}

/// Guards against scaling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ServiceProcesses {
    /// Refuse to raise desired.
    pub disable_increase_desired: bool,
    /// Refuse to lower desired.
    pub disable_decrease_desired: bool,
}

/// What happens when a task fails: at most one of the three; none is `immediate` with no retries for a batch job,
/// and the profile's back-off for a service job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RetryRequest {
    /// At once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub immediate: Option<ImmediateRetry>,
    /// After a fixed delay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delayed: Option<DelayedRetry>,
    /// After a delay that doubles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exponential_back_off: Option<BackOffRetry>,
}

/// Retry at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ImmediateRetry {
    /// How often.
    pub retries: u32,
}

/// Retry after a fixed delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DelayedRetry {
    /// The delay in milliseconds.
    pub delay_ms: u64,
    /// How often.
    pub retries: u32,
}

/// Retry after a delay that doubles up to a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BackOffRetry {
    /// The first delay in milliseconds.
    pub initial_delay_ms: u64,
    /// The longest delay in milliseconds.
    pub max_delay_interval_ms: u64,
    /// How often.
    pub retries: u32,
}
