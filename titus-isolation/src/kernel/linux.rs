use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Kernel, KernelOp, remove};
use crate::error::Error;

/// The kernel of this machine.
#[derive(Debug, Clone)]
pub struct LinuxKernel {
    root: PathBuf,
}

impl LinuxKernel {
    /// This machine's own files.
    pub fn new() -> Self {
        Self::under("/")
    }

    /// The same operations on a tree under another root.
    pub fn under(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn locate(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

impl Default for LinuxKernel {
    fn default() -> Self {
        Self::new()
    }
}

impl Kernel for LinuxKernel {
    fn apply(&self, op: &KernelOp) -> Result<(), Error> {
        match op {
            KernelOp::EnsureDir { path, mode, owner } => {
                let path = self.locate(path);
                named("make folder", &path, ensure_dir(&path, *mode, *owner))
            }
            KernelOp::MakeDir { path, mode, owner } => {
                let path = self.locate(path);
                named("make folder", &path, make_dir(&path, *mode, *owner))
            }
            KernelOp::MakeCgroup { path } => {
                let path = self.locate(path);
                named("make cgroup", &path, fs::create_dir(&path))
            }
            KernelOp::Set { path, value } => {
                let path = self.locate(path);
                named("write", &path, set(&path, value))
            }
            KernelOp::SetIfThere { path, value } => {
                let path = self.locate(path);
                named("write", &path, missing_is_fine(set(&path, value)))
            }
            KernelOp::RemoveCgroup { path } => {
                let path = self.locate(path);
                named("remove cgroup", &path, remove_cgroup(&path))
            }
            KernelOp::RemoveTree { path } => {
                let path = self.locate(path);
                named("remove folder", &path, missing_is_fine(remove::tree(&path)))
            }
        }
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        let mut text = String::new();
        fs::File::open(self.locate(path))?
            .take(1 << 20)
            .read_to_string(&mut text)?;
        Ok(text)
    }
}

fn named(operation: &'static str, path: &Path, result: io::Result<()>) -> Result<(), Error> {
    result.map_err(|source| Error::kernel(operation, path, source))
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn ensure_dir(path: &Path, mode: u32, owner: Option<u32>) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new().recursive(true).create(parent)?;
    }
    match make_dir(path, mode, owner) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if owner.is_some() {
                chown(path, owner, owner)
            } else {
                Ok(())
            }
        }
        other => other,
    }
}

fn make_dir(path: &Path, mode: u32, owner: Option<u32>) -> io::Result<()> {
    fs::DirBuilder::new().mode(mode & 0o777).create(path)?;
    // mkdir(2) obeys the umask and drops the sticky bit; say again what is meant.
    if mode & 0o022 != 0 || mode > 0o777 {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    if owner.is_some() {
        chown(path, owner, owner)?;
    }
    Ok(())
}

/// One write(2) with all of it: kernel files take a value whole or not at all.
fn set(path: &Path, value: &str) -> io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .open(path)?
        .write_all(value.as_bytes())
}

/// A process that was killed may take a moment to leave its group, so this waits, for 5 s at most.
fn remove_cgroup(path: &Path) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match fs::remove_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && tries < 1_000 => {
                kill_all(path);
                tries += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}

/// Version 2 kills a whole group at once; version 1 is asked for its members, who are children of a dead init.
fn kill_all(path: &Path) {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    if set(&path.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    let members = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    for pid in members
        .lines()
        .filter_map(|line| line.parse().ok())
        .filter(|pid| *pid > 0)
    {
        let _gone_is_fine = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}
