//! The init's second part: nothing is executed before someone with the host's rights says so.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::command::{self, Start};
use super::logs::Logs;
use super::record::{Ended, Record};
use super::{Launch, Opened, SIGNAL_OFFSET, START, answer, leave, supervise};
use crate::sys;

/// What the init listens to from the moment it is known to anyone; a signal to process 1 that comes earlier is lost.
pub(super) fn listen() -> io::Result<OwnedFd> {
    sys::signal_fd((SIGNAL_OFFSET + 1..=SIGNAL_OFFSET + 31).chain([libc::SIGCHLD]))
}

pub(super) fn main(launch: &Launch, gate: UnixListener, signals: OwnedFd, run: OwnedFd, mut logs: Logs) -> ! {
    loop {
        wait_for(&gate, &signals);
        if let Some(signal) = fatal_signal(&signals) {
            end(&run, Ended::Signal(signal), signal == libc::SIGKILL)
        }
        let Some(mut asked) = next_request(&gate) else {
            continue;
        };
        match command::start(launch, &mut logs) {
            Start::Running(command) => {
                let _asker_is_gone = answer(&mut asked, &Opened::Running);
                drop((asked, gate));
                supervise::main(command, &signals, &run, logs)
            }
            Start::Failed(failure) => {
                let record = Record::now(Ended::NotExecuted(failure.clone()), false, 0);
                let _reader_says_unknown = record.write(&run);
                let _asker_is_gone = answer(&mut asked, &Opened::Failed(failure));
                leave(0)
            }
        }
    }
}

fn wait_for(gate: &UnixListener, signals: &OwnedFd) {
    let mut ready = [
        PollFd::new(gate.as_fd(), PollFlags::POLLIN),
        PollFd::new(signals.as_fd(), PollFlags::POLLIN),
    ];
    let _interrupted_is_fine = poll(&mut ready, PollTimeout::NONE);
}

/// A request to start. An asker that hangs up or says something else is let go; the next may be a new runtime.
fn next_request(gate: &UnixListener) -> Option<UnixStream> {
    gate.set_nonblocking(true).ok()?;
    let (mut asked, _) = gate.accept().ok()?;
    asked.set_nonblocking(false).ok()?;
    asked.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut word = [0];
    asked.read_exact(&mut word).ok()?;
    (word[0] == START).then_some(asked)
}

/// The signals whose default is not to end a process do nothing to a sandbox that does not run yet.
const HARMLESS: [i32; 8] = [
    libc::SIGCHLD,
    libc::SIGCONT,
    libc::SIGSTOP,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGURG,
    libc::SIGWINCH,
];

fn fatal_signal(signals: &OwnedFd) -> Option<i32> {
    while let Some((number, outside)) = sys::next_signal(signals) {
        let signal = number - SIGNAL_OFFSET;
        if outside && number > SIGNAL_OFFSET && !HARMLESS.contains(&signal) {
            return Some(signal);
        }
    }
    None
}

fn end(run: &OwnedFd, ended: Ended, told_to_kill: bool) -> ! {
    let _reader_says_unknown = Record::now(ended, told_to_kill, 0).write(run);
    leave(0)
}
