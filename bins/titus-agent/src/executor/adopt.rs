//! What is still there when an agent starts: journals, sandboxes and links put together.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use titus_core::agent::{Adopted, Found};
use titus_core::id::TaskId;
use titus_core::task::Exit;
use titus_isolation::{ExitReason, Sandbox, SandboxState};

use super::{Executor, Held, attachment_id, faults};
use crate::error::Error;
use crate::journal::Entry;

impl Executor {
    /// Finds what an agent before this one left, takes it over, and watches what still runs.
    ///
    /// # Errors
    /// [`Error::Adopt`] when journal, runtime or network cannot be read: the agent must not start blind.
    pub async fn adopt(self: &Arc<Self>) -> Result<Vec<Adopted>, Error> {
        let loaded = self
            .parts
            .journal
            .load()
            .map_err(|e| Error::adopt("read the journal", e))?;
        for (file, reason) in &loaded.bad {
            tracing::error!(file = %file.display(), reason, "journal entry set aside");
        }
        let sandboxes = self.sandboxes().await?;
        let mut entries = loaded.entries;
        for task in sandboxes.keys() {
            entries.entry(*task).or_insert_with(|| Entry::new(*task));
        }
        let wanted: BTreeSet<_> = entries
            .values()
            .filter(|e| !e.removed || e.wired)
            .map(|e| attachment_id(e.task))
            .collect();
        let links = self
            .parts
            .network
            .adopt(&wanted)
            .await
            .map_err(|e| Error::adopt("compare the links", e))?;
        for (found, error) in &links.failed {
            tracing::error!(address = %found.address, %error, "a link that nobody wants stays");
        }
        let wired: BTreeMap<TaskId, IpAddr> = links
            .adopted
            .iter()
            .filter_map(|a| Some((a.id.as_str().parse().ok()?, IpAddr::V4(a.address))))
            .collect();
        Ok(entries
            .into_values()
            .map(|entry| self.take_over(entry, &sandboxes, &wired))
            .collect())
    }

    async fn sandboxes(&self) -> Result<BTreeMap<TaskId, Sandbox>, Error> {
        let listed = self
            .parts
            .runtime
            .list()
            .await
            .map_err(|e| Error::adopt("list the sandboxes", e))?;
        let mut ours = BTreeMap::new();
        for sandbox in listed {
            match sandbox.id.as_str().parse() {
                Ok(task) => {
                    ours.insert(task, sandbox);
                }
                Err(_) => tracing::warn!(sandbox = %sandbox.id, "a sandbox that is no task's is left alone"),
            }
        }
        Ok(ours)
    }

    fn take_over(
        self: &Arc<Self>,
        mut entry: Entry,
        sandboxes: &BTreeMap<TaskId, Sandbox>,
        wired: &BTreeMap<TaskId, IpAddr>,
    ) -> Adopted {
        let task = entry.task;
        let found = found(&entry, sandboxes.get(&task).map(|s| &s.state));
        if let Found::Exited(exit) = found {
            entry.exit = Some(exit);
        }
        entry.wired = wired.contains_key(&task);
        entry.address = wired
            .get(&task)
            .copied()
            .or_else(|| entry.address.filter(|_| !entry.removed));
        let adopted = Adopted {
            task,
            found,
            address: entry.address,
            wired: entry.wired,
            times: entry.times,
        };
        tracing::info!(%task, ?found, wired = entry.wired, "adopted");
        self.tasks().insert(task, Held::new(entry));
        if found == Found::Running {
            self.watch(task);
        }
        adopted
    }
}

fn found(entry: &Entry, sandbox: Option<&SandboxState>) -> Found {
    match sandbox {
        None if entry.removed => Found::Removed(entry.exit),
        None if entry.started => Found::Exited(entry.exit.unwrap_or(Exit::Unknown)),
        None => Found::Leftovers,
        Some(SandboxState::Running) => Found::Running,
        Some(SandboxState::Created) => Found::Blocked,
        Some(SandboxState::Exited(exit)) => match (entry.exit, &exit.reason) {
            (Some(seen), _) => Found::Exited(seen),
            (None, ExitReason::NotExecuted(_)) => Found::Exited(faults::exit_of(exit)),
            (None, _) if entry.started => Found::Exited(faults::exit_of(exit)),
            (None, _) => Found::Blocked,
        },
    }
}

#[cfg(test)]
mod tests {
    use titus_isolation::Exit as RuntimeExit;

    use super::*;

    #[test]
    fn what_was_found_follows_from_journal_and_sandbox() {
        let task = TaskId::from_bytes([1; 16]);
        let entry = |started, removed, exit| Entry {
            started,
            removed,
            exit,
            ..Entry::new(task)
        };
        let ended = SandboxState::Exited(RuntimeExit::new(ExitReason::Code(3)));
        let table = [
            (entry(false, false, None), None, Found::Leftovers),
            (entry(true, false, None), None, Found::Exited(Exit::Unknown)),
            (
                entry(true, true, Some(Exit::Code(0))),
                None,
                Found::Removed(Some(Exit::Code(0))),
            ),
            (entry(false, true, None), None, Found::Removed(None)),
            (
                entry(true, false, None),
                Some(SandboxState::Running),
                Found::Running,
            ),
            (
                entry(true, false, None),
                Some(SandboxState::Created),
                Found::Blocked,
            ),
            (
                entry(true, false, None),
                Some(ended.clone()),
                Found::Exited(Exit::Code(3)),
            ),
            (
                entry(true, false, Some(Exit::Signal(9))),
                Some(ended.clone()),
                Found::Exited(Exit::Signal(9)),
            ),
            (entry(false, false, None), Some(ended), Found::Blocked),
        ];
        for (entry, sandbox, wanted) in table {
            assert_eq!(found(&entry, sandbox.as_ref()), wanted, "{entry:?} {sandbox:?}");
        }
    }
}
