use std::collections::BTreeMap;

use super::scale_down::victims;
use crate::id::{HostId, TaskId};
use crate::job::{JobRecord, JobState};
use crate::rng::Rng;
use crate::spec::{BatchSpec, JobKind};
use crate::task::retry::{Retry, decide};
use crate::task::{self, ReasonCode, TaskHot, TaskState};
use crate::time::{Millis, Timestamp};

/// One step towards what a job shall be. Tasks are named, not written: whoever applies a kill reads the task's record
/// in the same transaction, since its host may have changed it meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Store this new task, which waits for a host.
    Create(Box<TaskHot>),
    /// Ask for a task's end.
    Kill {
        /// The task.
        task: TaskId,
        /// Why.
        reason: ReasonCode,
    },
    /// Wait no longer for a task that was told to end.
    GiveUpKill {
        /// The task.
        task: TaskId,
    },
    /// The job is over.
    FinishJob {
        /// Why.
        reason: ReasonCode,
        /// The same for people.
        message: String,
    },
    /// Move a finished task, which another replaced or nobody misses, out of the live records.
    Archive {
        /// The task.
        task: TaskId,
    },
}

impl Action {
    /// What a [`Kill`](Self::Kill) or [`GiveUpKill`](Self::GiveUpKill) makes of the task that it names; `None` where
    /// it changes nothing (any more), and for the other actions.
    #[must_use]
    pub fn applied_to(&self, task: &TaskHot, now: Timestamp) -> Option<TaskHot> {
        match self {
            Self::Kill { task: id, reason } if *id == task.id => task::kill(task, *reason, now),
            Self::GiveUpKill { task: id } if *id == task.id => task::give_up_kill(task, now),
            _ => None,
        }
    }
}

/// How much one call may do, and how long tasks may stay in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tasks created at most by one call: what fits into a transaction.
    pub creates: usize,
    /// Tasks killed at most by one call; runtime limits count too, stuck tasks have a budget of their own.
    pub kills: usize,
    /// Tasks archived at most by one call.
    pub archives: usize,
    /// Stuck tasks that may be acted on now: what the cell's token bucket has left (one a second by default), so that
    /// a fault of the platform does not kill its tasks by the thousand.
    pub stuck: usize,
    /// How long a placed task may wait for its host to begin.
    pub launched: Millis,
    /// How long a batch task may be prepared.
    pub batch_start: Millis,
    /// How long a service task may be prepared.
    pub service_start: Millis,
    /// How long a host may take to end a task before nobody waits any longer.
    pub kill: Millis,
    /// Finished tasks that a job keeps beside its live ones.
    pub keep_finished: usize,
    /// For how long it keeps them.
    pub keep_finished_for: Millis,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            creates: 500,
            kills: 300,
            archives: 500,
            stuck: 1,
            launched: Millis::from_secs(300),
            batch_start: Millis::from_secs(720),
            service_start: Millis::from_secs(300),
            kill: Millis::from_secs(1_200),
            keep_finished: 100,
            keep_finished_for: Millis::from_secs(7 * 24 * 3_600),
        }
    }
}

/// What one call found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reconciled {
    /// What to do, in order.
    pub actions: Vec<Action>,
    /// When to look again even if nothing changes; not later than `now` when a limit cut the actions short.
    pub wake: Option<Timestamp>,
}

/// The delay before a stuck task is looked at again that the budget had no token for.
const NEXT_TOKEN: Millis = Millis(1_000);

/// Compares a job with its tasks: all that are not archived, in any order.
///
/// `zone_of` names the zone of a host, for the order in which a service is made smaller.
#[must_use]
pub fn reconcile<'a>(
    job: &JobRecord,
    tasks: &[TaskHot],
    zone_of: &dyn Fn(HostId) -> Option<&'a str>,
    now: Timestamp,
    limits: &Limits,
    rng: &mut Rng,
) -> Reconciled {
    let mut pass = Pass {
        job,
        tasks: tasks.to_vec(),
        now,
        limits,
        left: *limits,
        found: Reconciled::default(),
    };
    match (job.status.state, job.spec.kind()) {
        (JobState::Finished, _) => return pass.found,
        (JobState::KillInitiated, _) => pass.end_job(),
        (JobState::Accepted, JobKind::Batch(batch)) => {
            pass.end_overdue(Some(batch));
            pass.fill_slots(batch, rng);
        }
        (JobState::Accepted, JobKind::Service(_)) => {
            pass.end_overdue(None);
            pass.shrink(zone_of);
            pass.grow(rng);
        }
    }
    pass.archive();
    pass.found
}

