//! What happened in the world, whatever the records say.

use std::collections::BTreeMap;

use super::store::Store;
use crate::id::{HostId, TaskId};
use crate::task::TaskState;

/// Every start of a program, and what was wrong about it.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    starts: BTreeMap<TaskId, HostId>,
    pub(super) wrong: Vec<String>,
}

impl Ledger {
    pub(super) fn starts(&self) -> u64 {
        self.starts.len() as u64
    }

    /// A program starts on a host, right now.
    pub(super) fn started(&mut self, task: TaskId, host: HostId, wired: bool, store: &Store) {
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
