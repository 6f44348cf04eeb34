use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};

use super::EXIT;
use crate::runtime::ExecFailure;

/// The most bytes of a record that a reader takes.
pub(crate) const MAX_RECORD: u64 = 64 << 10;

/// How a sandbox ended, as its init writes it. Fields are only ever added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) version: u32,
    pub(crate) ended: Ended,
    /// Whether the init was told to kill it, so that its death by SIGKILL is not the kernel's for want of memory.
    pub(crate) told_to_kill: bool,
    pub(crate) finished_at_ms: u64,
    pub(crate) log_bytes_dropped: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ended {
    Code(i32),
    Signal(i32),
    NotExecuted(ExecFailure),
}

impl Record {
    pub(super) fn now(ended: Ended, told_to_kill: bool, log_bytes_dropped: u64) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let finished_at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Self {
            version: 1,
            ended,
            told_to_kill,
            finished_at_ms,
            log_bytes_dropped,
        }
    }

    /// Whole or not at all, as far as anyone can see while the machine runs. It is not forced to the disk: a loss of
    /// power ends the sandbox too, and what has not reached the disk by then reads as an unknown end.
    pub(super) fn write(&self, folder: &OwnedFd) -> io::Result<()> {
        let temporary = "exit.new";
        create(folder, temporary)?.write_all(&serde_json::to_vec(self)?)?;
        Ok(renameat(folder, temporary, folder, EXIT)?)
    }
}

fn create(folder: &impl AsFd, name: &str) -> io::Result<std::fs::File> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(folder, name, flags, Mode::from_bits_truncate(0o600))?.into())
}
