//! What the messages of a task say, with everything that may be missing settled.

use std::str::FromStr as _;

use titus_api::v3;
use titus_api::v3::task_status::TaskState;
use titus_core::task::ReasonCode;

use crate::output::time::moment;
use crate::terminal::plain;

/// A task's message, read.
#[derive(Debug)]
pub(crate) struct TaskFacts<'a> {
    task: &'a v3::Task,
    pub(crate) index: &'a str,
    pub(crate) original: &'a str,
    pub(crate) resubmit_of: &'a str,
    pub(crate) resubmits: &'a str,
    pub(crate) host: &'a str,
    pub(crate) zone: &'a str,
    pub(crate) address: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
    pub(crate) since: u64,
}

impl<'a> TaskFacts<'a> {
    pub(crate) fn of(task: &'a v3::Task) -> Self {
        let context = |key: &str| task.task_context.get(key).map_or("", String::as_str);
        let status = task.status.as_ref();
        let original = match context("task.originalId") {
            "" => &task.id,
            id => id,
        };
        Self {
            task,
            index: context("task.index"),
            original,
            resubmit_of: context("task.resubmitOf"),
            resubmits: context("task.resubmitNumber"),
            host: context("agent.host"),
            zone: context("agent.zone"),
            address: context("task.containerIp"),
            reason: status.map_or("", |s| &s.reason_code),
            message: status.map_or("", |s| &s.reason_message),
            since: status.map_or(0, |s| s.timestamp),
        }
    }

    pub(crate) fn state(&self) -> TaskState {
        self.task
            .status
            .as_ref()
            .map_or(TaskState::Accepted, |s| s.state())
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.state() == TaskState::Accepted
    }

    /// Every state that it has been in, oldest first, and the one that it is in.
    pub(crate) fn states(&self) -> impl Iterator<Item = &'a v3::TaskStatus> {
        self.task.status_history.iter().chain(&self.task.status)
    }

    /// True when its program has run.
    pub(crate) fn has_started(&self) -> bool {
        self.states()
            .any(|s| s.state() == TaskState::Started && s.reason_code != "filledIn")
    }

    /// Its reason, and the words that came with it.
    pub(crate) fn why(&self) -> String {
        why(self.reason, self.message)
    }

    /// How it ended, in a sentence.
    pub(crate) fn verdict(&self) -> String {
        let slot = if self.index.is_empty() {
            String::new()
        } else {
            format!(" (index {})", self.index)
        };
        format!("task {}{slot}: {}", self.task.id, plain(&self.why()))
    }

    /// Its state in one line.
    pub(crate) fn state_line(&self) -> String {
        let place = match (self.host, self.address) {
            ("", _) => String::new(),
            (host, "") => format!("  on {host}"),
            (host, address) => format!("  on {host} at {address}"),
        };
        format!(
            "{}  task {}  {}  {}{}\n",
            moment(self.since),
            self.task.id,
            self.state().as_str_name(),
            plain(&self.why()),
            plain(&place)
        )
    }
}

/// A reason in words: its code, and what is told or else what the code means.
pub(crate) fn why(reason: &str, message: &str) -> String {
    let meaning = ReasonCode::from_str(reason).map_or("", ReasonCode::meaning);
    match (message, meaning) {
        ("", _) if matches!(reason, "" | "normal") => reason.to_owned(),
        ("", "") => reason.to_owned(),
        ("", meaning) => format!("{reason}: {meaning}"),
        (message, _) => format!("{reason}: {message}"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const STATES: [TaskState; 4] = [
        TaskState::Accepted,
        TaskState::Launched,
        TaskState::StartInitiated,
        TaskState::Started,
    ];

    /// A task in a state, which has been in all states before that one.
    pub(crate) fn task(id: &str, index: u32, state: TaskState, reason: &str) -> v3::Task {
        let at = |n: usize| 1_700_000_000_000 + 100 * n as u64;
        let status = |state: TaskState, n: usize, reason: &str| v3::TaskStatus {
            state: state.into(),
            reason_code: reason.to_owned(),
            reason_message: if reason == "failed" {
                "exit code 3".to_owned()
            } else {
                String::new()
            },
            timestamp: at(n),
            container_state: Vec::new(),
        };
        let before: Vec<v3::TaskStatus> = STATES
            .into_iter()
            .enumerate()
            .filter(|(_, s)| *s < state)
            .map(|(n, s)| status(s, n, "normal"))
            .collect();
        let mut context = vec![
            ("task.index", index.to_string()),
            ("task.originalId", id.to_owned()),
            ("task.resubmitNumber", "0".to_owned()),
        ];
        if state != TaskState::Accepted {
            context.push(("agent.host", "dev-1".to_owned()));
            context.push(("agent.zone", "zone-a".to_owned()));
            context.push(("task.containerIp", format!("10.88.0.{}", index + 2)));
        }
        v3::Task {
            id: id.to_owned(),
            job_id: "0198f3c2-1111-8abc-8000-000000000001".to_owned(),
            task_context: context.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
            status: Some(status(state, before.len(), reason)),
            status_history: before,
            ..Default::default()
        }
    }

    #[test]
    fn a_task_is_read_and_an_empty_message_is_no_trouble() {
        let one = task("t", 1, TaskState::Finished, "failed");
        let facts = TaskFacts::of(&one);
        assert_eq!(
            (facts.index, facts.host, facts.address),
            ("1", "dev-1", "10.88.0.3")
        );
        assert!(facts.has_started() && !facts.is_waiting());
        assert_eq!(facts.verdict(), "task t (index 1): failed: exit code 3");
        assert_eq!(
            facts.state_line(),
            "2023-11-14T22:13:20.400Z  task t  Finished  failed: exit code 3  on dev-1 at 10.88.0.3\n"
        );
        let empty = v3::Task::default();
        let facts = TaskFacts::of(&empty);
        assert!(facts.is_waiting() && !facts.has_started());
        assert_eq!(facts.state_line(), "  task   Accepted  \n");
    }

    #[test]
    fn a_state_that_was_skipped_was_not_started_in() {
        let mut one = task("t", 1, TaskState::Finished, "lost");
        one.status_history[3].reason_code = "filledIn".into();
        assert!(!TaskFacts::of(&one).has_started());
    }

    #[test]
    fn reasons_are_told_in_words() {
        assert_eq!(why("normal", ""), "normal");
        assert_eq!(why("failed", "exit code 1"), "failed: exit code 1");
        assert_eq!(
            why("lost", ""),
            "lost: the host was lost or the container vanished"
        );
        assert_eq!(why("somethingNew", ""), "somethingNew");
        assert_eq!(why("", ""), "");
    }
}
