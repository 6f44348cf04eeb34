//! The mounts of a sandbox, in order. Targets are relative to the sandbox's folder; the new root is `mounts/root`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::host::MOUNTS;
use crate::facts::{Cgroups, HostFacts};
use crate::spec::{RootFs, SandboxSpec, Volume};

/// A part of the host's file tree that the launcher opens, with the host's rights, for the init to mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tree {
    /// The host's root mount alone, without what is mounted on it; read-only, no devices, no set-user-id.
    HostRoot,
    /// The folder of image layers, shown as owned by root inside.
    Layers(PathBuf),
    /// A volume's source.
    Volume(Volume),
}

/// One mount of the init, or what goes with one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountStep {
    /// Mounts an opened tree, by its place in [`SandboxPlan::trees`](super::SandboxPlan::trees).
    Attach {
        /// Index of the tree.
        tree: usize,
        /// Where to.
        target: String,
    },
    /// Mounts the layers, top first, under the sandbox's writable one.
    Overlay {
        /// Read-only layers.
        lower: Vec<String>,
        /// Where to.
        target: String,
        /// Whether the kernel takes them one by one (6.8 and later), in any number, or as a list that fits a page.
        one_by_one: bool,
    },
    /// Mounts a new file system: no set-user-id, no devices, nothing executable.
    Fresh {
        /// Its type, as `proc`.
        kind: String,
        /// Where to.
        target: String,
        /// Its options.
        data: String,
        /// Whether it can be written.
        writable: bool,
    },
    /// Shows one device of the host.
    Device(DeviceNode),
    /// Makes a folder.
    Dir {
        /// The folder.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// Writes a new file that all may read.
    File {
        /// The file.
        path: String,
        /// All of its text.
        text: String,
    },
    /// Makes a symbolic link.
    Link {
        /// The link.
        path: String,
        /// Where it leads.
        to: String,
    },
    /// Marks a name of a layer as deleted, for the layers under it.
    Whiteout(String),
    /// Covers a path with nothing, if it is there.
    Mask(String),
    /// Makes a path unwritable, if it is there.
    ReadOnly(String),
    /// Mounts an opened volume on an absolute path inside, making it without following links.
    Volume {
        /// Index of the tree.
        tree: usize,
        /// Absolute path inside.
        target: PathBuf,
    },
}

/// A device that every sandbox has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceNode {
    /// `/dev/null`
    Null,
    /// `/dev/zero`
    Zero,
    /// `/dev/full`
    Full,
    /// `/dev/random`
    Random,
    /// `/dev/urandom`
    Urandom,
    /// `/dev/tty`
    Tty,
}

impl DeviceNode {
    const ALL: [Self; 6] = [
        Self::Null,
        Self::Zero,
        Self::Full,
        Self::Random,
        Self::Urandom,
        Self::Tty,
    ];

    /// Its name under `/dev`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Zero => "zero",
            Self::Full => "full",
            Self::Random => "random",
            Self::Urandom => "urandom",
            Self::Tty => "tty",
        }
    }
}

const DEV_LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

pub(super) fn plan(spec: &SandboxSpec, facts: &HostFacts) -> (Vec<Tree>, Vec<MountStep>) {
    let (mut trees, mut steps) = rootfs(spec, facts);
    steps.extend(kernel_files(facts));
    steps.extend(devices(spec));
    steps.extend(spec.masked_paths.iter().map(|p| MountStep::Mask(in_root(p))));
    steps.extend(
        spec.readonly_paths
            .iter()
            .map(|p| MountStep::ReadOnly(in_root(p))),
    );
    for volume in &spec.volumes {
        steps.push(MountStep::Volume {
            tree: trees.len(),
            target: volume.target.clone(),
        });
        trees.push(Tree::Volume(volume.clone()));
    }
    (trees, steps)
}

/// A small file system in memory holds the mount points, and the layers that every sandbox has over its image's.
fn rootfs(spec: &SandboxSpec, facts: &HostFacts) -> (Vec<Tree>, Vec<MountStep>) {
    let mut steps = vec![fresh("tmpfs", MOUNTS, "mode=755,size=1m", true)];
    steps.extend(["empty", "lower", "root"].map(|name| dir(&format!("{MOUNTS}/{name}"), 0o755)));
    steps.push(MountStep::Attach {
        tree: 0,
        target: "mounts/lower".to_owned(),
    });
    steps.extend(top(spec));
    let mut lower = vec!["mounts/top".to_owned()];
    let tree = match &spec.rootfs {
        RootFs::Host => {
            steps.extend(mask(facts));
            lower.extend(["mounts/mask".to_owned(), "mounts/lower".to_owned()]);
            Tree::HostRoot
        }
        RootFs::Layers(layers) => {
            let store = layers
                .first()
                .and_then(|l| l.parent())
                .unwrap_or_else(|| Path::new("/"));
            let name = |layer: &PathBuf| layer.file_name().map(|n| n.to_string_lossy().into_owned());
            lower.extend(
                layers
                    .iter()
                    .map(|l| format!("mounts/lower/{}", name(l).unwrap_or_default())),
            );
            Tree::Layers(store.to_path_buf())
        }
    };
    let one_by_one = facts.kernel >= (6, 8);
    steps.push(MountStep::Overlay {
        lower,
        target: "mounts/root".to_owned(),
        one_by_one,
    });
    (vec![tree], steps)
}

