use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::request::ImageRequest;
use super::secret::Secret;
use crate::resources::Resources;
use crate::time::Millis;

/// A folder of the host that a container sees, read-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostVolume {
    /// The folder on the host, absolute and without `..`.
    pub host_path: String,
    /// Where the container sees it, absolute and without `..`.
    pub mount_path: String,
}

/// What a host needs to run one task of a job: the same text for all its tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LaunchSpec {
    /// The application, for labels and logs.
    pub application: String,
    /// The image.
    pub image: ImageRequest,
    /// The program and its first arguments; the image's own when empty.
    pub entry_point: Vec<String>,
    /// Further arguments; the image's own when both lists are empty.
    pub command: Vec<String>,
    /// The environment that the user asked for.
    pub env: BTreeMap<String, Secret>,
    /// What one task may use.
    pub resources: Resources,
    /// The size of /dev/shm in MB.
    pub shm_mb: u64,
    /// Folders of the host, read-only.
    pub volumes: Vec<HostVolume>,
    /// Between SIGTERM and SIGKILL.
    pub grace: Millis,
}
