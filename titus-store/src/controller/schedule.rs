//! Gives waiting tasks hosts: one round over the warm view, then the commit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use titus_core::id::{JobId, PlanId};
use titus_core::rng::Rng;
use titus_core::schedule::{PendingTask, PlacementReport, PlanContext, Planner, RefusalReason, Unplaced};
use titus_core::shard::ShardId;
use titus_core::task::TaskState;
use titus_core::time::{Millis, Timestamp};

use super::warm::{WarmView, lock};
use crate::cluster::Lease;
use crate::error::Result;

/// Tasks of one round: bounds the time that the view is locked.
const ROUND: usize = 1_000;
const BACK_OFF: Millis = Millis(1_000);
const BACK_OFF_MAX: Millis = Millis(30_000);

/// Why tasks of a job wait.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The last look of the planner.
    pub report: Arc<PlacementReport>,
    /// When the planner looks again, unless room is made before.
    pub again: Timestamp,
}

/// What the controller did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScheduleCounters {
    /// Rounds planned.
    pub rounds: u64,
    /// Placements committed.
    pub placed: u64,
    /// Placements refused by the commit.
    pub refused: u64,
    /// Tasks that a round found no host for.
    pub unplaced: u64,
    /// Plans dropped because the lease did not hold.
    pub fenced: u64,
}

/// Plans and commits for the shards that a process owns.
#[derive(Debug)]
pub struct ScheduleController {
    planner: Box<dyn Planner>,
    rng: Rng,
    parked: BTreeMap<JobId, Parked>,
    waiting: Arc<Mutex<BTreeMap<JobId, Waiting>>>,
    counters: Arc<Mutex<ScheduleCounters>>,
}

/// A job that found no host: not planned again until there is more room or its back-off is over.
#[derive(Debug, Clone, Copy)]
struct Parked {
    room: u64,
    until: Timestamp,
    delay: Millis,
}

impl ScheduleController {
    /// A controller with a planner.
    #[must_use]
    pub fn new(planner: Box<dyn Planner>, rng: Rng) -> Self {
        Self {
            planner,
            rng,
            parked: BTreeMap::new(),
            waiting: Arc::default(),
            counters: Arc::default(),
        }
    }

    /// Why jobs wait, for whoever asks; kept up to date by [`tick`](Self::tick).
    #[must_use]
    pub fn waiting(&self) -> Arc<Mutex<BTreeMap<JobId, Waiting>>> {
        Arc::clone(&self.waiting)
    }

    /// What was done so far.
    #[must_use]
    pub fn counters(&self) -> Arc<Mutex<ScheduleCounters>> {
        Arc::clone(&self.counters)
    }

    /// Plans one round for the shards of the lease and commits it. Answers when to look again at the latest, beside
    /// whenever the view or the room changes; `None` when nothing waits.
    ///
    /// # Errors
    /// The store's. Placements that are not known to be committed are taken back.
    pub async fn tick(&mut self, warm: &WarmView, lease: &Lease) -> Result<Option<Timestamp>> {
        let now = warm.cluster().clock().now();
        let room = *warm.room().borrow();
        let owned = |shard: ShardId| lease.owns(shard);
        let plan = warm.with_mut(|view| {
            self.parked.retain(|job, _| view.job(*job).is_some());
            let due = |task: &PendingTask| {
                self.parked
                    .get(&task.job.id)
                    .is_none_or(|p| p.room != room || p.until <= now)
            };
            let pending: Vec<PendingTask> = view.pending(owned, now).filter(due).take(ROUND).collect();
            if pending.is_empty() {
                return None;
            }
            let shard = pending
                .first()
                .and_then(|t| t.job.id.shard())
                .unwrap_or_else(|| ShardId::of(""));
            let id = PlanId::generate(now, shard, &mut self.rng);
            let mut round = view.round(id);
            let mut context = PlanContext {
                now,
                rng: &mut self.rng,
            };
            let plan = self.planner.plan(&mut round, &pending, &mut context);
            round.keep();
            Some((plan, pending.len()))
        });
        let Some((plan, asked)) = plan else {
            self.forget_placed(warm);
            return Ok(self.next(warm, lease, now, room));
        };
        let outcome = warm.cluster().commit(&plan, lease).await;
        let committed = match outcome {
            Ok(committed) => committed,
            Err(error) => {
                warm.with_mut(|view| view.undo_plan(plan.id));
                return Err(error);
            }
        };
        warm.with_mut(|view| {
            for refused in &committed.refused {
                view.undo(plan.id, refused.placement.task);
            }
            if committed.fenced {
                view.undo_plan(plan.id);
            }
        });
        self.park(&plan.unplaced, now, room);
        self.count(&plan.unplaced, &committed);
        self.forget_placed(warm);
        let contended = committed
            .refused
            .iter()
            .any(|r| r.reason != RefusalReason::TaskNotWaiting);
        if asked == ROUND || contended {
            return Ok(Some(now));
        }
        Ok(self.next(warm, lease, now, room))
    }

    fn park(&mut self, unplaced: &[Unplaced], now: Timestamp, room: u64) {
        let mut waiting = lock(&self.waiting);
        for task in unplaced {
            if self
                .parked
                .get(&task.job)
                .is_some_and(|p| p.room == room && p.until > now)
            {
                continue;
            }
            let delay = self
                .parked
                .get(&task.job)
                .map_or(BACK_OFF, |p| Millis((p.delay.0 * 2).min(BACK_OFF_MAX.0)));
            let until = now + delay;
            self.parked.insert(task.job, Parked { room, until, delay });
            waiting.insert(
                task.job,
                Waiting {
                    report: Arc::clone(&task.report),
                    again: until,
                },
            );
        }
    }

    fn count(&self, unplaced: &[Unplaced], committed: &crate::cluster::Committed) {
        let mut counters = lock(&self.counters);
        counters.rounds += 1;
        counters.placed += committed.placed.len() as u64;
        counters.refused += committed.refused.len() as u64;
        counters.unplaced += unplaced.len() as u64;
        counters.fenced += u64::from(committed.fenced);
    }

    /// A job without waiting tasks has no reason to wait.
    fn forget_placed(&mut self, warm: &WarmView) {
        if self.parked.is_empty() {
            return;
        }
        warm.with(|view| {
            self.parked
                .retain(|job, _| view.job_counts(*job).of(TaskState::Accepted) > 0)
        });
        lock(&self.waiting).retain(|job, _| self.parked.contains_key(job));
    }

    fn next(&self, warm: &WarmView, lease: &Lease, now: Timestamp, room: u64) -> Option<Timestamp> {
        let parked = self
            .parked
            .values()
            .filter(|p| p.room == room)
            .map(|p| p.until.max(now + Millis(1)))
            .min();
        let backed_off = warm.with(|view| view.next_ready(|shard| lease.owns(shard), now));
        [parked, backed_off].into_iter().flatten().min()
    }
}
