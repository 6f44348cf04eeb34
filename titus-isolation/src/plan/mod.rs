//! A sandbox as data: what would be written on the host, and what its init would do. Pure; printing it is a dry run.

mod check;
mod host;
mod mounts;
mod sandbox;
mod show;

use crate::cgroup;
use crate::error::Error;
use crate::facts::HostFacts;
use crate::kernel::KernelOp;
use crate::spec::{IdRange, SandboxSpec};

pub(crate) use host::Folders;
pub use mounts::{DeviceNode, MountStep, Tree};
pub use sandbox::{ProcessPlan, SandboxPlan};

/// Everything that making one sandbox does, in order. `Display` prints it, without the values of variables.
///
/// ```
/// use titus_isolation::{HostFacts, LogConfig, RootFs, SandboxId, SandboxSpec, plan};
///
/// let id = SandboxId::new("demo")?;
/// let mut spec = SandboxSpec::new(id, RootFs::Host, ["/bin/true"], LogConfig::new("/var/log/demo"));
/// spec.resources.memory_bytes = Some(64 << 20);
/// let plan = plan(&spec, &HostFacts::complete("/var/lib/titus"))?;
/// assert!(plan.to_string().contains("set /sys/fs/cgroup/titus/demo/memory.max = \"67108864\""));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// Changes to the host's files and cgroups, for [`apply`](crate::apply).
    pub host: Vec<KernelOp>,
    /// What the launcher and the init then do.
    pub sandbox: SandboxPlan,
}

/// Plans one sandbox. Nothing is read or changed.
///
/// Fails with [`Error::Invalid`] for a spec that no host could run, and with [`Error::Missing`] for one that asks for
/// something this host lacks, a limit without its controller included.
pub fn plan(spec: &SandboxSpec, facts: &HostFacts) -> Result<Plan, Error> {
    check::spec(spec)?;
    check::host(spec, facts)?;
    let ids = spec.ids.unwrap_or(IdRange::FIRST);
    let folders = Folders::new(facts, &spec.id);
    let (groups, join) = cgroup::plan(spec, facts)?;
    let mut host = host::plan(spec, &folders, ids);
    host.extend(groups);
    Ok(Plan {
        host,
        sandbox: sandbox::plan(spec, facts, &folders, ids, join)?,
    })
}

/// What the host needs once, before its first sandbox: folders and the cgroup that holds them all. Repeatable.
pub fn prepare(facts: &HostFacts) -> Vec<KernelOp> {
    let mut ops = host::prepare(facts);
    ops.extend(cgroup::prepare(facts));
    ops
}

/// What takes a sandbox off the host again, also a half-made one. Logs stay.
pub fn teardown(facts: &HostFacts, id: &crate::spec::SandboxId) -> Vec<KernelOp> {
    let mut ops: Vec<_> = cgroup::folders(facts, id)
        .into_iter()
        .map(|path| KernelOp::RemoveCgroup { path })
        .collect();
    ops.push(KernelOp::RemoveTree {
        path: Folders::new(facts, id).base,
    });
    ops
}
