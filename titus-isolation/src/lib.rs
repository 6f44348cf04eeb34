//! Runs hostile programs in containers: namespaces, cgroups, capabilities, seccomp and a runtime without a daemon.

mod caps;
mod cgroup;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod facts;
#[cfg(feature = "fake")]
pub mod fake;
#[cfg(feature = "sandbox")]
mod helper;
#[cfg(feature = "image")]
pub mod image;
#[cfg(feature = "sandbox")]
pub mod init;
mod kernel;
mod plan;
#[cfg(feature = "sandbox")]
mod process;
mod runtime;
#[cfg(feature = "sandbox")]
mod seccomp;
mod spec;
#[cfg(feature = "sandbox")]
mod sys;

pub use caps::CapabilitySet;
pub use cgroup::{Join, read_stats};
pub use error::Error;
pub use facts::{Cgroups, HostFacts, Missing};
#[cfg(feature = "sandbox")]
pub use helper::InitProgram;
#[cfg(feature = "linux")]
pub use kernel::LinuxKernel;
pub use kernel::{Kernel, KernelOp, apply, undo};
pub use plan::{DeviceNode, MountStep, Plan, ProcessPlan, SandboxPlan, Tree, plan, prepare, teardown};
#[cfg(feature = "sandbox")]
pub use runtime::sandbox::{Counters, SandboxConfig, SandboxRuntime};
pub use runtime::{ContainerRuntime, ExecFailure, Exit, ExitReason, Sandbox, SandboxState, Started, Stats};
pub use spec::{
    EnvVar, IdRange, Limit, LogConfig, Resources, Rlimit, RootFs, SandboxId, SandboxIdError, SandboxSpec,
    Signal, UnknownSignal, User, Volume,
};
