//! Hosts: what they are, what is promised on them, and whether they may take work.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::HostId;
use crate::resources::Resources;
use crate::time::Timestamp;

/// What a host is: told by its agent when it registers, and seldom changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostSpec {
    /// Its name.
    pub id: HostId,
    /// What it has for tasks.
    pub capacity: Resources,
    /// The zone that it stands in.
    pub zone: String,
    /// Its machine type, as `m5.metal`.
    pub machine_type: String,
    /// The container runtime in use, as `sandbox`.
    pub runtime: String,
    /// The network data path in use, as `bridge`.
    pub datapath: String,
    /// Further attributes, for constraints and for people.
    pub attributes: BTreeMap<String, String>,
}

/// What the control plane wants of a host: the part that plans read and write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostDesired {
    /// Rises by one with each change of what the host shall run.
    pub generation: u64,
    /// The room that its tasks hold.
    pub used: Resources,
    /// True when it is being emptied and takes no new task.
    pub draining: bool,
}

/// How a host is doing, as the scheduler sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[repr(u8)]
pub enum HostHealth {
    /// Heard from; takes tasks.
    Ready = 0,
    /// Not heard from for 30 s; takes no new tasks.
    Silent = 1,
    /// Not heard from for 90 s; its tasks are lost.
    Lost = 2,
}

/// A host as views hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostRecord {
    /// What it is.
    pub spec: HostSpec,
    /// What is wanted of it.
    pub desired: HostDesired,
    /// How it is doing.
    pub health: HostHealth,
    /// When its health last changed.
    pub since: Timestamp,
}

impl HostRecord {
    /// A host that has just registered.
    #[must_use]
    pub fn new(spec: HostSpec, now: Timestamp) -> Self {
        Self {
            spec,
            desired: HostDesired::default(),
            health: HostHealth::Ready,
            since: now,
        }
    }

    /// True when new tasks may be placed on it.
    #[must_use]
    pub fn takes_tasks(&self) -> bool {
        self.health == HostHealth::Ready && !self.desired.draining
    }

    /// The room that is left; zero where more is promised than there is.
    #[must_use]
    pub fn free(&self) -> Resources {
        self.spec.capacity.saturating_sub(&self.desired.used)
    }
}
