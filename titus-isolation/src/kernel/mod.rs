//! Plans for the host as data, and the seam that carries them out: [`KernelOp`], [`Kernel`], [`apply`].

#[cfg(feature = "linux")]
mod linux;
#[cfg(feature = "linux")]
mod remove;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

#[cfg(feature = "linux")]
pub use linux::LinuxKernel;

use crate::error::Error;

/// One change to the host's files or cgroups. Paths are absolute, under the root that the [`Kernel`] was given.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelOp {
    /// Makes a folder that many share, with its parents; it may be there, and is never undone.
    EnsureDir {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The host id of owner and group; `None`: who makes it.
        owner: Option<u32>,
    },
    /// Makes a folder that must not be there yet.
    MakeDir {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The host id of owner and group; `None`: who makes it.
        owner: Option<u32>,
    },
    /// Makes a cgroup that must not be there yet.
    MakeCgroup {
        /// Its folder.
        path: PathBuf,
    },
    /// Writes a value to a kernel file that is there.
    Set {
        /// The kernel file.
        path: PathBuf,
        /// The value, without a line end.
        value: String,
    },
    /// Writes a value to a kernel file that some kernels lack because they lack what it limits.
    SetIfThere {
        /// The kernel file.
        path: PathBuf,
        /// The value, without a line end.
        value: String,
    },
    /// Removes an empty cgroup, killing what is left in it; it may be gone.
    RemoveCgroup {
        /// Its folder.
        path: PathBuf,
    },
    /// Removes a folder and all in it, following nothing; it may be gone.
    RemoveTree {
        /// The folder.
        path: PathBuf,
    },
}

impl KernelOp {
    /// The file or folder it changes.
    pub fn path(&self) -> &Path {
        match self {
            Self::EnsureDir { path, .. }
            | Self::MakeDir { path, .. }
            | Self::MakeCgroup { path }
            | Self::Set { path, .. }
            | Self::SetIfThere { path, .. }
            | Self::RemoveCgroup { path }
            | Self::RemoveTree { path } => path,
        }
    }

    /// What takes this change back; `None` where nothing is left to take back once its folder is removed.
    pub fn inverse(&self) -> Option<Self> {
        match self {
            Self::MakeDir { path, .. } => Some(Self::RemoveTree { path: path.clone() }),
            Self::MakeCgroup { path } => Some(Self::RemoveCgroup { path: path.clone() }),
            _ => None,
        }
    }
}

impl fmt::Display for KernelOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = |owner: &Option<u32>| owner.map(|o| format!(" owner {o}")).unwrap_or_default();
        match self {
            Self::EnsureDir { path, mode, owner: o } => {
                write!(f, "ensure dir {} {mode:04o}{}", path.display(), owner(o))
            }
            Self::MakeDir { path, mode, owner: o } => {
                write!(f, "make dir {} {mode:04o}{}", path.display(), owner(o))
            }
            Self::MakeCgroup { path } => write!(f, "make cgroup {}", path.display()),
            Self::Set { path, value } => write!(f, "set {} = {value:?}", path.display()),
            Self::SetIfThere { path, value } => write!(f, "set if there {} = {value:?}", path.display()),
            Self::RemoveCgroup { path } => write!(f, "remove cgroup {}", path.display()),
            Self::RemoveTree { path } => write!(f, "remove tree {}", path.display()),
        }
    }
}

/// Carries out changes and reads kernel files, under a root of its own: `/` in production, a temporary folder in
/// tests. Synchronous, since cgroup files block: call it off an async runtime's workers.
pub trait Kernel: Send + Sync + fmt::Debug {
    /// Carries out one change. It has either happened or left nothing.
    fn apply(&self, op: &KernelOp) -> Result<(), Error>;

    /// The text of a kernel file, at most 1 MiB of it.
    fn read(&self, path: &Path) -> io::Result<String>;
}

/// Carries out a plan in order. When a step fails, those before it are taken back in reverse.
///
/// The first failure is the error; a failure to take back is only traced, since the caller's next tear-down meets it.
pub fn apply(kernel: &dyn Kernel, ops: &[KernelOp]) -> Result<(), Error> {
    for (done, op) in ops.iter().enumerate() {
        if let Err(error) = kernel.apply(op) {
            for failure in undo(kernel, &ops[..done]) {
                tracing::warn!(%failure, "a change could not be taken back");
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Takes a carried-out plan back in reverse, going on after failures, and answers all of them.
pub fn undo(kernel: &dyn Kernel, ops: &[KernelOp]) -> Vec<Error> {
    ops.iter()
        .rev()
        .filter_map(KernelOp::inverse)
        .filter_map(|op| kernel.apply(&op).err())
        .collect()
}
