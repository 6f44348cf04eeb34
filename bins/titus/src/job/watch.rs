//! A job as its notifications tell it: how far its tasks are, and how it ended. No I/O here.

use std::collections::{BTreeMap, BTreeSet};

use titus_api::v3;
use titus_api::v3::job_change_notification::Notification;
use titus_api::v3::task_status::TaskState;

use super::view::{JobFacts, is_finished};
use crate::task::view::TaskFacts;

/// What is known of a job that is watched.
#[derive(Debug, Default)]
pub(super) struct Watch {
    job: Option<v3::Job>,
    tasks: BTreeMap<String, v3::Task>,
}

/// Something that a watcher wants to see.
#[derive(Debug, PartialEq)]
pub(super) enum Change<'a> {
    /// The job has entered another state.
    Job(&'a v3::Job),
    /// A task is new, or has entered another state.
    Task(&'a v3::Task),
}

impl Watch {
    /// Takes a notification, and tells whether a state has changed.
    pub(super) fn apply(&mut self, notification: v3::JobChangeNotification) -> Option<Change<'_>> {
        match notification.notification? {
            Notification::JobUpdate(update) => {
                let job = update.job?;
                let before = self.job.as_ref().and_then(|j| j.status.as_ref()).map(|s| s.state);
                let now = job.status.as_ref().map(|s| s.state);
                let job = self.job.insert(job);
                (before != now).then_some(Change::Job(job))
            }
            Notification::TaskUpdate(update) => {
                let task = update.task?;
                let id = task.id.clone();
                let now = task.status.as_ref().map(|s| s.state);
                let before = self
                    .tasks
                    .get(&id)
                    .and_then(|t| t.status.as_ref())
                    .map(|s| s.state);
                self.tasks.insert(id.clone(), task);
                let task = self.tasks.get(&id)?;
                (before != now).then_some(Change::Task(task))
            }
            Notification::SnapshotEnd(_) | Notification::KeepAliveResponse(_) => None,
        }
    }

    /// How many tasks the job shall have.
    pub(super) fn desired(&self) -> usize {
        self.job
            .as_ref()
            .map_or(0, |job| JobFacts::of(job).desired as usize)
    }

    /// How many of its slots have had a task that ran.
    pub(super) fn started(&self) -> usize {
        let ran = |task: &&v3::Task| TaskFacts::of(task).has_started();
        if self.is_batch() {
            let slots: BTreeSet<String> = self
                .tasks
                .values()
                .filter(ran)
                .map(|t| TaskFacts::of(t).original.to_owned())
                .collect();
            slots.len()
        } else {
            self.current()
                .filter(ran)
                .filter(|t| TaskFacts::of(t).state() == TaskState::Started)
                .count()
        }
    }

    pub(super) fn all_started(&self) -> bool {
        self.job.is_some() && self.started() >= self.desired()
    }

    /// True once the job is over.
    pub(super) fn is_over(&self) -> bool {
        self.job.as_ref().is_some_and(is_finished)
    }

    /// Tasks that wait for a host.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &v3::Task> {
        self.current()
            .filter(|t| TaskFacts::of(t).state() == TaskState::Accepted)
    }

    /// Tasks that have ended otherwise than they should and that no other has replaced.
    pub(super) fn failed(&self) -> impl Iterator<Item = &v3::Task> {
        self.current().filter(|task| {
            let facts = TaskFacts::of(task);
            facts.state() == TaskState::Finished && facts.reason != "normal"
        })
    }

    /// True when the job is over and not one of a batch job's slots has failed.
    pub(super) fn ended_well(&self) -> bool {
        self.is_over() && (!self.is_batch() || self.failed().next().is_none())
    }

    fn is_batch(&self) -> bool {
        self.job.as_ref().is_some_and(|job| JobFacts::of(job).is_batch)
    }

    /// The newest task of each slot.
    fn current(&self) -> impl Iterator<Item = &v3::Task> {
        let replaced: BTreeSet<&str> = self
            .tasks
            .values()
            .map(|task| TaskFacts::of(task).resubmit_of)
            .collect();
        self.tasks
            .values()
            .filter(move |task| !replaced.contains(task.id.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use titus_api::v3::job_change_notification::{JobUpdate, SnapshotEnd, TaskUpdate};
    use titus_api::v3::job_status::JobState;

    use super::*;
    use crate::job::view::tests::{batch, service};
    use crate::task::view::tests::task;

    fn told(watch: &mut Watch, notification: Notification) -> bool {
        let message = v3::JobChangeNotification {
            notification: Some(notification),
            timestamp: 0,
        };
        watch.apply(message).is_some()
    }

    fn job_is(watch: &mut Watch, mut job: v3::Job, state: JobState) -> bool {
        job.status.as_mut().unwrap().state = state.into();
        let update = JobUpdate {
            job: Some(job),
            archived: false,
        };
        told(watch, Notification::JobUpdate(update))
    }

    fn task_is(watch: &mut Watch, task: v3::Task) -> bool {
        let update = TaskUpdate {
            task: Some(task),
            ..Default::default()
        };
        told(watch, Notification::TaskUpdate(update))
    }

    #[test]
    fn only_changes_of_state_are_told() {
        let mut watch = Watch::default();
        assert!(!watch.all_started() && !watch.is_over());
        assert!(job_is(&mut watch, batch(), JobState::Accepted));
        assert!(!job_is(&mut watch, batch(), JobState::Accepted));
        assert!(task_is(&mut watch, task("a", 0, TaskState::Accepted, "normal")));
        assert!(!task_is(&mut watch, task("a", 0, TaskState::Accepted, "normal")));
        assert!(task_is(&mut watch, task("a", 0, TaskState::Launched, "normal")));
        assert!(!told(&mut watch, Notification::SnapshotEnd(SnapshotEnd {})));
    }

    #[test]
    fn a_batch_job_has_started_when_each_slot_has_once_run() {
        let mut watch = Watch::default();
        job_is(&mut watch, batch(), JobState::Accepted);
        task_is(&mut watch, task("a", 0, TaskState::Accepted, "normal"));
        task_is(&mut watch, task("b", 1, TaskState::Started, "normal"));
        assert_eq!((watch.desired(), watch.started()), (2, 1));
        assert_eq!(watch.waiting().map(|t| t.id.as_str()).collect::<Vec<_>>(), ["a"]);
        task_is(&mut watch, task("a", 0, TaskState::Finished, "normal"));
        assert!(watch.all_started() && !watch.is_over());
        job_is(&mut watch, batch(), JobState::Finished);
        assert!(watch.ended_well());
    }

    #[test]
    fn a_task_that_never_ran_is_not_taken_for_started() {
        let mut watch = Watch::default();
        job_is(&mut watch, batch(), JobState::Accepted);
        let mut refused = task("a", 0, TaskState::Finished, "invalidRequest");
        refused.status_history.retain(|s| s.state() != TaskState::Started);
        task_is(&mut watch, refused);
        assert_eq!(watch.started(), 0);
        assert_eq!(watch.failed().count(), 1);
    }

    #[test]
    fn a_replaced_failure_is_forgiven_and_a_final_one_is_not() {
        let mut watch = Watch::default();
        job_is(&mut watch, batch(), JobState::Accepted);
        task_is(&mut watch, task("a", 0, TaskState::Finished, "failed"));
        assert_eq!(watch.failed().count(), 1);
        let mut again = task("c", 0, TaskState::Finished, "normal");
        again.task_context.insert("task.resubmitOf".into(), "a".into());
        task_is(&mut watch, again);
        task_is(&mut watch, task("b", 1, TaskState::Finished, "failed"));
        assert_eq!(watch.failed().map(|t| t.id.as_str()).collect::<Vec<_>>(), ["b"]);
        job_is(&mut watch, batch(), JobState::Finished);
        assert!(watch.is_over() && !watch.ended_well());
    }

    #[test]
    fn a_service_has_started_while_all_its_tasks_run() {
        let mut watch = Watch::default();
        job_is(&mut watch, service(), JobState::Accepted);
        task_is(&mut watch, task("a", 0, TaskState::Started, "normal"));
        task_is(&mut watch, task("b", 1, TaskState::Started, "normal"));
        assert!(watch.all_started());
        task_is(&mut watch, task("b", 1, TaskState::Finished, "failed"));
        assert!(!watch.all_started());
        job_is(&mut watch, service(), JobState::Finished);
        assert!(
            watch.ended_well(),
            "a service that was stopped has ended as it should"
        );
    }
}
