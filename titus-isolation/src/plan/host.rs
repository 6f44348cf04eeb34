//! The folders of one sandbox.

use std::path::PathBuf;

use crate::facts::HostFacts;
use crate::kernel::KernelOp;
use crate::spec::{IdRange, SandboxId, SandboxSpec};

/// Where one sandbox is kept.
///
/// `base` belongs to the host's root. `upper`, `work` and `run` belong to root inside, who has no path to them once
/// the init has changed its root; it writes them through the overlay and through descriptors that only the init holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folders {
    pub(crate) base: PathBuf,
    pub(crate) upper: PathBuf,
    pub(crate) work: PathBuf,
    pub(crate) run: PathBuf,
}

impl Folders {
    pub(crate) fn new(facts: &HostFacts, id: &SandboxId) -> Self {
        let base = Self::all(facts).join(id.as_str());
        Self {
            upper: base.join("upper"),
            work: base.join("work"),
            run: base.join("run"),
            base,
        }
    }

    /// The folder that holds every sandbox's own.
    pub(crate) fn all(facts: &HostFacts) -> PathBuf {
        facts.state_dir.join("sandboxes")
    }
}

/// Where the init mounts what it builds from, in a mount namespace that nobody else sees.
pub(super) const MOUNTS: &str = "mounts";

pub(super) fn prepare(facts: &HostFacts) -> Vec<KernelOp> {
    let dir = |path, mode| KernelOp::EnsureDir {
        path,
        mode,
        owner: None,
    };
    vec![
        dir(facts.state_dir.clone(), 0o711),
        dir(Folders::all(facts), 0o711),
    ]
}

pub(super) fn plan(spec: &SandboxSpec, folders: &Folders, ids: IdRange) -> Vec<KernelOp> {
    let owner = Some(ids.start());
    let dir = |path: PathBuf, mode, owner| KernelOp::MakeDir { path, mode, owner };
    let mut ops = vec![dir(folders.base.clone(), 0o711, None)];
    ops.push(dir(folders.base.join(MOUNTS), 0o711, None));
    ops.push(dir(folders.upper.clone(), 0o755, owner));
    ops.push(dir(folders.work.clone(), 0o700, owner));
    ops.push(dir(folders.run.clone(), 0o700, owner));
    ops.push(KernelOp::EnsureDir {
        path: spec.logs.dir.clone(),
        mode: 0o700,
        owner,
    });
    ops
}
