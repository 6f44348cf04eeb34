//! Tasks: their states, their reasons, and the hot record that views and feeds carry.

mod observe;
mod reason;
pub mod retry;
mod state;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use observe::{give_up_kill, kill, lost, observe, observe_host, place};
pub use reason::ReasonCode;
pub use state::{IllegalTransition, TaskEvent, TaskState};

use crate::id::{HostId, JobId, PlanId, TaskId};
use crate::time::Timestamp;

/// How a container's main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Exit {
    /// It returned this code.
    Code(u8),
    /// This signal ended it.
    Signal(u8),
    /// The kernel ended it for going over its memory limit.
    OutOfMemory,
    /// The command could not be executed: 127 when it does not exist, 126 when it may not be run.
    ExecFailed(u8),
    /// Nobody saw how it ended. Never reported as success.
    Unknown,
}

impl Exit {
    /// True for code 0 alone.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Code(0))
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "ended by signal {signal}"),
            Self::OutOfMemory => f.write_str("out of memory: over the container's limit"),
            Self::ExecFailed(127) => f.write_str("command not found (127)"),
            Self::ExecFailed(code) => write!(f, "command cannot be executed ({code})"),
            Self::Unknown => f.write_str("exit not seen"),
        }
    }
}

/// When each stage of a launch was reached; `None` for a stage not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StageTimes {
    /// The task was made and waits for a host.
    pub queued: Option<Timestamp>,
    /// It was given a host.
    pub placed: Option<Timestamp>,
    /// The host began to prepare it.
    pub preparing: Option<Timestamp>,
    /// Its image is on the host.
    pub image: Option<Timestamp>,
    /// Its network is wired.
    pub network: Option<Timestamp>,
    /// Its program runs.
    pub started: Option<Timestamp>,
    /// It is healthy.
    pub healthy: Option<Timestamp>,
    /// Its end was asked for.
    pub killed: Option<Timestamp>,
    /// It has ended.
    pub finished: Option<Timestamp>,
}

impl StageTimes {
    /// The stages in order, with their names.
    #[must_use]
    pub const fn stages(&self) -> [(&'static str, Option<Timestamp>); 9] {
        [
            ("queued", self.queued),
            ("placed", self.placed),
            ("preparing", self.preparing),
            ("image", self.image),
            ("network", self.network),
            ("started", self.started),
            ("healthy", self.healthy),
            ("killed", self.killed),
            ("finished", self.finished),
        ]
    }

    /// Takes from `seen` every stage that is not known yet: what was recorded first stays.
    pub fn fill_from(&mut self, seen: &Self) {
        let fill = |own: &mut Option<Timestamp>, other: Option<Timestamp>| *own = own.or(other);
        fill(&mut self.queued, seen.queued);
        fill(&mut self.placed, seen.placed);
        fill(&mut self.preparing, seen.preparing);
        fill(&mut self.image, seen.image);
        fill(&mut self.network, seen.network);
        fill(&mut self.started, seen.started);
        fill(&mut self.healthy, seen.healthy);
        fill(&mut self.killed, seen.killed);
        fill(&mut self.finished, seen.finished);
    }
}

/// How often a slot's task was replaced, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attempts {
    /// Replacements in all.
    pub resubmits: u16,
    /// Of these, for faults of the platform.
    pub system: u16,
    /// Of these, for evictions.
    pub evictions: u16,
}

impl Attempts {
    /// Replacements that count against the job's retry limit.
    #[must_use]
    pub const fn charged(self) -> u16 {
        self.resubmits
            .saturating_sub(self.system)
            .saturating_sub(self.evictions)
    }
}

/// A task's hot record: all that planning, reconciling and listing need; at most 256 bytes when stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskHot {
    /// The task.
    pub id: TaskId,
    /// Its job.
    pub job: JobId,
    /// Its slot in the job: 0 to size - 1; a replacement keeps it.
    pub index: u32,
    /// Its state.
    pub state: TaskState,
    /// Why it is in that state.
    pub reason: ReasonCode,
    /// Why its end was asked for, once it was.
    pub kill_reason: Option<ReasonCode>,
    /// How its program ended.
    pub exit: Option<Exit>,
    /// The first task of its slot; its own id for the first.
    pub original: TaskId,
    /// The task that it replaces.
    pub resubmit_of: Option<TaskId>,
    /// How often the slot was replaced.
    pub attempts: Attempts,
    /// Where it was placed.
    pub host: Option<HostId>,
    /// The plan that placed it.
    pub plan: Option<PlanId>,
    /// Its address, once wired.
    pub address: Option<IpAddr>,
    /// When each stage was reached.
    pub times: StageTimes,
    /// Not to be placed before this moment: the back-off of a replacement.
    pub not_before: Option<Timestamp>,
    /// Strictly increasing with every change of this task.
    pub version: u64,
}

impl TaskHot {
    /// A new task that waits for a host.
    #[must_use]
    pub const fn accepted(id: TaskId, job: JobId, index: u32, now: Timestamp) -> Self {
        Self {
            id,
            job,
            index,
            state: TaskState::Accepted,
            reason: ReasonCode::Normal,
            kill_reason: None,
            exit: None,
            original: id,
            resubmit_of: None,
            attempts: Attempts {
                resubmits: 0,
                system: 0,
                evictions: 0,
            },
            host: None,
            plan: None,
            address: None,
            times: StageTimes {
                queued: Some(now),
                placed: None,
                preparing: None,
                image: None,
                network: None,
                started: None,
                healthy: None,
                killed: None,
                finished: None,
            },
            not_before: None,
            version: 1,
        }
    }

    /// When the task entered the state that it is in.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        match self.state {
            TaskState::Accepted => self.times.queued,
            TaskState::Launched => self.times.placed,
            TaskState::StartInitiated => self.times.preparing.or(self.times.placed),
            TaskState::Started | TaskState::Disconnected => self.times.started,
            TaskState::KillInitiated => self.times.killed,
            TaskState::Finished => self.times.finished,
        }
    }
}
