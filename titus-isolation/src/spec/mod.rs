//! What to run and how to hold it: [`SandboxSpec`] and its parts. Plain data, checked when it is planned.

mod ids;
mod parts;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use ids::{IdRange, SandboxId, SandboxIdError};
pub use parts::{EnvVar, Limit, LogConfig, Resources, Rlimit, RootFs, Signal, UnknownSignal, User, Volume};

use crate::caps::CapabilitySet;

/// Everything a runtime needs to know about one sandbox.
///
/// [`SandboxSpec::new`] fills in the safe defaults: Docker's default capabilities, the default seccomp
/// profile (always on, it has no switch), masked and read-only kernel files, no limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// Names the sandbox on this host: its folders, its cgroup, its place in [`list`](crate::ContainerRuntime::list).
    pub id: SandboxId,
    /// What `/` shows inside.
    pub rootfs: RootFs,
    /// The command and its arguments. A command without a slash is looked up in `PATH`, inside.
    pub args: Vec<String>,
    /// The whole environment; nothing of the caller's own is inherited.
    pub env: Vec<EnvVar>,
    /// Working directory inside; made when it is missing.
    pub cwd: PathBuf,
    /// Who the command runs as, inside.
    pub user: User,
    /// Host name inside, also in `/etc/hostname` and `/etc/hosts`.
    pub hostname: String,
    /// Further lines of `/etc/hosts`.
    pub hosts: Vec<(IpAddr, String)>,
    /// Name servers of `/etc/resolv.conf`.
    pub name_servers: Vec<IpAddr>,
    /// Limits. A limit that the host cannot enforce refuses the sandbox, unless it is in `unenforced`.
    pub resources: Resources,
    /// Limits that the caller accepts to run without where the host cannot enforce them.
    pub unenforced: BTreeSet<Limit>,
    /// The host ids that 0 to 65,535 inside stand for. `None`: the runtime takes a free range.
    pub ids: Option<IdRange>,
    /// Read-only folders or files of the host.
    pub volumes: Vec<Volume>,
    /// Where output goes and how much of it is kept.
    pub logs: LogConfig,
    /// Capabilities that root inside has, over its own sandbox only.
    pub capabilities: CapabilitySet,
    /// Per-process limits. One above what the host allows is a reported error, never a silent lower value.
    pub rlimits: Vec<Rlimit>,
    /// Paths of `/proc` and `/sys` that show nothing inside.
    pub masked_paths: Vec<PathBuf>,
    /// Paths of `/proc` and `/sys` that cannot be written inside.
    pub readonly_paths: Vec<PathBuf>,
}

impl SandboxSpec {
    /// A sandbox with safe defaults, no limits and an empty environment.
    pub fn new<I: Into<String>>(
        id: SandboxId,
        rootfs: RootFs,
        args: impl IntoIterator<Item = I>,
        logs: LogConfig,
    ) -> Self {
        Self {
            hostname: id.as_str().to_owned(),
            id,
            rootfs,
            args: args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: PathBuf::from("/"),
            user: User::root(),
            hosts: Vec::new(),
            name_servers: Vec::new(),
            resources: Resources::default(),
            unenforced: BTreeSet::new(),
            ids: None,
            volumes: Vec::new(),
            logs,
            capabilities: CapabilitySet::docker_default(),
            rlimits: Vec::new(),
            masked_paths: MASKED.iter().map(PathBuf::from).collect(),
            readonly_paths: READ_ONLY.iter().map(PathBuf::from).collect(),
        }
    }
}

/// Files that tell about the host or its other tenants.
const MASKED: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/kernel/debug",
];

const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];
