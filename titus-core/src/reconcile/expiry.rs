use std::collections::BTreeMap;

use crate::host::HostHealth;
use crate::id::{HostId, SpecDigest};
use crate::spec::{JobSpec, LaunchSpec};
use crate::task::{TaskHot, TaskState};
use crate::time::Millis;
use crate::wire::{Directive, TaskDirective, Wanted};

/// One host of the cell, as the caller has heard from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The host.
    pub host: HostId,
    /// Its recorded health.
    pub health: HostHealth,
    /// For how long its sign of life has not changed, on the caller's own monotonic clock.
    pub unchanged: Millis,
}

/// When silence has consequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpiryLimits {
    /// After so long a host takes no new tasks.
    pub silent: Millis,
    /// After so long its tasks are lost.
    pub lost: Millis,
    /// The part of the cell, in percent, that may be silent before nothing is lost any more.
    pub percent: usize,
}

impl Default for ExpiryLimits {
    fn default() -> Self {
        Self {
            silent: Millis::from_secs(30),
            lost: Millis::from_secs(90),
            percent: 5,
        }
    }
}

/// What silence leads to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expiry {
    /// Hosts whose health changes; the tasks of those that become lost are lost.
    pub changes: Vec<(HostId, HostHealth)>,
    /// Hosts that are due to be lost and are not, because too many are silent at once: it is likelier that they cannot
    /// be heard than that all have died. Report them; an operator decides.
    pub held: Vec<HostId>,
}

/// Decides what becomes of hosts that are not heard from. `hosts` is the whole cell, in any order.
///
/// Silent hosts become lost as long as they are at most `percent` of the hosts not yet lost (at least one may be), and
/// as long as half of these are still heard. So of 2 to 39 hosts one at a time is given up, of 40 two, and the only
/// host of a cell never is: nobody is left who could run its tasks, and when it comes back they go on.
#[must_use]
pub fn expire(hosts: &[Heard], limits: &ExpiryLimits) -> Expiry {
    let known = hosts
        .iter()
        .filter(|h| h.health != HostHealth::Lost || h.unchanged < limits.silent);
    let (mut total, mut silent) = (0_usize, 0_usize);
    for host in known {
        total += 1;
        silent += usize::from(host.unchanged >= limits.silent);
    }
    let allowed = (total * limits.percent / 100).max(1).min(total / 2);
    let mut expiry = Expiry::default();
    for host in hosts {
        let mut due = health_after(host.unchanged, limits);
        if due == HostHealth::Lost && host.health != HostHealth::Lost && silent > allowed {
            expiry.held.push(host.host);
            due = HostHealth::Silent;
        }
        let revived = host.health == HostHealth::Lost && due == HostHealth::Silent;
        if due != host.health && !revived {
            expiry.changes.push((host.host, due));
        }
    }
    expiry
}

fn health_after(unchanged: Millis, limits: &ExpiryLimits) -> HostHealth {
    if unchanged >= limits.lost {
        HostHealth::Lost
    } else if unchanged >= limits.silent {
        HostHealth::Silent
    } else {
        HostHealth::Ready
    }
}

/// What a host shall run, whole: every task that the store places on it and that is not over.
#[must_use]
pub fn directive<'a>(
    host: HostId,
    generation: u64,
    tasks: impl IntoIterator<Item = (&'a TaskHot, &'a JobSpec)>,
) -> Directive {
    let mut specs: BTreeMap<SpecDigest, LaunchSpec> = BTreeMap::new();
    let mut named: Vec<TaskDirective> = tasks
        .into_iter()
        .filter(|(task, _)| task.host == Some(host) && task.state.holds_host())
        .map(|(task, job)| {
            specs
                .entry(job.digest())
                .or_insert_with(|| LaunchSpec::clone(job.launch()));
            TaskDirective {
                task: task.id,
                job: task.job,
                index: task.index,
                original: task.original,
                spec: job.digest(),
                wanted: if task.state == TaskState::KillInitiated {
                    Wanted::Stop
                } else {
                    Wanted::Run
                },
            }
        })
        .collect();
    named.sort_unstable_by_key(|t| t.task);
    Directive {
        host,
        generation,
        tasks: named,
        specs,
    }
}
