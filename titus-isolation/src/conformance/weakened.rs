use serde::{Deserialize, Serialize};

/// Parts of the hardening that an escape test leaves out, to see its attempt succeed before it sees it refused.
///
/// No production interface takes it; it is here because the sandbox's own tests are a crate of their own.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Weakened {
    /// Install no seccomp filter.
    pub no_seccomp: bool,
    /// Keep all capabilities over the sandbox's own user namespace.
    pub all_capabilities: bool,
    /// Let the init be traced and looked into, as if it had been executed inside.
    pub traceable_init: bool,
    /// Show the host's root file system without the deletions over homes, temporary files and state.
    pub nothing_hidden: bool,
    /// Neither mask nor protect any file of `/proc` and `/sys`.
    pub open_kernel_files: bool,
    /// Let set-user-id programs gain the rights of their owner.
    pub new_privileges: bool,
}
