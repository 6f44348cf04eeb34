//! What the machine asks of its executor, and what the executor tells it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::id::{JobId, TaskId};
use crate::spec::{ImageRequest, LaunchSpec, Secret};
use crate::task::{Exit, ReasonCode, StageTimes};
use crate::time::Millis;
use crate::wire::Directive;

/// One thing to do on the host for one task.
///
/// Commands are keyed by task and [`step`](Work::step) and are idempotent: doing one that was done already answers
/// as the first time did, and undoing what was never made is done at once. The executor answers each with exactly one
/// [`Input::Done`], at the latest after [`Step::limit`]; only [`Work::Cancel`] is not answered. Commands of
/// different tasks, and `FetchImage` beside `AssignAddress` of one task, run side by side; a task's others come one
/// after another, except that a signal may come while nothing else does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The task that it is for.
    pub task: TaskId,
    /// What to do.
    pub work: Work,
}

/// What a [`Command`] does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Have the image on the host, pinned for the task until [`Work::Forget`].
    FetchImage {
        /// The image.
        image: ImageRequest,
    },
    /// Reserve an address; answered with [`Outcome::Address`].
    AssignAddress {
        /// The bandwidth that the container may use, in Mbps.
        network_mbps: u64,
    },
    /// Make the sandbox, blocked at its gate before exec, and write its journal so that a restart finds it.
    CreateSandbox(Box<Sandbox>),
    /// Wire the network into the blocked sandbox, under the address that was assigned.
    WireNetwork {
        /// The address.
        address: IpAddr,
        /// The bandwidth that the container may use, in Mbps.
        network_mbps: u64,
    },
    /// Let the program start; answered once it was executed, or with [`Fault::Exec`] when it could not be.
    OpenGate,
    /// Send a signal to the program. [`Fault::Gone`] when there is no sandbox any more.
    Signal(StopSignal),
    /// Take the network away from the sandbox.
    UnwireNetwork,
    /// End every process of the sandbox and remove it; its logs, its exit and its stage times stay until
    /// [`Work::DropLogs`].
    RemoveSandbox,
    /// Give the address back.
    ReleaseAddress,
    /// Remove the logs.
    DropLogs,
    /// Drop the task's journal and its hold on the image: afterwards nothing of it is on the host.
    Forget,
    /// A hint that whatever is under way for the task is not wanted any more and shall answer soon.
    Cancel,
}

/// What a sandbox is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// The job, for labels and logs.
    pub job: JobId,
    /// Image, program, resources and volumes. Its `env` is only the user's part of [`Sandbox::env`].
    pub launch: Arc<LaunchSpec>,
    /// The whole environment beside the image's own, sorted by name.
    pub env: Vec<(String, Secret)>,
}

/// A signal that stops a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StopSignal {
    /// SIGTERM, to the main process.
    Term,
    /// SIGKILL, to every process of the sandbox.
    Kill,
}

/// What a command is about; with the task, its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// [`Work::FetchImage`].
    FetchImage,
    /// [`Work::AssignAddress`].
    AssignAddress,
    /// [`Work::CreateSandbox`].
    CreateSandbox,
    /// [`Work::WireNetwork`].
    WireNetwork,
    /// [`Work::OpenGate`].
    OpenGate,
    /// [`Work::Signal`] with [`StopSignal::Term`].
    SignalTerm,
    /// [`Work::Signal`] with [`StopSignal::Kill`].
    SignalKill,
    /// [`Work::UnwireNetwork`].
    UnwireNetwork,
    /// [`Work::RemoveSandbox`].
    RemoveSandbox,
    /// [`Work::ReleaseAddress`].
    ReleaseAddress,
    /// [`Work::DropLogs`].
    DropLogs,
    /// [`Work::Forget`].
    Forget,
    /// [`Work::Cancel`].
    Cancel,
}

