use std::collections::BTreeSet;
use std::path::Path;

use super::{CPU_PERIOD_US, Join, cpu_quota_us, cpu_shares, field, micros, pids_with_init};
use crate::kernel::{Kernel, KernelOp};
use crate::runtime::Stats;
use crate::spec::{Resources, SandboxId};

const NEEDED: [&str; 3] = ["cpu", "memory", "pids"];

/// Hands the controllers that limits need down to the group of all sandboxes, and on to its children.
pub(super) fn prepare(mount: &Path, controllers: &BTreeSet<String>, parent: &str) -> Vec<KernelOp> {
    let mut ops = vec![KernelOp::EnsureDir {
        path: mount.join(parent),
        mode: 0o755,
        owner: None,
    }];
    let mut above = mount.to_path_buf();
    let mut levels = vec![above.clone()];
    for name in Path::new(parent) {
        above.push(name);
        levels.push(above.clone());
    }
    for level in levels {
        for controller in NEEDED.iter().filter(|c| controllers.contains(**c)) {
            let path = level.join("cgroup.subtree_control");
            ops.push(KernelOp::Set {
                path,
                value: format!("+{controller}"),
            });
        }
    }
    ops
}

pub(super) fn plan(wanted: &Resources, mount: &Path, parent: &str, id: &SandboxId) -> (Vec<KernelOp>, Join) {
    let folder = mount.join(parent).join(id.as_str());
    let mut ops = vec![KernelOp::MakeCgroup { path: folder.clone() }];
    let mut set = |file: &str, value: String| {
        ops.push(KernelOp::Set {
            path: folder.join(file),
            value,
        });
    };
    if let Some(milli_cpu) = wanted.milli_cpu {
        set("cpu.max", format!("{} {CPU_PERIOD_US}", cpu_quota_us(milli_cpu)));
        set("cpu.weight", weight(cpu_shares(milli_cpu)).to_string());
    }
    if let Some(bytes) = wanted.memory_bytes {
        set("memory.max", bytes.to_string());
    }
    if let Some(pids) = wanted.pids_max {
        set("pids.max", pids_with_init(pids).to_string());
    }
    if wanted.memory_bytes.is_some() {
        // Not there in kernels without swap.
        ops.push(KernelOp::SetIfThere {
            path: folder.join("memory.swap.max"),
            value: "0".to_owned(),
        });
    }
    (ops, Join::CloneInto(folder))
}

/// The usual conversion of version 1's 2..262,144 to version 2's 1..10,000.
fn weight(shares: u64) -> u64 {
    1 + ((shares - 2) * 9_999) / 262_142
}

pub(super) fn stats(kernel: &dyn Kernel, folder: &Path) -> Option<Stats> {
    let read = |file: &str| kernel.read(&folder.join(file)).unwrap_or_default();
    let number = |file| read(file).trim().parse().unwrap_or(0);
    kernel.read(&folder.join("cgroup.procs")).ok()?;
    let cpu = read("cpu.stat");
    Some(Stats {
        cpu: micros(field(&cpu, "usage_usec")),
        cpu_throttled: micros(field(&cpu, "throttled_usec")),
        memory_bytes: number("memory.current"),
        memory_peak_bytes: number("memory.peak"),
        pids: number("pids.current"),
        oom_kills: field(&read("memory.events"), "oom_kill"),
    })
}
