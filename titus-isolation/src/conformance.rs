//! The public suite.
use serde::{Deserialize, Serialize};

/// Parts of the hardening that an escape test leaves out.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Weakened {
    /// Install no seccomp filter.
    pub no_seccomp: bool,
}
