use std::fs;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::{Count, Inner};
use crate::error::Error;
use crate::init::{self, Opened};
use crate::runtime::{ExitReason, SandboxState, Started};
use crate::spec::SandboxId;

impl Inner {
    pub(super) fn start(&self, id: &SandboxId) -> Result<Started, Error> {
        let folder = self.folder(id)?;
        let started = match open_gate(&folder) {
            Ok(Opened::Running) => Started::Running,
            Ok(Opened::Failed(failure)) => Started::Failed(failure),
            // The gate is gone: someone has opened it before, or there is nobody behind it any more.
            Err(_) => return self.started_before(id),
        };
        self.count(if started == Started::Running {
            Count::Started
        } else {
            Count::StartFailed
        });
        tracing::debug!(sandbox = %id, running = (started == Started::Running), "gate opened");
        Ok(started)
    }

    fn started_before(&self, id: &SandboxId) -> Result<Started, Error> {
        let problem = match self.observe(id)?.state {
            SandboxState::Running => return Ok(Started::Running),
            SandboxState::Created => "its gate does not answer; remove it and create it again".to_owned(),
            SandboxState::Exited(exit) => match exit.reason {
                ExitReason::NotExecuted(failure) => return Ok(Started::Failed(failure)),
                reason => format!("it has ended: {reason:?}; remove it and create it again"),
            },
        };
        Err(Error::State {
            operation: "start",
            id: id.clone(),
            problem,
        })
    }
}

fn open_gate(folder: &Path) -> io::Result<Opened> {
    let mut gate = connect(folder)?;
    gate.write_all(&[init::START])?;
    init::read_answer(&mut gate)
}

/// Connects through the folder's descriptor, since a socket's own path may be at most 107 bytes long.
pub(super) fn connect(folder: &Path) -> io::Result<UnixStream> {
    let folder = fs::File::open(folder)?;
    UnixStream::connect(format!("/proc/self/fd/{}/{}", folder.as_raw_fd(), init::GATE))
}
