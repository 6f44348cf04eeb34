//! Runs hostile programs in containers: namespaces, cgroups, capabilities, seccomp and a runtime without a daemon.

mod caps;
mod error;
mod facts;
mod runtime;
mod spec;

pub use caps::CapabilitySet;
pub use error::Error;
pub use facts::HostFacts;
pub use runtime::{ContainerRuntime, ExecFailure, Exit, ExitReason, Sandbox, SandboxState, Started, Stats};
pub use spec::{
    EnvVar, IdRange, Limit, LogConfig, Resources, Rlimit, RootFs, SandboxId, SandboxIdError, SandboxSpec,
    Signal, UnknownSignal, User, Volume,
};
