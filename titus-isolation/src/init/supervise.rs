//! The init's last part: reaps, forwards, moves output, and writes down how it ended.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::logs::Logs;
use super::record::{Ended, Record};
use super::{SIGNAL_OFFSET, leave};
use crate::sys;

pub(super) fn main(command: Pid, signals: &OwnedFd, run: &OwnedFd, mut logs: Logs) -> ! {
    let mut told_to_kill = false;
    let ended = loop {
        let ready = wait_for(signals, &logs);
        for (index, readable) in ready.into_iter().enumerate() {
            if readable {
                logs.pump(index);
            }
        }
        told_to_kill |= forward(signals, command);
        if let Some(ended) = reap(command) {
            break ended;
        }
    };
    kill_the_rest();
    logs.drain();
    let _reader_says_unknown = Record::now(ended, told_to_kill, logs.dropped).write(run);
    leave(0)
}

/// Sleeps until something happens; answers which streams have output.
fn wait_for(signals: &OwnedFd, logs: &Logs) -> [bool; 2] {
    // poll(2) passes over negative descriptors, but a borrowed one cannot be negative: a closed stream asks for nothing.
    let stream = |index: usize| match &logs.streams[index].from {
        Some(from) => PollFd::new(from.as_fd(), PollFlags::POLLIN),
        None => PollFd::new(signals.as_fd(), PollFlags::empty()),
    };
    let mut ready = [
        stream(0),
        stream(1),
        PollFd::new(signals.as_fd(), PollFlags::POLLIN),
    ];
    let _interrupted_is_fine = poll(&mut ready, PollTimeout::NONE);
    [0, 1].map(|index| logs.streams[index].from.is_some() && ready[index].any().unwrap_or(false))
}

/// Passes on what was told from outside, and nothing that was sent from inside. `true`: it was SIGKILL.
fn forward(signals: &OwnedFd, command: Pid) -> bool {
    let mut killed = false;
    while let Some((number, outside)) = sys::next_signal(signals) {
        if !outside || number <= SIGNAL_OFFSET {
            continue;
        }
        if let Ok(signal) = Signal::try_from(number - SIGNAL_OFFSET) {
            let _gone_is_fine = kill(command, signal);
            killed |= signal == Signal::SIGKILL;
        }
    }
    killed
}

/// Reaps all that is dead; answers how the command ended once it has.
fn reap(command: Pid) -> Option<Ended> {
    let mut ended = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == command => ended = Some(Ended::Code(code)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == command => {
                ended = Some(Ended::Signal(signal as i32));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return ended,
            Ok(_) | Err(_) => {}
        }
    }
}

/// The command's end is the sandbox's end.
fn kill_the_rest() {
    let everyone_but_the_init = Pid::from_raw(-1);
    loop {
        let _none_is_fine = kill(everyone_but_the_init, Signal::SIGKILL);
        match waitpid(None, None) {
            Err(Errno::ECHILD) => return,
            _ => continue,
        }
    }
}
