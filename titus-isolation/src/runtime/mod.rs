//! The seam between an agent and whatever runs containers: [`ContainerRuntime`].

#[cfg(feature = "sandbox")]
pub(crate) mod sandbox;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::facts::HostFacts;
use crate::spec::{SandboxId, SandboxSpec, Signal};

/// Runs sandboxes that outlive whoever asked for them.
///
/// Every call is level-triggered: it reads what is so and may be repeated. Call order for one sandbox:
/// `create` (built, blocked before exec) → the caller wires its network → `start` (opens the gate) → `wait` →
/// `remove`. `signal`, `stats` and `list` fit anywhere between. A sandbox survives the runtime and its process;
/// the next runtime opened on the same folder has it in `list` and can do all of the above with it.
#[async_trait]
pub trait ContainerRuntime: Send + Sync + fmt::Debug {
    /// What this host offers, and what it lacks and why.
    async fn facts(&self) -> Result<HostFacts, Error>;

    /// Builds the sandbox and leaves it blocked right before exec, with its network namespace in place.
    ///
    /// When it fails nothing is left behind. A second `create` of an id is [`Error::State`].
    async fn create(&self, spec: &SandboxSpec) -> Result<Sandbox, Error>;

    /// Opens the gate, and answers when the command runs or has turned out not to be executable.
    ///
    /// On a sandbox that was started before, it answers [`Started::Running`] or how the start failed.
    async fn start(&self, id: &SandboxId) -> Result<Started, Error>;

    /// Sends a signal to the command. `false`: there is no command to send it to any more.
    ///
    /// Signals that end a process also end a sandbox that still waits at its gate.
    async fn signal(&self, id: &SandboxId, signal: Signal) -> Result<bool, Error>;

    /// Answers when the sandbox has ended, at once when it has ended before, as often as asked. Cancel-safe.
    async fn wait(&self, id: &SandboxId) -> Result<Exit, Error>;

    /// Every sandbox of this runtime, in the order of their ids, including those of a process that died.
    async fn list(&self) -> Result<Vec<Sandbox>, Error>;

    /// Kills what still runs, then removes cgroup and folders; logs stay. Removing an unknown id succeeds.
    async fn remove(&self, id: &SandboxId) -> Result<(), Error>;

    /// What it uses now. [`Error::NotFound`] once it is removed.
    async fn stats(&self, id: &SandboxId) -> Result<Stats, Error>;
}

/// A sandbox that exists on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sandbox {
    /// Its id.
    pub id: SandboxId,
    /// The host's pid of its init; 0 once it has ended.
    pub init_pid: u32,
    /// Its network namespace, valid while the init lives: open it to keep it.
    pub netns: PathBuf,
    /// Where in its life it is.
    pub state: SandboxState,
}

impl Sandbox {
    /// A sandbox as a runtime reports it.
    pub fn new(id: SandboxId, init_pid: u32, netns: impl Into<PathBuf>, state: SandboxState) -> Self {
        Self {
            id,
            init_pid,
            netns: netns.into(),
            state,
        }
    }
}

/// Where in its life a sandbox is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SandboxState {
    /// Built and blocked before exec.
    Created,
    /// The command runs.
    Running,
    /// All its processes are gone.
    Exited(Exit),
}

/// The answer of [`ContainerRuntime::start`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// The command was executed.
    Running,
    /// It could not be executed, and the sandbox has ended with [`ExitReason::NotExecuted`].
    Failed(ExecFailure),
}

/// Why a command was not executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecFailure {
    /// 127: no such command. 126: it exists and cannot be executed, or user, folder or limits of the sandbox failed.
    pub code: i32,
    /// Names the command and what to do.
    pub message: String,
}

/// How a sandbox ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// What ended it.
    pub reason: ExitReason,
    /// Processes in it that the kernel killed for want of memory, the command or others.
    pub oom_kills: u64,
    /// When it ended, in milliseconds since 1970; `None` when nobody saw it.
    pub finished_at_ms: Option<u64>,
    /// Bytes of output that could not be written, for a full disk for example.
    pub log_bytes_dropped: u64,
}

impl Exit {
    /// An exit that nothing more is known about.
    pub fn new(reason: ExitReason) -> Self {
        Self {
            reason,
            oom_kills: 0,
            finished_at_ms: None,
            log_bytes_dropped: 0,
        }
    }

    /// The code a shell would show: the exit code, 128 + signal, 126 or 127; `None` when it is unknown.
    pub fn code(&self) -> Option<i32> {
        match &self.reason {
            ExitReason::Code(code) => Some(*code),
            ExitReason::Signal(signal) => Some(128 + signal.number()),
            ExitReason::OutOfMemory => Some(128 + Signal::KILL.number()),
            ExitReason::NotExecuted(failure) => Some(failure.code),
            ExitReason::Unknown(_) => None,
        }
    }
}

/// What ended a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ExitReason {
    /// The command exited by itself with this code.
    Code(i32),
    /// A signal ended the command, or the sandbox before it started.
    Signal(Signal),
    /// The kernel killed the command because the memory limit was reached.
    OutOfMemory,
    /// The command was never executed.
    NotExecuted(ExecFailure),
    /// It is gone and nobody saw how: the text says what is known. Never assume success.
    Unknown(String),
}

/// What a sandbox uses now. Times are totals since it was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// CPU time used.
    pub cpu: Duration,
    /// Time during which it wanted to run and its CPU limit held it back.
    pub cpu_throttled: Duration,
    /// Memory in use, page cache included.
    pub memory_bytes: u64,
    /// The most memory it has used; 0 where the kernel does not say.
    pub memory_peak_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Processes that the kernel killed for want of memory.
    pub oom_kills: u64,
}
