//! What is: read from a sandbox's folder, its processes and its cgroups, every time anew.

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Inner;
use crate::cgroup;
use crate::error::Error;
use crate::init::{self, Ended, MAX_RECORD, Record};
use crate::plan::Folders;
use crate::process;
use crate::runtime::{Exit, ExitReason, Sandbox, SandboxState};
use crate::spec::{SandboxId, Signal};
use crate::sys;

impl Inner {
    pub(super) fn list(&self) -> Result<Vec<Sandbox>, Error> {
        let all = Folders::all(&self.facts);
        let failed = |source| Error::kernel("list", &all, source);
        let mut found = Vec::new();
        for entry in fs::read_dir(&all).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(id) = name.to_str().and_then(|n| SandboxId::new(n).ok()) else {
                continue;
            };
            if self.making().contains(&id) {
                continue;
            }
            match self.observe(&id) {
                Ok(sandbox) => found.push(sandbox),
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        found.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }

    pub(super) fn observe(&self, id: &SandboxId) -> Result<Sandbox, Error> {
        let folder = self.folder(id)?;
        let sandbox = |pid: u32, state| {
            let netns = if pid == 0 {
                PathBuf::new()
            } else {
                PathBuf::from(format!("/proc/{pid}/ns/net"))
            };
            Sandbox::new(id.clone(), pid, netns, state)
        };
        if let Some((pid, process)) = self.init(id)?
            && !has_ended(&process)
        {
            let state = if gate_is_there(&folder) {
                SandboxState::Created
            } else {
                SandboxState::Running
            };
            return Ok(sandbox(pid.unsigned_abs(), state));
        }
        Ok(sandbox(0, SandboxState::Exited(self.exit(id)?)))
    }

    pub(super) fn signal(&self, id: &SandboxId, signal: Signal) -> Result<bool, Error> {
        self.folder(id)?;
        let Some((_, process)) = self.init(id)? else {
            return Ok(false);
        };
        match sys::pidfd_send_signal(&process, init::SIGNAL_OFFSET + signal.number()) {
            Ok(()) => Ok(!has_ended(&process)),
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
            Err(source) => Err(Error::kernel("signal", id.as_str(), source)),
        }
    }

    pub(super) async fn wait(&self, id: &SandboxId) -> Result<Exit, Error> {
        self.folder(id)?;
        if let Some((_, process)) = self.init(id)? {
            let failed = |source| Error::kernel("wait for", id.as_str(), source);
            let process = sys::watch(process).map_err(failed)?;
            let _ended = process.readable().await.map_err(failed)?;
            sys::reap(process.get_ref());
        }
        self.exit(id)
    }

    /// The init's pid and process; `None` when it was never made or is gone.
    pub(super) fn init(&self, id: &SandboxId) -> Result<Option<(i32, OwnedFd)>, Error> {
        let path = Folders::new(&self.facts, id).base.join(init::PID_FILE);
        let failed = |source| Error::kernel("read", &path, source);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let mut numbers = text.split_whitespace();
        let pid = numbers.next().and_then(|n| n.parse().ok());
        let began = numbers.next().and_then(|n| n.parse().ok());
        let (Some(pid), Some(began)) = (pid, began) else {
            return Ok(None);
        };
        Ok(process::open(pid, began)
            .map_err(failed)?
            .map(|process| (pid, process)))
    }

    /// How a sandbox whose init is gone has ended. A zombie nobody has reaped yet counts as gone.
    pub(super) fn exit(&self, id: &SandboxId) -> Result<Exit, Error> {
        let folder = self.folder(id)?;
        let oom_kills = cgroup::read_stats(&self.kernel, &self.facts, id).map_or(0, |s| s.oom_kills);
        let path = folder.join(init::RUN).join(init::EXIT);
        let record = read_record(&path).map_err(|source| Error::kernel("read", &path, source))?;
        Ok(match record {
            Some(record) => recorded(record, oom_kills),
            None => Exit {
                oom_kills,
                ..Exit::new(unrecorded(&folder, oom_kills))
            },
        })
    }

    pub(super) fn folder(&self, id: &SandboxId) -> Result<PathBuf, Error> {
        let folder = Folders::new(&self.facts, id).base;
        if folder.exists() {
            Ok(folder)
        } else {
            Err(Error::NotFound { id: id.clone() })
        }
    }
}

/// SIGKILL that nobody sent through the init, in a group where the kernel killed for memory, was the kernel's.
fn recorded(record: Record, oom_kills: u64) -> Exit {
    let reason = match record.ended {
        Ended::Code(code) => ExitReason::Code(code),
        Ended::NotExecuted(failure) => ExitReason::NotExecuted(failure),
        Ended::Signal(libc::SIGKILL) if oom_kills > 0 && !record.told_to_kill => ExitReason::OutOfMemory,
        Ended::Signal(number) => Signal::new(number).map_or_else(
            |_| ExitReason::Unknown(format!("ended by signal {number}")),
            ExitReason::Signal,
        ),
    };
    Exit {
        reason,
        oom_kills,
        finished_at_ms: Some(record.finished_at_ms),
        log_bytes_dropped: record.log_bytes_dropped,
    }
}

/// The init is gone and left nothing: it was killed, or the machine stopped, or it was never fully made.
fn unrecorded(folder: &Path, oom_kills: u64) -> ExitReason {
    if oom_kills > 0 {
        ExitReason::OutOfMemory
    } else if folder.join(init::PID_FILE).exists() {
        ExitReason::Unknown(
            "its init is gone and left no record; the machine or an operator ended it".to_owned(),
        )
    } else {
        ExitReason::Unknown("it was never fully made".to_owned())
    }
}

/// The init closes its gate once it has let the command through; hanging up on it again disturbs nothing.
fn gate_is_there(folder: &Path) -> bool {
    super::start::connect(folder).is_ok()
}

/// The record is written by a process with the tenant's ids, so its size and kind are not trusted.
fn read_record(path: &Path) -> io::Result<Option<Record>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = match fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    if file.metadata()?.is_file() {
        file.take(MAX_RECORD).read_to_end(&mut text)?;
    }
    Ok(serde_json::from_slice(&text).ok())
}

