//! What is known of a task for people, in the order in which it became known: the cold half of a task.

use titus_core::task::{ReasonCode, TaskState};
use titus_core::time::Timestamp;

use crate::codec::{decode_message, encode_message};
use crate::error::Result;

const VERSION: u8 = 1;

/// The notes that are kept of one task; older ones in the middle go first.
pub const MAX_NOTES: usize = 16;

/// One thing that happened to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The state that the task was in or entered.
    pub state: TaskState,
    /// Why.
    pub reason: ReasonCode,
    /// The same for people; at most 1,024 bytes.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Notes {
    #[prost(message, repeated, tag = "1")]
    notes: Vec<NoteRow>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct NoteRow {
    #[prost(uint32, tag = "1")]
    state: u32,
    #[prost(uint32, tag = "2")]
    reason: u32,
    #[prost(string, tag = "3")]
    message: String,
    #[prost(int64, tag = "4")]
    at: i64,
}

pub(crate) fn encode(notes: &[Note]) -> bytes::Bytes {
    let row = |n: &Note| NoteRow {
        state: n.state.number().into(),
        reason: n.reason.number().into(),
        message: n.message.clone(),
        at: n.at.as_millis(),
    };
    encode_message(
        VERSION,
        &Notes {
            notes: notes.iter().map(row).collect(),
        },
    )
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Note>> {
    let notes: Notes = decode_message("task note", VERSION, bytes)?;
    Ok(notes.notes.into_iter().map(read).collect())
}

fn read(row: NoteRow) -> Note {
    Note {
        state: u8::try_from(row.state)
            .ok()
            .and_then(TaskState::from_number)
            .unwrap_or(TaskState::Finished),
        reason: u8::try_from(row.reason)
            .ok()
            .and_then(ReasonCode::from_number)
            .unwrap_or(ReasonCode::Unknown),
        message: row.message,
        at: Timestamp::from_millis(row.at),
    }
}

/// Adds a note unless it says what the last one said.
pub(crate) fn add(notes: &mut Vec<Note>, note: Note) {
    let same =
        |last: &Note| (last.state, last.reason, &last.message) == (note.state, note.reason, &note.message);
    if notes.last().is_some_and(same) {
        return;
    }
    if notes.len() >= MAX_NOTES {
        notes.remove(MAX_NOTES / 2);
    }
    notes.push(note);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(message: &str) -> Note {
        Note {
            state: TaskState::Started,
            reason: ReasonCode::Normal,
            message: message.into(),
            at: Timestamp::from_millis(5),
        }
    }

    #[test]
    fn notes_come_back_are_bounded_and_do_not_repeat() {
        let mut notes = Vec::new();
        for i in 0..40 {
            add(&mut notes, note(&i.to_string()));
            add(&mut notes, note(&i.to_string()));
        }
        assert_eq!(notes.len(), MAX_NOTES);
        assert_eq!(
            (notes[0].message.as_str(), notes[MAX_NOTES - 1].message.as_str()),
            ("0", "39")
        );
        assert_eq!(decode(&encode(&notes)).unwrap(), notes);
    }
}
