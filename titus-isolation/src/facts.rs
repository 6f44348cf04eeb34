//! What a host offers: detected by reading its own files, explained where something is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use crate::kernel::Kernel;
use crate::spec::Limit;

/// What this host offers, and where on it sandboxes are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostFacts {
    /// Folder of the sandboxes' state.
    pub state_dir: PathBuf,
    /// Name of the cgroup that holds all sandboxes, relative to each hierarchy's mount point.
    pub cgroup_parent: String,
    /// Absolute paths that image `host` hides, beside homes, temporary files and the state folder.
    pub hidden: Vec<PathBuf>,
    /// Which cgroups there are.
    pub cgroups: Cgroups,
    /// Kernel version, as (6, 1).
    pub kernel: (u32, u32),
    /// Whether this process is root with CAP_SYS_ADMIN.
    pub root: bool,
    /// Whether user namespaces may be made.
    pub user_namespaces: bool,
    /// Whether the kernel filters system calls.
    pub seccomp: bool,
    /// Whether image layers can be shown as root's own inside. `None`: not tried on this host.
    pub idmapped_mounts: Option<bool>,
    /// What is missing and what to do about it; empty on a complete host.
    pub missing: Vec<Missing>,
}

/// The cgroup hierarchies of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cgroups {
    /// None is mounted.
    None,
    /// Version 1, also beside a version 2 mount (hybrid): each controller's name and mount point.
    V1(BTreeMap<String, PathBuf>),
    /// Version 2 alone.
    V2 {
        /// Mount point.
        mount: PathBuf,
        /// Controllers that its root offers.
        controllers: BTreeSet<String>,
    },
}

/// One thing that a host lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What is missing, as `memory controller`.
    pub what: String,
    /// What was looked for, and where.
    pub why: String,
    /// What an operator can do.
    pub fix: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.what, self.why, self.fix)
    }
}

impl HostFacts {
    /// Reads what the host offers. Nothing is changed or tried.
    pub fn detect(
        kernel: &dyn Kernel,
        state_dir: impl Into<PathBuf>,
        cgroup_parent: impl Into<String>,
    ) -> Self {
        let read = |path: &str| kernel.read(Path::new(path)).unwrap_or_default();
        let mut facts = Self {
            state_dir: state_dir.into(),
            cgroup_parent: cgroup_parent.into(),
            hidden: Vec::new(),
            cgroups: cgroups(kernel, &read("/proc/self/mountinfo")),
            kernel: version(&read("/proc/sys/kernel/osrelease")),
            root: is_root(&read("/proc/self/status")),
            user_namespaces: read("/proc/sys/user/max_user_namespaces")
                .trim()
                .parse()
                .is_ok_and(|n: u64| n > 0),
            seccomp: !read("/proc/sys/kernel/seccomp/actions_avail").is_empty(),
            idmapped_mounts: None,
            missing: Vec::new(),
        };
        facts.missing = facts.explain();
        facts
    }

    /// A complete cgroup v2 host, for doubles and dry runs.
    pub fn complete(state_dir: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.into(),
            cgroup_parent: "titus".to_owned(),
            hidden: Vec::new(),
            cgroups: Cgroups::V2 {
                mount: PathBuf::from("/sys/fs/cgroup"),
                controllers: ["cpu", "io", "memory", "pids"].map(str::to_owned).into(),
            },
            kernel: (6, 12),
            root: true,
            user_namespaces: true,
            seccomp: true,
            idmapped_mounts: Some(true),
            missing: Vec::new(),
        }
    }

    /// Whether the host can hold a sandbox to this limit.
    pub fn enforces(&self, limit: Limit) -> bool {
        limit != Limit::Disk && self.cgroups.has(limit.name())
    }

    fn explain(&self) -> Vec<Missing> {
        let mut missing = Vec::new();
        let mut lacks = |there: bool, what: &str, why: &str, fix: &str| {
            if !there {
                missing.push(Missing {
                    what: what.to_owned(),
                    why: why.to_owned(),
                    fix: fix.to_owned(),
                });
            }
        };
        lacks(
            self.root,
            "root",
            "this process has no CAP_SYS_ADMIN",
            "run it as root",
        );
        lacks(
            self.kernel >= (5, 12),
            "kernel 5.12 or later",
            "/proc/sys/kernel/osrelease names an older one",
            "boot a newer kernel",
        );
        lacks(
            self.user_namespaces,
            "user namespaces",
            "/proc/sys/user/max_user_namespaces is 0 or not there",
            "set it to 65536, or use a kernel with CONFIG_USER_NS",
        );
        lacks(
            self.seccomp,
            "seccomp filters",
            "/proc/sys/kernel/seccomp/actions_avail is not there",
            "use a kernel with CONFIG_SECCOMP_FILTER",
        );
        lacks(
            self.cgroups != Cgroups::None,
            "cgroups",
            "/proc/self/mountinfo shows no cgroup mount",
            "mount cgroup2 on /sys/fs/cgroup",
        );
        for limit in [Limit::Cpu, Limit::Memory, Limit::Pids] {
            let what = format!("{} controller", limit.name());
            lacks(
                self.enforces(limit),
                &what,
                &self.cgroups.describe(),
                CONTROLLER_FIX,
            );
        }
        missing
    }
}

