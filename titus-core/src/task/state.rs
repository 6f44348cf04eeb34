//! The task state machine. Its one transition table is `data/task_transitions.csv`.
//!
//! ```text
//! Accepted ─placed─▶ Launched ─preparing─▶ StartInitiated ─running─▶ Started ◀─▶ Disconnected
//!    │                  │                        │                      │              │
//!    │                  └──────────── kill ──────┴──────────────────────┴──────────────┤
//!    └─kill─▶ Finished ◀───── exited, lost ───── (each of them) ◀──── KillInitiated ◀──┘
//! ```
//!
//! A task never moves backwards, and nothing leaves `Finished`.

use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// Where a task is in its life. The numbers are Titus's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum TaskState {
    /// Waits for a host.
    Accepted = 0,
    /// Has a host, which has not begun on it.
    Launched = 1,
    /// The host prepares it.
    StartInitiated = 2,
    /// Its program runs.
    Started = 3,
    /// Its end was asked for.
    KillInitiated = 4,
    /// Its host is not heard from.
    Disconnected = 5,
    /// It has ended.
    Finished = 6,
}

impl TaskState {
    /// Every state, in the order of its number.
    pub const ALL: [Self; 7] = [
        Self::Accepted,
        Self::Launched,
        Self::StartInitiated,
        Self::Started,
        Self::KillInitiated,
        Self::Disconnected,
        Self::Finished,
    ];

    /// The number by which it is stored and sent.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The inverse of [`number`](Self::number).
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Its name, as `StartInitiated`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Launched => "Launched",
            Self::StartInitiated => "StartInitiated",
            Self::Started => "Started",
            Self::KillInitiated => "KillInitiated",
            Self::Disconnected => "Disconnected",
            Self::Finished => "Finished",
        }
    }

    /// True while the task holds room on a host.
    #[must_use]
    pub const fn holds_host(self) -> bool {
        !matches!(self, Self::Accepted | Self::Finished)
    }

    /// The state that `event` leads to.
    ///
    /// # Errors
    /// [`IllegalTransition`] where the table has no row: the caller ignores the event or reports it.
    pub fn on(self, event: TaskEvent) -> Result<Self, IllegalTransition> {
        table()[usize::from(self.number())][event as usize].ok_or(IllegalTransition { from: self, event })
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What can happen to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TaskEvent {
    /// A plan gave it a host.
    Placed,
    /// The host prepares it.
    Preparing,
    /// Its program runs.
    Running,
    /// Its end is asked for.
    Kill,
    /// Its program ended, or could not be started.
    Exited,
    /// Its host or its container is gone for good.
    Lost,
    /// Its host is not heard from.
    Disconnected,
}

impl TaskEvent {
    /// Every event.
    pub const ALL: [Self; 7] = [
        Self::Placed,
        Self::Preparing,
        Self::Running,
        Self::Kill,
        Self::Exited,
        Self::Lost,
        Self::Disconnected,
    ];

    /// Its name in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Preparing => "preparing",
            Self::Running => "running",
            Self::Kill => "kill",
            Self::Exited => "exited",
            Self::Lost => "lost",
            Self::Disconnected => "disconnected",
        }
    }
}

/// An event that means nothing in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a task that is {from} cannot be {}", event.name())]
pub struct IllegalTransition {
    /// The state that the task is in.
    pub from: TaskState,
    /// The event that does not apply.
    pub event: TaskEvent,
}

type Table = [[Option<TaskState>; 7]; 7];

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        parse(include_str!("../../data/task_transitions.csv")).expect("the shipped table parses")
    })
}

fn parse(csv: &str) -> Option<Table> {
    let state = |name: &str| TaskState::ALL.into_iter().find(|s| s.name() == name);
    let event = |name: &str| TaskEvent::ALL.into_iter().find(|e| e.name() == name);
    let mut table: Table = [[None; 7]; 7];
    for line in csv.lines().skip(1) {
        let [from, on, to] = <[&str; 3]>::try_from(line.split(',').collect::<Vec<_>>()).ok()?;
        table[usize::from(state(from)?.number())][event(on)? as usize] = Some(state(to)?);
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_matrix_is_as_reviewed() {
        let mut text = format!("{:15}", "");
        for event in TaskEvent::ALL {
            text += &format!("{:>16}", event.name());
        }
        for state in TaskState::ALL {
            text += &format!("\n{:15}", state.name());
            for event in TaskEvent::ALL {
                text += &format!("{:>16}", state.on(event).map_or("-", TaskState::name));
            }
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn nothing_leaves_finished_and_nothing_returns_to_accepted() {
        for event in TaskEvent::ALL {
            assert!(TaskState::Finished.on(event).is_err());
            for state in TaskState::ALL {
                assert_ne!(state.on(event), Ok(TaskState::Accepted));
            }
        }
    }

    #[test]
    fn a_bad_table_is_refused() {
        assert!(parse("from,event,to\nAccepted,placed,Nowhere").is_none());
        assert!(parse("from,event,to\nAccepted,placed").is_none());
    }

    #[test]
    fn numbers_are_the_ones_on_the_wire() {
        for state in TaskState::ALL {
            assert_eq!(TaskState::from_number(state.number()), Some(state));
        }
        assert_eq!(TaskState::from_number(7), None);
    }
}
