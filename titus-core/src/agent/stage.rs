//! The stages of one task on its host, and the one table of how they follow each other.
//!
//! ```text
//! Queued ─turn─▶ Fetching ─ready─▶ Creating ─ready─▶ Wiring ─ready─▶ Opening ─ready─▶ Running ─stop─▶ Terminating
//!    │              │                 │                │               │                │                │  │ due
//!    │ stop         │ stop, failed    │ stop, failed, exited           │ failed,        │ exited   exited│  ▼
//!    │              │                 │                │               │ exited         │                │ Killing ─due─┐
//!    ▼              ▼                 ▼                ▼               ▼                ▼                ▼  │ exited ◀──┘
//! Undoing ◀─────────┴─────────────────┴────────────────┴───────────────┴────────────────┴────────────────┴──┘
//!    │ undone
//!    ▼
//!  Ended ─due─▶ Clearing ─ready─▶ Gone
//! ```
//!
//! `stop` in `Opening` is remembered and acts once the program runs: a gate that may be open is never waited out.
//! What was made is data, not a stage: `Undoing` takes it down in reverse and repeats what fails.

/// Where one task is on its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Stage {
    /// Waits for its turn to be launched.
    Queued,
    /// Image and address are on their way.
    Fetching,
    /// The sandbox is being made.
    Creating,
    /// The network is being wired.
    Wiring,
    /// The gate is being opened.
    Opening,
    /// The program runs.
    Running,
    /// SIGTERM was sent; the grace period runs.
    Terminating,
    /// SIGKILL was sent, and is again whenever a back-off has passed.
    Killing,
    /// What was made is being taken down.
    Undoing,
    /// Nothing but logs is left; reported until a directive drops it.
    Ended,
    /// The logs and the last traces are being removed.
    Clearing,
    /// Nothing is left.
    Gone,
}

/// What moves a task from stage to stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Event {
    /// A launch slot is free.
    Turn,
    /// The last command of the stage was answered well.
    Ready,
    /// A command of the stage failed.
    Failed,
    /// The program, or the sandbox before it ran one, has ended.
    Exited,
    /// The task shall end.
    Stop,
    /// The stage's timer passed.
    Due,
    /// Nothing is left to undo.
    Undone,
}

impl Stage {
    /// The stage that `event` leads to; `None` where the event means nothing.
    pub(super) const fn on(self, event: Event) -> Option<Self> {
        use Stage::{
            Clearing, Creating, Ended, Fetching, Gone, Killing, Opening, Queued, Running, Terminating,
            Undoing, Wiring,
        };
        Some(match (self, event) {
            (Queued, Event::Turn) => Fetching,
            (Fetching, Event::Ready) => Creating,
            (Creating, Event::Ready) => Wiring,
            (Wiring, Event::Ready) => Opening,
            (Opening, Event::Ready) => Running,
            (Running, Event::Stop) => Terminating,
            (Terminating | Killing, Event::Due) => Killing,
            (Queued, Event::Stop)
            | (Fetching, Event::Stop | Event::Failed)
            | (Creating | Wiring, Event::Stop | Event::Failed | Event::Exited)
            | (Opening, Event::Failed | Event::Exited)
            | (Running | Terminating | Killing, Event::Exited) => Undoing,
            (Undoing, Event::Undone) => Ended,
            (Ended, Event::Due) => Clearing,
            (Clearing, Event::Ready) => Gone,
            _ => return None,
        })
    }

    /// True while a launch is under way.
    pub(super) const fn is_launching(self) -> bool {
        matches!(
            self,
            Self::Fetching | Self::Creating | Self::Wiring | Self::Opening
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGES: [Stage; 12] = [
        Stage::Queued,
        Stage::Fetching,
        Stage::Creating,
        Stage::Wiring,
        Stage::Opening,
        Stage::Running,
        Stage::Terminating,
        Stage::Killing,
        Stage::Undoing,
        Stage::Ended,
        Stage::Clearing,
        Stage::Gone,
    ];
    const EVENTS: [Event; 7] = [
        Event::Turn,
        Event::Ready,
        Event::Failed,
        Event::Exited,
        Event::Stop,
        Event::Due,
        Event::Undone,
    ];

    #[test]
    fn the_whole_matrix_is_as_reviewed() {
        let mut text = format!("{:12}", "");
        for event in EVENTS {
            text += &format!("{:>13}", format!("{event:?}"));
        }
        for stage in STAGES {
            text += &format!("\n{:12}", format!("{stage:?}"));
            for event in EVENTS {
                let to = stage
                    .on(event)
                    .map_or_else(|| "-".to_owned(), |s| format!("{s:?}"));
                text += &format!("{to:>13}");
            }
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn no_task_moves_back_and_only_a_running_one_is_signalled() {
        for stage in STAGES {
            for event in EVENTS {
                let Some(next) = stage.on(event) else { continue };
                assert!(next >= stage, "{stage:?} on {event:?} leads back to {next:?}");
                assert!(next != Stage::Terminating || stage == Stage::Running);
                assert!(next != Stage::Running || stage == Stage::Opening);
            }
        }
    }
}
