//! The folders of one sandbox, and what lies in its writable layer before it starts.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::facts::HostFacts;
use crate::kernel::KernelOp;
use crate::spec::{IdRange, RootFs, SandboxId, SandboxSpec};

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

/// Folders that image `host` shows empty and writable, with the permissions they get inside.
pub(super) const FRESH: [(&str, u32); 3] = [("root", 0o700), ("run", 0o755), ("tmp", 0o1777)];

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
    // Real folders in the top layer: an image that makes one of these a link cannot lead a mount astray.
    for name in ["dev", "etc", "proc", "sys"] {
        ops.push(dir(folders.upper.join(name), 0o755, owner));
    }
    if spec.rootfs == RootFs::Host {
        ops.extend(
            FRESH
                .iter()
                .map(|(name, mode)| dir(folders.upper.join(name), *mode, owner)),
        );
    }
    for (name, text) in [
        ("hosts", hosts(spec)),
        ("resolv.conf", resolv(spec)),
        ("hostname", hostname(spec)),
    ] {
        let path = folders.upper.join("etc").join(name);
        ops.push(KernelOp::WriteFile {
            path,
            text,
            mode: 0o644,
            owner,
        });
    }
    ops
}

fn hosts(spec: &SandboxSpec) -> String {
    let mut text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n".to_owned();
    for (address, name) in &spec.hosts {
        let _infallible = writeln!(text, "{address}\t{name}");
    }
    text
}

fn resolv(spec: &SandboxSpec) -> String {
    spec.name_servers.iter().fold(String::new(), |mut text, server| {
        let _infallible = writeln!(text, "nameserver {server}");
        text
    })
}

fn hostname(spec: &SandboxSpec) -> String {
    format!("{}\n", spec.hostname)
}
