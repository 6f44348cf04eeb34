//! Limits as cgroup files, for version 1 and version 2, and what those files tell back.

mod v1;
mod v2;

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;
use crate::facts::{CONTROLLER_FIX, Cgroups, HostFacts};
use crate::kernel::{Kernel, KernelOp};
use crate::runtime::Stats;
use crate::spec::{Limit, Resources, SandboxId, SandboxSpec};

/// How a sandbox's processes get into their groups.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Join {
    /// Version 1: the launcher writes itself into each of these `cgroup.procs` before it clones the init.
    Write(Vec<PathBuf>),
    /// Version 2: the init is cloned straight into this group.
    CloneInto(PathBuf),
}

/// CPU time is dealt out in periods of this many microseconds.
const CPU_PERIOD_US: u64 = 100_000;

/// What the host needs once, before its first sandbox.
pub(crate) fn prepare(facts: &HostFacts) -> Vec<KernelOp> {
    match &facts.cgroups {
        Cgroups::None => Vec::new(),
        Cgroups::V1(mounts) => v1::prepare(mounts, &facts.cgroup_parent),
        Cgroups::V2 { mount, controllers } => v2::prepare(mount, controllers, &facts.cgroup_parent),
    }
}

/// The groups of one sandbox with their limits, and how to get in. Refuses a limit that nothing enforces.
pub(crate) fn plan(spec: &SandboxSpec, facts: &HostFacts) -> Result<(Vec<KernelOp>, Join), Error> {
    let wanted = enforceable(spec, facts)?;
    match &facts.cgroups {
        Cgroups::None => Err(Error::missing(
            "cgroups",
            facts.cgroups.describe(),
            "mount cgroup2 on /sys/fs/cgroup",
        )),
        Cgroups::V1(mounts) => Ok(v1::plan(&wanted, mounts, &facts.cgroup_parent, &spec.id)),
        Cgroups::V2 { mount, .. } => Ok(v2::plan(&wanted, mount, &facts.cgroup_parent, &spec.id)),
    }
}

/// The groups of one sandbox, wherever they are.
pub(crate) fn folders(facts: &HostFacts, id: &SandboxId) -> Vec<PathBuf> {
    match &facts.cgroups {
        Cgroups::None => Vec::new(),
        Cgroups::V1(mounts) => v1::folders(mounts, &facts.cgroup_parent, id),
        Cgroups::V2 { mount, .. } => vec![mount.join(&facts.cgroup_parent).join(id.as_str())],
    }
}

/// Reads what a sandbox uses. Files that a host does not have count as 0; `None` when its groups are gone.
pub fn read_stats(kernel: &dyn Kernel, facts: &HostFacts, id: &SandboxId) -> Option<Stats> {
    match &facts.cgroups {
        Cgroups::None => None,
        Cgroups::V1(mounts) => v1::stats(kernel, mounts, &facts.cgroup_parent, id),
        Cgroups::V2 { mount, .. } => v2::stats(kernel, &mount.join(&facts.cgroup_parent).join(id.as_str())),
    }
}

/// Drops the limits that the caller accepts to run without, where they cannot be enforced.
fn enforceable(spec: &SandboxSpec, facts: &HostFacts) -> Result<Resources, Error> {
    let mut wanted = spec.resources.clone();
    for (limit, value) in [
        (Limit::Cpu, &mut wanted.milli_cpu),
        (Limit::Memory, &mut wanted.memory_bytes),
        (Limit::Pids, &mut wanted.pids_max),
        (Limit::Disk, &mut wanted.disk_bytes),
    ] {
        if value.is_none() || facts.enforces(limit) {
            continue;
        }
        if !spec.unenforced.contains(&limit) {
            return Err(unenforceable(limit, facts));
        }
        tracing::debug!(sandbox = %spec.id, limit = limit.name(), "runs without a limit, as its spec accepts");
        *value = None;
    }
    Ok(wanted)
}

fn unenforceable(limit: Limit, facts: &HostFacts) -> Error {
    match limit {
        Limit::Disk => Error::missing(
            "disk quota",
            "this runtime does not limit what a sandbox writes to its own layer",
            "leave `resources.disk_bytes` out, or list Disk in `unenforced` to accept that",
        ),
        other => Error::missing(
            format!("{} controller", other.name()),
            facts.cgroups.describe(),
            CONTROLLER_FIX,
        ),
    }
}

/// Version 1's share: 1,024 a CPU, at least 2.
fn cpu_shares(milli_cpu: u64) -> u64 {
    (milli_cpu.saturating_mul(1_024) / 1_000).clamp(2, 262_144)
}

/// Microseconds a period, at least the kernel's minimum of 1,000.
fn cpu_quota_us(milli_cpu: u64) -> u64 {
    (milli_cpu.saturating_mul(CPU_PERIOD_US) / 1_000).max(1_000)
}

/// One more than asked for: the sandbox's own init counts as a process.
fn pids_with_init(pids: u64) -> u64 {
    pids.saturating_add(1)
}

fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(0)
}

fn micros(value: u64) -> Duration {
    Duration::from_micros(value)
}
