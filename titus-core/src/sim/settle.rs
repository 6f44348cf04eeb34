//! What is checked on the way, and what has to be so in the end.

use std::collections::BTreeSet;

use super::config::SimFailure;
use super::world::{World, is_service};
use crate::id::TaskId;
use crate::invariant::{check_invariants, check_view};
use crate::job::{JobRecord, JobState};
use crate::task::{TaskHot, TaskState};

impl World {
    pub(super) fn check(&mut self) -> Result<(), SimFailure> {
        let mut wrong = std::mem::take(&mut self.ledger.wrong);
        wrong.append(&mut self.store.wrong);
        let writes = self.store.counts.writes;
        if writes - self.checked_writes >= self.config.check_each {
            self.checked_writes = writes;
            self.store.counts.checks += 1;
            let jobs = self.store.jobs().map(AsRef::as_ref);
            let found = check_invariants(jobs, self.store.tasks().copied(), self.store.hosts());
            wrong.extend(found.iter().map(ToString::to_string));
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(self.failure(wrong))
        }
    }

    /// What is not yet as it shall be. Empty: every job is over or has what it asked for, and no host holds more.
    pub(super) fn unsettled(&self) -> Vec<String> {
        let mut open: Vec<String> = Vec::new();
        if self.submitted < self.config.jobs {
            open.push("jobs are still to come".into());
        }
        open.extend(self.store.jobs().filter_map(|job| self.unsettled_job(job)));
        for (ix, host) in self.hosts.iter().enumerate() {
            let name = host.spec.id;
            let wanted: BTreeSet<TaskId> = self.store.tasks_on(name).map(|t| t.id).collect();
            let held: BTreeSet<TaskId> = host.holding().collect();
            if self.gone == Some(ix) {
                if !wanted.is_empty() {
                    open.push(format!("host {name} is gone and shall still run {wanted:?}"));
                }
                continue;
            }
            if wanted != held {
                open.push(format!("host {name} holds {held:?} and shall hold {wanted:?}"));
            }
            if !self.agrees(ix) {
                open.push(format!("host {name} and the scheduler do not agree"));
            }
        }
        open
    }

    fn unsettled_job(&self, job: &JobRecord) -> Option<String> {
        if job.status.state == JobState::Finished {
            return None;
        }
        let tasks = self.store.tasks_of(job.id);
        let live: Vec<&TaskHot> = tasks.iter().filter(|t| t.state != TaskState::Finished).collect();
        let running = live.iter().filter(|t| t.state == TaskState::Started).count();
        let wanted = usize::try_from(job.capacity.desired).unwrap_or(usize::MAX);
        let serves = job.status.state == JobState::Accepted
            && is_service(job)
            && running == wanted
            && live.len() == wanted;
        let states: Vec<&str> = live.iter().map(|t| t.state.name()).collect();
        (!serves).then(|| {
            format!(
                "job {} is {} and its live tasks are {states:?} of {wanted}",
                job.id,
                job.status.state.name()
            )
        })
    }

    /// Where the view, having applied every change, differs from the records.
    pub(super) fn stale_view(&self) -> Vec<String> {
        let mut wrong: Vec<String> = check_view(&self.view).iter().map(ToString::to_string).collect();
        let mut seen: Vec<TaskHot> = self.view.tasks().collect();
        seen.sort_unstable_by_key(|t| t.id);
        if !seen.iter().eq(self.store.tasks()) {
            wrong.push("the view's tasks differ from the records".into());
        }
        if self.view.in_flight() != 0 {
            wrong.push(format!(
                "{} placements are assumed for ever",
                self.view.in_flight()
            ));
        }
        for host in self.store.hosts() {
            let id = host.spec.id;
            if self.view.used_on_host(id) != host.desired.used {
                wrong.push(format!(
                    "the view has another room in use on {id} than its record"
                ));
            }
        }
        wrong
    }
}
