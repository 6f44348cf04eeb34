//! The one conversation between scheduler and host: `sync(report) -> directive`.
//!
//! Both messages are whole in meaning and level-triggered: losing one costs an interval, repeating one changes nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::host::HostSpec;
use crate::id::{HostId, JobId, SpecDigest, TaskId};
use crate::spec::LaunchSpec;
use crate::task::{Exit, ReasonCode, StageTimes};

/// The longest message that a host sends about one task, in bytes; longer ones are cut.
pub const MAX_MESSAGE: usize = 1_024;

/// How far a host has got with one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[repr(u8)]
pub enum Phase {
    /// Image, sandbox and network are being made ready.
    Preparing = 0,
    /// The program runs.
    Running = 1,
    /// The program was told to end and has not ended yet.
    Stopping = 2,
    /// It is over; kept in the report until a directive drops the task.
    Ended = 3,
}

/// One task as its host sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskReport {
    /// The task.
    pub task: TaskId,
    /// How far it has got.
    pub phase: Phase,
    /// How its program ended; only with [`Phase::Ended`], and `None` there when it never started.
    pub exit: Option<Exit>,
    /// Why it ended, where the host knows better than the exit tells: a refusal, a fault of the host.
    pub reason: Option<ReasonCode>,
    /// The same for people, at most [`MAX_MESSAGE`] bytes.
    pub message: String,
    /// Its address, once wired.
    pub address: Option<IpAddr>,
    /// The launch stages that the host has seen.
    pub times: StageTimes,
}

/// The full observed state of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostReport {
    /// What the host is.
    pub spec: HostSpec,
    /// The generation of the directive that the host acts on; 0 when it has none.
    pub generation: u64,
    /// Every task that it has, running or ended, sorted by id.
    pub tasks: Vec<TaskReport>,
}

impl HostReport {
    /// The host that reports.
    #[must_use]
    pub const fn host(&self) -> HostId {
        self.spec.id
    }
}

/// What shall become of one task on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Wanted {
    /// It shall run.
    Run,
    /// It shall end: SIGTERM, then SIGKILL after the job's grace period.
    Stop,
}

/// One task of a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskDirective {
    /// The task.
    pub task: TaskId,
    /// Its job.
    pub job: JobId,
    /// Its slot, for `TITUS_TASK_INDEX`.
    pub index: u32,
    /// The first task of its slot, for `TITUS_TASK_ORIGINAL_ID`.
    pub original: TaskId,
    /// The launch text that it runs, which [`Directive::specs`] holds or the host has already.
    pub spec: SpecDigest,
    /// What shall become of it.
    pub wanted: Wanted,
}

/// The full desired state of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Directive {
    /// The host that it is for.
    pub host: HostId,
    /// Rises with every change; a host ignores an older one.
    pub generation: u64,
    /// Every task that the host shall know, sorted by id. One that is missing is stopped, then forgotten:
    /// that is how the end of a task is acknowledged.
    pub tasks: Vec<TaskDirective>,
    /// Launch texts by digest: at least those that `tasks` names and the host has not acknowledged.
    pub specs: BTreeMap<SpecDigest, LaunchSpec>,
}

/// Cuts a message to [`MAX_MESSAGE`] bytes at a character's edge.
#[must_use]
pub fn bounded_message(mut text: String) -> String {
    if text.len() > MAX_MESSAGE {
        let end = (0..=MAX_MESSAGE)
            .rev()
            .find(|i| text.is_char_boundary(*i))
            .unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_at_a_characters_edge() {
        assert_eq!(bounded_message("ab".into()), "ab");
        let long = bounded_message("é".repeat(MAX_MESSAGE));
        assert_eq!(long.len(), MAX_MESSAGE);
        assert_eq!(
            bounded_message(format!("a{}", "é".repeat(MAX_MESSAGE))).len(),
            MAX_MESSAGE - 1
        );
    }
}
