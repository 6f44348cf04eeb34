//! The process inside a sandbox: builds it, waits at the gate, runs the command, keeps its output and its exit.
//!
//! Three processes take part, each with one thread. The *launcher* is spawned and executed by the runtime with the
//! host's rights; it clones the *init* into new namespaces, maps its ids, and ends. The init builds the sandbox,
//! waits at its gate (a socket in the sandbox's folder), then forks the *command*, hardens and executes it, and stays
//! as process 1 until it has written the exit record. Nothing else of the host takes part, so nothing else can die.
//!
//! The init never executes anything itself, so its memory belongs to the host's user namespace, and it hides from
//! tracing: no process inside can reach the descriptors it holds, whatever rights it has there.

mod account;
mod build;
mod command;
mod gate;
mod launcher;
mod logs;
mod record;
mod supervise;

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub(crate) use record::{Ended, MAX_RECORD, Record};

use crate::plan::SandboxPlan;
use crate::runtime::ExecFailure;
use crate::seccomp::Filters;

/// The name that the launcher is executed under.
pub(crate) const ARG0: &str = "titus-init";

/// Names in a sandbox's folder.
pub(crate) const GATE: &str = "gate";
pub(crate) const PID_FILE: &str = "pid";
pub(crate) const RUN: &str = "run";
pub(crate) const EXIT: &str = "exit";

/// The init's own signals: 34 to 64 stand for 1 to 31, so that every one can be told, SIGKILL included.
pub(crate) const SIGNAL_OFFSET: i32 = 33;

/// Becomes the sandbox's launcher, if this process was started as one, and then never returns.
///
/// A program that embeds the `sandbox` runtime calls this as the first line of its `main`, before any thread starts.
/// One that installs the `titus-init` binary and names it in the runtime's configuration need not.
pub fn run_if_asked() {
    if std::env::args_os().next().is_some_and(|name| name == ARG0) {
        launcher::main();
    }
}

/// What a helper is asked, in the first part of the message.
#[derive(Debug, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "one of them, once, in a process of its own"
)]
enum Request {
    Launch(SandboxPlan),
    ProbeIdMap(PathBuf),
    #[cfg(feature = "image")]
    Unpack(crate::image::unpack::Unpack),
}

/// A sandbox to build: the plan, then the seccomp filters.
#[derive(Debug)]
struct Launch {
    plan: SandboxPlan,
    filters: Filters,
}

/// The launcher's answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Built {
    /// The init waits at the gate; its pid on the host.
    Ready(i32),
    /// A step failed, and nothing runs any more.
    Failed(StepError),
}

/// A step that the kernel refused.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StepError {
    pub(crate) step: String,
    pub(crate) errno: i32,
}

/// What the gate is asked, in one byte.
pub(crate) const START: u8 = b'S';

/// The gate's answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Opened {
    Running,
    Failed(ExecFailure),
}

/// Names the step that an error belongs to.
trait Step<T> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T, StepError>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T, StepError> {
        self.map_err(|error| {
            let error = error.into();
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            StepError { step: step(), errno }
        })
    }
}

/// The next part of the message, after its length.
fn receive(from: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut bytes = vec![0; u32::from_ne_bytes(length) as usize];
    from.read_exact(&mut bytes).map(|()| bytes)
}

/// Writes one answer; the other side reads until this one closes.
fn answer(to: &mut UnixStream, message: &impl Serialize) -> io::Result<()> {
    to.write_all(&serde_json::to_vec(message)?)
}

/// Reads the answer of the other side, at most 64 kB of it.
pub(crate) fn read_answer<T: DeserializeOwned>(from: &mut UnixStream) -> io::Result<T> {
    let mut bytes = Vec::new();
    from.take(1 << 16).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&bytes)?)
}

/// Leaves without running anything of the process it was cloned from.
#[allow(
    clippy::exit,
    reason = "these are processes of their own, not a library call in someone else's"
)]
fn leave(code: i32) -> ! {
    std::process::exit(code)
}

/// Installs one filter on the calling thread, for good.
fn install(filter: &[u8]) -> io::Result<()> {
    seccompiler::apply_filter(&crate::seccomp::from_bytes(filter)).map_err(|error| match error {
        seccompiler::Error::Prctl(source) | seccompiler::Error::Seccomp(source) => source,
        other => io::Error::other(other),
    })
}

const _: () = assert!(SIGNAL_OFFSET + 31 == 64);