/// One call: the tasks as they will be once the actions found so far are applied.
struct Pass<'a> {
    job: &'a JobRecord,
    tasks: Vec<TaskHot>,
    now: Timestamp,
    limits: &'a Limits,
    left: Limits,
    found: Reconciled,
}

impl Pass<'_> {
    fn live(&self) -> usize {
        self.tasks
            .iter()
            .filter(|t| t.state != TaskState::Finished)
            .count()
    }

    fn wake_at(&mut self, at: Timestamp) {
        self.found.wake = Some(self.found.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Applies an action to the task at `slot`, so that what follows sees it.
    fn act(&mut self, slot: usize, action: Action) {
        if let Some(next) = action.applied_to(&self.tasks[slot], self.now) {
            self.tasks[slot] = next;
            self.found.actions.push(action);
        }
    }

    /// False when this call has killed enough.
    fn kill(&mut self, slot: usize, reason: ReasonCode) -> bool {
        if self.left.kills == 0 {
            self.wake_at(self.now);
            return false;
        }
        self.left.kills -= 1;
        let task = self.tasks[slot].id;
        self.act(slot, Action::Kill { task, reason });
        true
    }

    /// A job that shall end: its tasks first, then itself.
    fn end_job(&mut self) {
        for slot in 0..self.tasks.len() {
            let ends = matches!(
                self.tasks[slot].state,
                TaskState::KillInitiated | TaskState::Finished
            );
            if !ends && !self.kill(slot, ReasonCode::Killed) {
                break;
            }
        }
        self.end_overdue(None);
        if self.live() == 0 {
            self.found.actions.push(Action::FinishJob {
                reason: ReasonCode::Killed,
                message: self.job.status.message.clone(),
            });
        }
    }

    /// Deadlines: the stored time of the state that a task is in, plus its limit. So a failover restarts no clock.
    fn end_overdue(&mut self, batch: Option<&BatchSpec>) {
        for slot in 0..self.tasks.len() {
            let task = self.tasks[slot];
            let Some(limit) = self.time_limit(task.state, batch) else {
                continue;
            };
            let Some(deadline) = task.since().map(|since| since + limit) else {
                continue;
            };
            if deadline > self.now {
                self.wake_at(deadline);
                continue;
            }
            match task.state {
                TaskState::Started | TaskState::Disconnected => {
                    self.kill(slot, ReasonCode::RuntimeLimitExceeded);
                }
                _ if self.left.stuck == 0 => self.wake_at(self.now + NEXT_TOKEN),
                state => {
                    self.left.stuck -= 1;
                    let action = match state {
                        TaskState::KillInitiated => Action::GiveUpKill { task: task.id },
                        _ => Action::Kill {
                            task: task.id,
                            reason: ReasonCode::StuckInState,
                        },
                    };
                    self.act(slot, action);
                }
            }
        }
    }

    fn time_limit(&self, state: TaskState, batch: Option<&BatchSpec>) -> Option<Millis> {
        match state {
            TaskState::Accepted | TaskState::Finished => None,
            TaskState::Launched => Some(self.limits.launched),
            TaskState::StartInitiated if matches!(self.job.spec.kind(), JobKind::Batch(_)) => {
                Some(self.limits.batch_start)
            }
            TaskState::StartInitiated => Some(self.limits.service_start),
            TaskState::Started | TaskState::Disconnected => batch.map(|b| b.runtime_limit),
            TaskState::KillInitiated => Some(self.limits.kill),
        }
    }

    /// The newest task of each slot.
    fn heads(&self) -> BTreeMap<u32, TaskHot> {
        let mut heads: BTreeMap<u32, TaskHot> = BTreeMap::new();
        for task in &self.tasks {
            let head = heads.entry(task.index).or_insert(*task);
            if rank(task) > rank(head) {
                *head = *task;
            }
        }
        heads
    }

    /// Every slot of a batch job gets a task until it has its result; then the job is over.
    fn fill_slots(&mut self, batch: &BatchSpec, rng: &mut Rng) {
        let heads = self.heads();
        let (mut done, mut failed) = (0_u32, 0_u32);
        for index in 0..batch.size {
            match heads.get(&index) {
                None => self.create(index, None, rng),
                Some(head) if head.state != TaskState::Finished => {}
                Some(head) => match decide(self.job, head, self.now, rng) {
                    Retry::Done { success } => {
                        done += 1;
                        failed += u32::from(!success);
                    }
                    Retry::Retire => done += 1,
                    retry @ Retry::Replace { .. } => self.create(index, Some((head, retry)), rng),
                },
            }
        }
        if done == batch.size {
            let message = if failed == 0 {
                String::new()
            } else {
                format!("{failed} of {} tasks failed", batch.size)
            };
            self.found.actions.push(Action::FinishJob {
                reason: ReasonCode::Normal,
                message,
            });
        }
    }

    fn desired(&self) -> usize {
        usize::try_from(self.job.capacity.desired).unwrap_or(usize::MAX)
    }

    /// Tasks that are ending already count as gone: a shrink and a kill at once do not remove twice.
    fn shrink<'z>(&mut self, zone_of: &dyn Fn(HostId) -> Option<&'z str>) {
        let staying = self
            .tasks
            .iter()
            .filter(|t| !matches!(t.state, TaskState::Finished | TaskState::KillInitiated))
            .count();
        let surplus = staying.saturating_sub(self.desired());
        for slot in victims(&self.tasks, surplus, zone_of) {
            if !self.kill(slot, ReasonCode::ScaledDown) {
                return;
            }
        }
    }

    /// A task that is ending holds its slot until it has ended: its replacement never runs beside it.
    fn grow(&mut self, rng: &mut Rng) {
        let missing = self.desired().saturating_sub(self.live());
        if missing == 0 {
            return;
        }
        let heads = self.heads();
        let is_free = |index: &u32| heads.get(index).is_none_or(|t| t.state == TaskState::Finished);
        let mut vacated: Vec<(TaskHot, Retry)> = heads
            .values()
            .filter(|head| head.state == TaskState::Finished)
            .map(|head| (*head, decide(self.job, head, self.now, rng)))
            .filter(|(_, retry)| matches!(retry, Retry::Replace { .. }))
            .collect();
        vacated.sort_by_key(|(head, _)| (head.times.finished, head.index));
        vacated.truncate(missing);
        let fresh: Vec<u32> = (0..)
            .filter(is_free)
            .filter(|index| vacated.iter().all(|(head, _)| head.index != *index))
            .take(missing - vacated.len())
            .collect();
        for (head, retry) in &vacated {
            self.create(head.index, Some((head, *retry)), rng);
        }
        for index in fresh {
            self.create(index, None, rng);
        }
    }

    fn create(&mut self, index: u32, replaces: Option<(&TaskHot, Retry)>, rng: &mut Rng) {
        if self.left.creates == 0 {
            return self.wake_at(self.now);
        }
        self.left.creates -= 1;
        let id = TaskId::generate(self.now, self.job.spec.shard(), rng);
        let mut task = TaskHot::accepted(id, self.job.id, index, self.now);
        if let Some((old, Retry::Replace { not_before, attempts })) = replaces {
            task.original = old.original;
            task.resubmit_of = Some(old.id);
            task.attempts = attempts;
            task.not_before = not_before;
        }
        self.tasks.push(task);
        self.found.actions.push(Action::Create(Box::new(task)));
    }

    /// Finished tasks that were replaced go when there are too many or they are too old; so do those that a service
    /// does not miss. The last task of a batch job's slot is its result and stays with the job.
    fn archive(&mut self) {
        let heads = self.heads();
        let surplus_heads =
            matches!(self.job.spec.kind(), JobKind::Service(_)) && self.live() >= self.desired();
        let mut old: Vec<(Option<Timestamp>, TaskId)> = self
            .tasks
            .iter()
            .filter(|t| t.state == TaskState::Finished)
            .filter(|t| surplus_heads || heads.get(&t.index).is_some_and(|head| head.id != t.id))
            .map(|t| (t.times.finished, t.id))
            .collect();
        old.sort_unstable();
        let too_many = old.len().saturating_sub(self.limits.keep_finished);
        for (nth, (finished, task)) in old.into_iter().enumerate() {
            let expires = finished.map(|at| at + self.limits.keep_finished_for);
            if nth >= too_many && expires.is_none_or(|at| at > self.now) {
                if let Some(at) = expires {
                    self.wake_at(at);
                }
                break;
            }
            if self.left.archives == 0 {
                self.wake_at(self.now);
                break;
            }
            self.left.archives -= 1;
            self.found.actions.push(Action::Archive { task });
        }
    }
}

/// Orders the tasks of one slot from old to new: at most one is live, and it is the newest.
fn rank(task: &TaskHot) -> (bool, Option<Timestamp>, u16, TaskId) {
    let live = task.state != TaskState::Finished;
    (live, task.times.queued, task.attempts.resubmits, task.id)
}