impl Step {
    /// Its name, as `fetchImage`: for logs, metrics and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FetchImage => "fetchImage",
            Self::AssignAddress => "assignAddress",
            Self::CreateSandbox => "createSandbox",
            Self::WireNetwork => "wireNetwork",
            Self::OpenGate => "openGate",
            Self::SignalTerm => "signalTerm",
            Self::SignalKill => "signalKill",
            Self::UnwireNetwork => "unwireNetwork",
            Self::RemoveSandbox => "removeSandbox",
            Self::ReleaseAddress => "releaseAddress",
            Self::DropLogs => "dropLogs",
            Self::Forget => "forget",
            Self::Cancel => "cancel",
        }
    }

    /// How long the executor may take before it gives up and answers with [`Fault::Transient`].
    #[must_use]
    pub const fn limit(self) -> Millis {
        match self {
            Self::FetchImage => Millis::from_secs(15 * 60),
            Self::AssignAddress => Millis::from_secs(120),
            Self::WireNetwork | Self::UnwireNetwork => Millis::from_secs(45),
            Self::CreateSandbox | Self::RemoveSandbox | Self::ReleaseAddress | Self::DropLogs => {
                Millis::from_secs(60)
            }
            Self::OpenGate | Self::SignalTerm | Self::SignalKill | Self::Forget | Self::Cancel => {
                Millis::from_secs(15)
            }
        }
    }
}

impl Work {
    /// The step that it is.
    #[must_use]
    pub const fn step(&self) -> Step {
        match self {
            Self::FetchImage { .. } => Step::FetchImage,
            Self::AssignAddress { .. } => Step::AssignAddress,
            Self::CreateSandbox(_) => Step::CreateSandbox,
            Self::WireNetwork { .. } => Step::WireNetwork,
            Self::OpenGate => Step::OpenGate,
            Self::Signal(StopSignal::Term) => Step::SignalTerm,
            Self::Signal(StopSignal::Kill) => Step::SignalKill,
            Self::UnwireNetwork => Step::UnwireNetwork,
            Self::RemoveSandbox => Step::RemoveSandbox,
            Self::ReleaseAddress => Step::ReleaseAddress,
            Self::DropLogs => Step::DropLogs,
            Self::Forget => Step::Forget,
            Self::Cancel => Step::Cancel,
        }
    }
}

/// What the machine is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The scheduler's answer to a report.
    Directive(Directive),
    /// A command's answer.
    Done {
        /// The command's task.
        task: TaskId,
        /// The command's step.
        step: Step,
        /// What came of it.
        outcome: Outcome,
    },
    /// The program of a task ended; may come before the answer to its `OpenGate`.
    Exited {
        /// The task.
        task: TaskId,
        /// How it ended.
        exit: Exit,
        /// The same for people; may be empty.
        message: String,
    },
    /// A timer passed: see [`HostAgent::next_timer`](super::HostAgent::next_timer). Harmless at any time.
    Tick,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It is done, and this is the address that was assigned.
    Address(IpAddr),
    /// It failed, perhaps half-way.
    Failed {
        /// Whose fault it is.
        fault: Fault,
        /// What happened and what to do, for people.
        message: String,
    },
}

/// Whose fault a failure is, by what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The job's: an unknown image, an invalid specification. It would fail on any host: `invalidRequest`.
    Request,
    /// The job's: the command could not be executed, with 127 or 126: `failed`.
    Exec(u8),
    /// The platform's, and likely to pass: a timeout, a throttle, no address free: `transientSystemError`.
    Transient,
    /// The host's: `localSystemError`.
    Host,
    /// What the command is about does not exist any more.
    Gone,
}

impl Fault {
    /// The reason code that a task ends with when a launch fails so.
    #[must_use]
    pub const fn reason(self) -> ReasonCode {
        match self {
            Self::Request => ReasonCode::InvalidRequest,
            Self::Exec(_) => ReasonCode::Failed,
            Self::Transient => ReasonCode::TransientSystemError,
            Self::Host | Self::Gone => ReasonCode::LocalSystemError,
        }
    }
}

/// What the executor found of one task when the agent started: from journals, cgroups and the network's own state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// The task.
    pub task: TaskId,
    /// How far it had got.
    pub found: Found,
    /// The address that it holds.
    pub address: Option<IpAddr>,
    /// True when something of its network may still be wired.
    pub wired: bool,
    /// The stage times in its journal.
    pub times: StageTimes,
}

/// How far a task had got when the agent started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// There is no sandbox and no program ran; at most an address or a network is left.
    Leftovers,
    /// The sandbox exists and its gate was never opened; or it is only half made.
    Blocked,
    /// Its program runs.
    Running,
    /// Its program ended, and its sandbox is still to be removed. [`Exit::Unknown`] after a reboot of the host.
    Exited(Exit),
    /// Its sandbox was removed and its logs are kept; `None` when its program never started.
    Removed(Option<Exit>),
}