pub(crate) const CONTROLLER_FIX: &str = "boot a kernel that offers it to cgroup v2, or mount its v1 hierarchy, or accept to run without that limit";

impl Cgroups {
    /// Whether a controller is offered.
    pub fn has(&self, controller: &str) -> bool {
        match self {
            Self::None => false,
            Self::V1(mounts) => mounts.contains_key(controller),
            Self::V2 { controllers, .. } => controllers.contains(controller),
        }
    }

    /// What was found, for messages.
    pub fn describe(&self) -> String {
        match self {
            Self::None => "no cgroup mount was found".to_owned(),
            Self::V1(mounts) => {
                let names: Vec<_> = mounts.keys().map(String::as_str).collect();
                format!("cgroup v1 mounts offer {}", names.join(", "))
            }
            Self::V2 { mount, controllers } => {
                let names: Vec<_> = controllers.iter().map(String::as_str).collect();
                format!("cgroup v2 on {} offers [{}]", mount.display(), names.join(", "))
            }
        }
    }
}

/// Version 1 wins where it has a controller that limits need: on a hybrid host version 2 has none of them.
fn cgroups(kernel: &dyn Kernel, mountinfo: &str) -> Cgroups {
    let mut v1 = BTreeMap::new();
    let mut v2 = None;
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let Some(point) = left.split(' ').nth(4) else {
            continue;
        };
        let mut fields = right.split(' ');
        match (fields.next(), fields.nth(1)) {
            (Some("cgroup2"), _) => v2 = Some(PathBuf::from(unescape(point))),
            (Some("cgroup"), Some(options)) => {
                for controller in options.split(',').filter(|o| CONTROLLERS.contains(o)) {
                    v1.insert(controller.to_owned(), PathBuf::from(unescape(point)));
                }
            }
            _ => {}
        }
    }
    let limits = ["cpu", "memory", "pids"].iter().any(|c| v1.contains_key(*c));
    match v2 {
        Some(mount) if !limits => {
            let offered = kernel.read(&mount.join("cgroup.controllers")).unwrap_or_default();
            Cgroups::V2 {
                mount,
                controllers: offered.split_whitespace().map(str::to_owned).collect(),
            }
        }
        _ if v1.is_empty() => Cgroups::None,
        _ => Cgroups::V1(v1),
    }
}

/// The version 1 controllers that sandboxes use; others (devices, blkio, …) are not joined.
const CONTROLLERS: [&str; 4] = ["cpu", "cpuacct", "memory", "pids"];

/// mountinfo writes space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn version(release: &str) -> (u32, u32) {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|n| n.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Effective user 0 with CAP_SYS_ADMIN (bit 21).
fn is_root(status: &str) -> bool {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let user = field("Uid:").and_then(|f| f.split_whitespace().nth(1));
    let caps = field("CapEff:")
        .and_then(|f| u64::from_str_radix(f.trim(), 16).ok())
        .unwrap_or(0);
    user == Some("0") && caps & (1 << 21) != 0
}