/// A pidfd is readable from the moment its process has ended.
fn has_ended(process: &OwnedFd) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut ready = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    poll(&mut ready, PollTimeout::ZERO).is_ok_and(|n| n > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(ended: Ended, told_to_kill: bool) -> Record {
        Record {
            version: 1,
            ended,
            told_to_kill,
            finished_at_ms: 5,
            log_bytes_dropped: 3,
        }
    }

    #[test]
    fn memory_is_blamed_only_for_a_kill_that_nobody_asked_for() {
        let reason = |ended, told, ooms| recorded(record(ended, told), ooms).reason;
        assert_eq!(reason(Ended::Signal(9), false, 1), ExitReason::OutOfMemory);
        assert_eq!(
            reason(Ended::Signal(9), true, 1),
            ExitReason::Signal(Signal::KILL)
        );
        assert_eq!(
            reason(Ended::Signal(9), false, 0),
            ExitReason::Signal(Signal::KILL)
        );
        assert_eq!(
            reason(Ended::Signal(15), false, 1),
            ExitReason::Signal(Signal::TERM)
        );
        assert_eq!(reason(Ended::Code(1), false, 1), ExitReason::Code(1));
        assert!(matches!(
            reason(Ended::Signal(40), false, 0),
            ExitReason::Unknown(_)
        ));
    }

    #[test]
    fn a_record_that_is_no_record_is_an_unknown_end() {
        let temp = tempfile::tempdir().expect("a folder");
        let path = temp.path().join("exit");
        assert_eq!(read_record(&path).expect("readable"), None);
        for text in ["", "{", "{\"version\":1}", "exit 0"] {
            fs::write(&path, text).expect("written");
            assert_eq!(read_record(&path).expect("readable"), None, "{text:?}");
        }
        let whole = record(Ended::Code(7), false);
        fs::write(&path, serde_json::to_vec(&whole).expect("json")).expect("written");
        assert_eq!(read_record(&path).expect("readable"), Some(whole));
        fs::remove_file(&path).expect("removed");
        std::os::unix::fs::symlink("/etc/passwd", &path).expect("linked");
        assert!(read_record(&path).is_err());
    }

    #[test]
    fn an_end_that_nobody_saw_is_never_a_code() {
        let temp = tempfile::tempdir().expect("a folder");
        assert!(matches!(unrecorded(temp.path(), 0), ExitReason::Unknown(_)));
        assert_eq!(unrecorded(temp.path(), 2), ExitReason::OutOfMemory);
        assert_eq!(Exit::new(unrecorded(temp.path(), 0)).code(), None);
    }
}
