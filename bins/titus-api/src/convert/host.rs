//! `Host`: a host's record as operators see it.

use titus_core::host::{HostHealth, HostRecord};
use titus_core::id::TaskId;
use titus_core::resources::Resources;

use super::job::millis;
use crate::v1;

/// A host with what is wrong with it, but for its generation. `tasks` are those that hold room on it, sorted by id, and `used` is that room.
#[must_use]
pub fn host_to_proto(host: &HostRecord, tasks: &[TaskId], used: &Resources) -> v1::Host {
    let spec = &host.spec;
    v1::Host {
        id: spec.id.to_string(),
        health: health(host.health).into(),
        health_since_ms: millis(host.since),
        draining: host.desired.draining,
        capacity: Some(resources(&spec.capacity)),
        used: Some(resources(used)),
        zone: spec.zone.clone(),
        machine_type: spec.machine_type.clone(),
        runtime: spec.runtime.clone(),
        datapath: spec.datapath.clone(),
        attributes: spec.attributes.clone(),
        conditions: vec![silence(host)],
        generation: 0,
        task_count: u32::try_from(tasks.len()).unwrap_or(u32::MAX),
        task_ids: tasks.iter().map(ToString::to_string).collect(),
    }
}

const fn health(health: HostHealth) -> v1::HostHealth {
    match health {
        HostHealth::Ready => v1::HostHealth::Ready,
        HostHealth::Silent => v1::HostHealth::Silent,
        HostHealth::Lost => v1::HostHealth::Lost,
    }
}

fn silence(host: &HostRecord) -> v1::HostCondition {
    let message = match host.health {
        HostHealth::Ready => "its agent reports",
        HostHealth::Silent => "its agent stopped reporting: no new task is placed here",
        HostHealth::Lost => "its agent stopped reporting: its tasks are lost and replaced elsewhere",
    };
    v1::HostCondition {
        name: "AgentSilent".to_owned(),
        active: host.health != HostHealth::Ready,
        message: message.to_owned(),
        since_ms: millis(host.since),
    }
}

/// Amounts as our own messages carry them.
#[must_use]
pub const fn resources(r: &Resources) -> v1::Resources {
    v1::Resources {
        cpu_milli: r.cpu_milli,
        memory_mb: r.memory_mb,
        disk_mb: r.disk_mb,
        network_mbps: r.network_mbps,
        gpu: r.gpu,
        addresses: r.addresses,
    }
}