/// Folders that image `host` shows empty and writable, with the permissions they get inside.
const FRESH: [(&str, u32); 3] = [("root", 0o700), ("run", 0o755), ("tmp", 0o1777)];

/// The layer over all others but the sandbox's own. Its folders are real: an image that makes one of them a link
/// cannot lead a mount astray.
fn top(spec: &SandboxSpec) -> Vec<MountStep> {
    let top = |name: &str| format!("mounts/top/{name}");
    let mut steps = vec![dir("mounts/top", 0o755)];
    steps.extend(["dev", "etc", "proc", "sys"].map(|name| dir(&top(name), 0o755)));
    if spec.rootfs == RootFs::Host {
        steps.extend(FRESH.iter().map(|(name, mode)| dir(&top(name), *mode)));
    }
    for (name, text) in [
        ("hosts", hosts(spec)),
        ("resolv.conf", resolv(spec)),
        ("hostname", format!("{}\n", spec.hostname)),
    ] {
        steps.push(MountStep::File {
            path: format!("mounts/top/etc/{name}"),
            text,
        });
    }
    steps
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

fn dir(path: &str, mode: u32) -> MountStep {
    MountStep::Dir {
        path: path.to_owned(),
        mode,
    }
}

/// Names of the host that image `host` does not show.
const HIDDEN: [&str; 6] = ["boot", "home", "lost+found", "media", "mnt", "srv"];

/// Names that image `host` leads to a fresh folder, wherever they lead on the host.
const LED: [(&str, &str); 2] = [("var/run", "/run"), ("var/tmp", "/tmp")];

/// The layer over the host's root: deletions, and the folders that lead to them.
fn mask(facts: &HostFacts) -> Vec<MountStep> {
    let mask = |name: &Path| format!("mounts/mask/{}", name.display());
    let mut folders = BTreeSet::new();
    let mut names = Vec::new();
    for (name, to) in LED {
        folders.extend(above(Path::new(name)));
        names.push(MountStep::Link {
            path: mask(Path::new(name)),
            to: to.to_owned(),
        });
    }
    for name in hidden(facts) {
        folders.extend(above(&name));
        names.push(MountStep::Whiteout(mask(&name)));
    }
    let mut steps = vec![dir("mounts/mask", 0o755)];
    steps.extend(folders.iter().map(|folder| dir(&mask(folder), 0o755)));
    steps.extend(names);
    steps
}

/// Every hidden path, relative to `/`, without those inside another.
fn hidden(facts: &HostFacts) -> BTreeSet<PathBuf> {
    let own = facts.hidden.iter().chain([&facts.state_dir]);
    let all: BTreeSet<PathBuf> = own
        .map(|p| p.strip_prefix("/").unwrap_or(p).to_path_buf())
        .chain(HIDDEN.iter().map(PathBuf::from))
        .chain(FRESH.iter().map(|(name, _)| PathBuf::from(name)))
        .collect();
    let led = |p: &Path| LED.iter().any(|(name, _)| p.starts_with(name));
    let inside = |p: &Path| all.iter().any(|other| p != other && p.starts_with(other));
    all.iter()
        .filter(|p| !p.as_os_str().is_empty() && !inside(p) && !led(p))
        .cloned()
        .collect()
}

/// The folders that lead to a path, the outermost first by their order.
fn above(path: &Path) -> Vec<PathBuf> {
    path.ancestors()
        .skip(1)
        .filter(|p| !p.as_os_str().is_empty())
        .map(Path::to_path_buf)
        .collect()
}

fn kernel_files(facts: &HostFacts) -> Vec<MountStep> {
    let mut steps = vec![
        fresh("proc", "mounts/root/proc", "", true),
        fresh("sysfs", "mounts/root/sys", "", false),
    ];
    if matches!(facts.cgroups, Cgroups::V2 { .. }) {
        steps.push(fresh("cgroup2", "mounts/root/sys/fs/cgroup", "", false));
    }
    steps
}

fn devices(spec: &SandboxSpec) -> Vec<MountStep> {
    let dev = |name: &str| format!("mounts/root/dev/{name}");
    let mut steps = vec![fresh(
        "tmpfs",
        "mounts/root/dev",
        "mode=755,size=64k,nr_inodes=128",
        true,
    )];
    steps.extend(DeviceNode::ALL.into_iter().map(MountStep::Device));
    for (name, to) in DEV_LINKS {
        steps.push(MountStep::Link {
            path: dev(name),
            to: to.to_owned(),
        });
    }
    steps.extend(["pts", "shm", "mqueue"].map(|name| dir(&dev(name), 0o755)));
    steps.push(fresh(
        "devpts",
        &dev("pts"),
        "newinstance,ptmxmode=0666,mode=0620,gid=5",
        true,
    ));
    steps.push(fresh(
        "tmpfs",
        &dev("shm"),
        &format!("mode=1777,size={}", spec.resources.shm_bytes),
        true,
    ));
    steps.push(fresh("mqueue", &dev("mqueue"), "", true));
    steps
}

fn fresh(kind: &str, target: &str, data: &str, writable: bool) -> MountStep {
    MountStep::Fresh {
        kind: kind.to_owned(),
        target: target.to_owned(),
        data: data.to_owned(),
        writable,
    }
}

fn in_root(path: &Path) -> String {
    format!("mounts/root{}", path.display())
}
