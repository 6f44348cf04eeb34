use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{CPU_PERIOD_US, Join, cpu_quota_us, cpu_shares, field, pids_with_init};
use crate::kernel::{Kernel, KernelOp};
use crate::runtime::Stats;
use crate::spec::{Resources, SandboxId};

type Mounts = BTreeMap<String, PathBuf>;

pub(super) fn prepare(mounts: &Mounts, parent: &str) -> Vec<KernelOp> {
    distinct(mounts)
        .into_iter()
        .map(|mount| KernelOp::EnsureDir {
            path: mount.join(parent),
            mode: 0o755,
            owner: None,
        })
        .collect()
}

pub(super) fn plan(
    wanted: &Resources,
    mounts: &Mounts,
    parent: &str,
    id: &SandboxId,
) -> (Vec<KernelOp>, Join) {
    let folders = folders(mounts, parent, id);
    let mut ops: Vec<_> = folders
        .iter()
        .map(|path| KernelOp::MakeCgroup { path: path.clone() })
        .collect();
    let mut set = |controller: &str, file: &str, value: u64, optional: bool| {
        if let Some(mount) = mounts.get(controller) {
            let path = mount.join(parent).join(id.as_str()).join(file);
            let value = value.to_string();
            ops.push(if optional {
                KernelOp::SetIfThere { path, value }
            } else {
                KernelOp::Set { path, value }
            });
        }
    };
    if let Some(bytes) = wanted.memory_bytes {
        set("memory", "memory.limit_in_bytes", bytes, false);
        // Not there without swap accounting; equal to the limit means no swap on top.
        set("memory", "memory.memsw.limit_in_bytes", bytes, true);
    }
    if let Some(milli_cpu) = wanted.milli_cpu {
        set("cpu", "cpu.shares", cpu_shares(milli_cpu), false);
        set("cpu", "cpu.cfs_period_us", CPU_PERIOD_US, false);
        set("cpu", "cpu.cfs_quota_us", cpu_quota_us(milli_cpu), false);
    }
    if let Some(pids) = wanted.pids_max {
        set("pids", "pids.max", pids_with_init(pids), false);
    }
    let procs = folders
        .into_iter()
        .map(|folder| folder.join("cgroup.procs"))
        .collect();
    (ops, Join::Write(procs))
}

pub(super) fn folders(mounts: &Mounts, parent: &str, id: &SandboxId) -> Vec<PathBuf> {
    distinct(mounts)
        .into_iter()
        .map(|mount| mount.join(parent).join(id.as_str()))
        .collect()
}

pub(super) fn stats(kernel: &dyn Kernel, mounts: &Mounts, parent: &str, id: &SandboxId) -> Option<Stats> {
    let read = |controller: &str, file: &str| {
        let path = mounts.get(controller)?.join(parent).join(id.as_str()).join(file);
        kernel.read(&path).ok()
    };
    let number = |controller, file| {
        read(controller, file)
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0)
    };
    let exists = mounts
        .values()
        .any(|mount| kernel.read(&group_file(mount, parent, id)).is_ok());
    let cpu_stat = read("cpu", "cpu.stat").unwrap_or_default();
    let oom = read("memory", "memory.oom_control").unwrap_or_default();
    exists.then(|| Stats {
        cpu: Duration::from_nanos(number("cpuacct", "cpuacct.usage")),
        cpu_throttled: Duration::from_nanos(field(&cpu_stat, "throttled_time")),
        memory_bytes: number("memory", "memory.usage_in_bytes"),
        memory_peak_bytes: number("memory", "memory.max_usage_in_bytes"),
        pids: number("pids", "pids.current"),
        oom_kills: field(&oom, "oom_kill"),
    })
}

fn group_file(mount: &Path, parent: &str, id: &SandboxId) -> PathBuf {
    mount.join(parent).join(id.as_str()).join("cgroup.procs")
}

/// Controllers may share a mount, as `cpu,cpuacct` often do.
fn distinct(mounts: &Mounts) -> BTreeSet<PathBuf> {
    mounts.values().cloned().collect()
}
