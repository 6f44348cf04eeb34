//! Which tasks leave when a service is made smaller.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::id::HostId;
use crate::task::{TaskHot, TaskState};

/// The positions in `tasks` of the `count` that go first: those that wait for a host, then those that are being
/// launched, then running ones; among these always one of the host with most tasks of the job, then of the zone with
/// most, then the oldest.
pub(super) fn victims<'z>(
    tasks: &[TaskHot],
    count: usize,
    zone_of: &dyn Fn(HostId) -> Option<&'z str>,
) -> Vec<usize> {
    let mut staying: Vec<usize> = (0..tasks.len()).filter(|i| group(&tasks[*i]).is_some()).collect();
    let mut per_host: BTreeMap<HostId, usize> = BTreeMap::new();
    let mut per_zone: BTreeMap<&str, usize> = BTreeMap::new();
    for host in staying.iter().filter_map(|i| tasks[*i].host) {
        *per_host.entry(host).or_default() += 1;
        *per_zone.entry(zone_of(host).unwrap_or_default()).or_default() += 1;
    }
    let mut chosen = Vec::with_capacity(count);
    while chosen.len() < count {
        let first = staying.iter().enumerate().min_by_key(|(_, i)| {
            let task = &tasks[**i];
            let crowd = task.host.map_or((0, 0), |host| {
                let zone = zone_of(host).unwrap_or_default();
                (per_host[&host], per_zone[zone])
            });
            (group(task), Reverse(crowd), task.times.queued, task.id)
        });
        let Some((position, slot)) = first.map(|(p, i)| (p, *i)) else {
            break;
        };
        staying.remove(position);
        if let Some(host) = tasks[slot].host {
            *per_host.entry(host).or_default() -= 1;
            *per_zone.entry(zone_of(host).unwrap_or_default()).or_default() -= 1;
        }
        chosen.push(slot);
    }
    chosen
}

const fn group(task: &TaskHot) -> Option<u8> {
    match task.state {
        TaskState::Accepted => Some(0),
        TaskState::Launched | TaskState::StartInitiated => Some(1),
        TaskState::Started | TaskState::Disconnected => Some(2),
        TaskState::KillInitiated | TaskState::Finished => None,
    }
}
