//! Runs hostile programs in containers: every one in namespaces of its own with its own range of user ids, on an
//! overlay of an image, under cgroup limits, with Docker's default capabilities and a system call filter that is
//! always on. There is no daemon: each sandbox's small init outlives whoever asked for it, keeps its output and its
//! exit code in files, and the next caller adopts what it finds.
//!
//! By default this crate only plans, which needs no rights and touches nothing:
//!
//! ```
//! use titus_isolation::{HostFacts, LogConfig, RootFs, SandboxId, SandboxSpec, plan};
//!
//! let command = ["/bin/sh", "-c", "make -j2"];
//! let mut spec = SandboxSpec::new(SandboxId::new("build-7")?, RootFs::Host, command, LogConfig::new("/var/log/build-7"));
//! spec.resources.milli_cpu = Some(2_000);
//! spec.resources.pids_max = Some(256);
//!
//! // A dry run: everything that `SandboxRuntime::create` would do on a complete cgroup v2 host.
//! let plan = plan(&spec, &HostFacts::complete("/var/lib/titus"))?;
//! print!("{plan}");
//! assert!(plan.to_string().contains("set /sys/fs/cgroup/titus/build-7/cpu.max = \"200000 100000\""));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With the feature `sandbox` the same spec runs; `examples/sandboxed_build.rs` is a whole program that does.
//!
//! | Part | What is in it |
//! |---|---|
//! | [`SandboxSpec`] | what to run and how to hold it |
//! | [`HostFacts`] | what a host offers, and what it lacks and why |
//! | [`plan()`], [`prepare`], [`teardown`] | spec and facts to [`KernelOp`]s and a [`SandboxPlan`]; pure |
//! | [`Kernel`], [`apply`], [`undo`] | the seam that carries operations out; `LinuxKernel` (feature `linux`) |
//! | [`ContainerRuntime`] | create, start, signal, wait, list, remove, stats; `SandboxRuntime` (feature `sandbox`) |
//! | `init` | the process inside every sandbox, and the one line that a program embedding it needs (feature `sandbox`) |
//! | `image` | OCI layouts and archives to layers and a configuration (feature `image`) |
//! | `fake` | `FakeKernel`, a folder, and `FakeRuntime`, scripts in memory (feature `fake`) |
//! | `conformance` | the suite that every runtime passes (feature `conformance`) |

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
