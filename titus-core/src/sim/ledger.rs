//! What happened in the world, whatever the records say.

use std::collections::BTreeMap;

use super::store::Store;
use crate::id::{HostId, TaskId};
use crate::task::{TaskHot, TaskState};

/// Every start of a program, and what was wrong about it.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// How many programs were started.
    pub(super) count: u64,
    starts: BTreeMap<TaskId, HostId>,
    pub(super) wrong: Vec<String>,
}

impl Ledger {
    /// A host lost its memory. What it never told of it may begin anew, since nobody can know better; what it had told
    /// of has to be given up.
    pub(super) fn wiped(&mut self, host: HostId, store: &Store) {
        self.starts.retain(|task, on| {
            let told = store.task(*task).is_none_or(|t| t.times.preparing.is_some());
            *on != host || told
        });
    }

    /// A program is told to end, right now.
    pub(super) fn signalled(&mut self, task: TaskId, store: &Store) {
        let wanted = |t: &&TaskHot| !matches!(t.state, TaskState::KillInitiated | TaskState::Finished);
        if let Some(record) = store.task(task).filter(wanted) {
            self.wrong.push(format!(
                "task {task} is told to end while the store has it {}",
                record.state
            ));
        }
    }

    /// A program starts on a host, right now.
    pub(super) fn started(&mut self, task: TaskId, host: HostId, wired: bool, store: &Store) {
        self.count += 1;
        if !wired {
            self.wrong.push(format!(
                "task {task} started on {host} before its network was wired"
            ));
        }
        if let Some(first) = self.starts.insert(task, host) {
            self.wrong.push(format!(
                "task {task} started on {host} after it had started on {first}"
            ));
        }
        let record = store.task(task);
        if record.is_some_and(|t| t.host != Some(host)) {
            self.wrong.push(format!(
                "task {task} started on {host}, where no plan had placed it"
            ));
        }
        let before = record.and_then(|t| t.resubmit_of).and_then(|id| store.task(id));
        if let Some(before) = before.filter(|t| t.state != TaskState::Finished) {
            self.wrong.push(format!(
                "task {task} started while {}, which it replaces, is {}",
                before.id, before.state
            ));
        }
    }
}
