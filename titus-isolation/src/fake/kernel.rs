use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::Error;
use crate::kernel::{Kernel, KernelOp};

/// A kernel whose files are a tree under a folder: what is written can be read back, and nothing else happens.
///
/// It keeps what it was asked to do, and can be told to refuse.
#[derive(Debug)]
pub struct FakeKernel {
    root: PathBuf,
    done: Mutex<Vec<KernelOp>>,
    refused: Mutex<Vec<PathBuf>>,
}

impl FakeKernel {
    /// A kernel under a folder that exists.
    pub fn under(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            done: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    /// Gives a kernel file its text, as the kernel has it before anyone writes.
    pub fn provide(&self, path: impl AsRef<Path>, text: &str) -> io::Result<()> {
        let path = self.locate(path.as_ref());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)
    }

    /// From now on every change to this path fails.
    pub fn refuse(&self, path: impl Into<PathBuf>) {
        self.refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(path.into());
    }

    /// What was carried out so far.
    pub fn done(&self) -> Vec<KernelOp> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn locate(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn change(&self, op: &KernelOp) -> io::Result<()> {
        match op {
            KernelOp::EnsureDir { path, .. } => fs::create_dir_all(self.locate(path)),
            KernelOp::MakeDir { path, .. } => fs::create_dir(self.locate(path)),
            KernelOp::MakeCgroup { path } => {
                fs::create_dir(self.locate(path))?;
                fs::write(self.locate(path).join("cgroup.procs"), "")
            }
            // The kernel makes a group's files with the group, so here they need not be there before.
            KernelOp::Set { path, value } => fs::write(self.locate(path), value),
            KernelOp::SetIfThere { path, value } => match self.locate(path).exists() {
                true => fs::write(self.locate(path), value),
                false => Ok(()),
            },
            KernelOp::RemoveCgroup { path } | KernelOp::RemoveTree { path } => {
                missing_is_fine(fs::remove_dir_all(self.locate(path)))
            }
        }
    }
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl Kernel for FakeKernel {
    fn apply(&self, op: &KernelOp) -> Result<(), Error> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.iter().any(|path| path == op.path()) {
            return Err(Error::kernel(
                "change",
                op.path(),
                io::ErrorKind::PermissionDenied.into(),
            ));
        }
        drop(refused);
        self.change(op)
            .map_err(|source| Error::kernel("change", op.path(), source))?;
        self.done
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(op.clone());
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        fs::read_to_string(self.locate(path))
    }
}
