use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Count, Inner};
use crate::error::Error;
use crate::kernel::Kernel;
use crate::plan;
use crate::spec::SandboxId;
use crate::sys;

/// How long a killed init may take to end. Its processes may be waiting for a disk.
const PATIENCE_MS: u16 = 30_000;

impl Inner {
    pub(super) fn remove(&self, id: &SandboxId) -> Result<(), Error> {
        if self.making().contains(id) {
            let problem = "it is being made; wait for `create` to answer".to_owned();
            return Err(Error::State {
                operation: "remove",
                id: id.clone(),
                problem,
            });
        }
        let failures = self.take_down(id);
        if failures.is_empty() {
            self.count(Count::Removed);
            tracing::debug!(sandbox = %id, "sandbox removed");
            return Ok(());
        }
        self.count(Count::RemoveFailed);
        Err(Error::Teardown {
            id: id.to_string(),
            failures,
        })
    }

    /// Every step is tried, whatever the others met.
    pub(super) fn take_down(&self, id: &SandboxId) -> Vec<Error> {
        let mut failures: Vec<_> = self.kill_init(id).err().into_iter().collect();
        let steps = plan::teardown(&self.facts, id);
        failures.extend(steps.iter().filter_map(|op| self.kernel.apply(op).err()));
        failures
    }

    /// With process 1 of its pid namespace every process of the sandbox ends, and its mounts and network with them.
    fn kill_init(&self, id: &SandboxId) -> Result<(), Error> {
        let Some((_, process)) = self.init(id)? else {
            return Ok(());
        };
        match sys::pidfd_send_signal(&process, libc::SIGKILL) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            Err(source) => return Err(Error::kernel("kill", id.as_str(), source)),
        }
        wait_for_end(&process).map_err(|source| Error::kernel("wait for the end of", id.as_str(), source))?;
        sys::reap(&process);
        Ok(())
    }
}

fn wait_for_end(process: &OwnedFd) -> io::Result<()> {
    let mut ready = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    match poll(&mut ready, PollTimeout::from(PATIENCE_MS))? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}
