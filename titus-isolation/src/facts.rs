//! What a host offers.

use std::path::PathBuf;

/// What this host offers, and where on it sandboxes may be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostFacts {
    /// Folder of the sandboxes' state.
    pub state_dir: PathBuf,
}
