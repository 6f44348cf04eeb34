use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::host::Folders;
use super::mounts::{self, MountStep, Tree};
use crate::caps::CapabilitySet;
use crate::cgroup::Join;
use crate::error::Error;
use crate::facts::HostFacts;
use crate::spec::{EnvVar, IdRange, LogConfig, Rlimit, SandboxSpec, User};

/// What the launcher and the init do, in this order: join the groups, clone with all namespaces, map the ids, open
/// the trees, mount, change the root, name the host, wait at the gate, harden the command's process, execute it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SandboxPlan {
    /// The sandbox's folder; the launcher works in it.
    pub base: PathBuf,
    /// How to get into its cgroups.
    pub join: Join,
    /// The host ids that its own stand for.
    pub ids: IdRange,
    /// Parts of the host that it is built from.
    pub trees: Vec<Tree>,
    /// Its mounts, in order.
    pub mounts: Vec<MountStep>,
    /// Its host name.
    pub hostname: String,
    /// Where its output goes.
    pub logs: LogConfig,
    /// The command and how it is held.
    pub process: ProcessPlan,
}

/// The command of a sandbox and how its process is held. No new privileges, and both seccomp filters, always.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProcessPlan {
    /// Program and arguments.
    pub args: Vec<String>,
    /// All variables.
    pub env: Vec<EnvVar>,
    /// Working directory inside.
    pub cwd: PathBuf,
    /// Who it runs as.
    pub user: User,
    /// What root inside keeps, in all sets; ambient and inheritable stay empty.
    pub capabilities: CapabilitySet,
    /// Per-process limits.
    pub rlimits: Vec<Rlimit>,
    /// Chosen before the host's own processes when the host runs out of memory: -1,000 to 1,000.
    pub oom_score_adj: i32,
    /// Set by escape tests alone, see `conformance::Weakened`.
    #[cfg(feature = "conformance")]
    #[doc(hidden)]
    #[serde(default)]
    pub traceable_init: bool,
}

pub(super) fn plan(
    spec: &SandboxSpec,
    facts: &HostFacts,
    folders: &Folders,
    ids: IdRange,
    join: Join,
) -> Result<SandboxPlan, Error> {
    let (trees, mounts) = mounts::plan(spec, facts);
    Ok(SandboxPlan {
        base: folders.base.clone(),
        join,
        ids,
        trees,
        mounts,
        hostname: spec.hostname.clone(),
        logs: spec.logs.clone(),
        process: ProcessPlan {
            args: spec.args.clone(),
            env: env(spec),
            cwd: spec.cwd.clone(),
            user: spec.user.clone(),
            capabilities: spec.capabilities,
            rlimits: spec.rlimits.clone(),
            oom_score_adj: 1_000,
            #[cfg(feature = "conformance")]
            traceable_init: false,
        },
    })
}

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The caller's variables, and a `PATH` where it gives none.
fn env(spec: &SandboxSpec) -> Vec<EnvVar> {
    let mut env = spec.env.clone();
    if !env.iter().any(|v| v.name() == "PATH") {
        env.insert(0, EnvVar::new("PATH", PATH));
    }
    env
}
