//! The planner's seam, and the standard planner.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::filter;
use super::policy::{Filter, Score};
use super::report::explain;
use super::score::Preferences;
use super::search::{Policy, Search};
use super::{Ask, PendingTask, PlacementReport, Plan, Unplaced};
use crate::id::JobId;
use crate::resources::Resources;
use crate::rng::Rng;
use crate::round::Round;
use crate::time::Timestamp;
use crate::view::JobIx;

/// Decides who goes where. Pure: the same round, tasks, context and planner give the same plan.
pub trait Planner: fmt::Debug + Send {
    /// Places what it can of `pending` into the round, and says why it cannot place the rest. The tasks come in the
    /// order in which they are to be served when there is not room for all. One that does not wait any more is
    /// left out.
    fn plan(&mut self, round: &mut Round<'_>, pending: &[PendingTask], context: &mut PlanContext<'_>)
    -> Plan;
}

/// What a planner may know beside the view.
#[derive(Debug)]
pub struct PlanContext<'a> {
    /// The time.
    pub now: Timestamp,
    /// Randomness, for planners that want it.
    pub rng: &'a mut Rng,
}

/// Hard constraints by filters, preferences by scores, then the fullest host that has room and stays in balance.
///
/// The order of hosts is total: by fitness, between zones by how little of them is taken, then by name.
#[derive(Debug)]
pub struct StandardPlanner {
    policy: Policy,
    search: Search,
}

impl StandardPlanner {
    /// The standard policy.
    #[must_use]
    pub fn new() -> Self {
        Self {
            policy: Policy {
                filters: filter::constraints(),
                scores: vec![Box::new(Preferences)],
            },
            search: Search::default(),
        }
    }

    /// Adds a filter, asked after those that are there.
    #[must_use]
    pub fn with_filter(mut self, filter: Box<dyn Filter>) -> Self {
        self.policy.filters.push(filter);
        self
    }

    /// Adds a score.
    #[must_use]
    pub fn with_score(mut self, score: Box<dyn Score>) -> Self {
        self.policy.scores.push(score);
        self
    }
}

impl Default for StandardPlanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Planner for StandardPlanner {
    fn plan(
        &mut self,
        round: &mut Round<'_>,
        pending: &[PendingTask],
        context: &mut PlanContext<'_>,
    ) -> Plan {
        let mut plan = Plan {
            id: round.plan_id(),
            placements: Vec::with_capacity(pending.len()),
            unplaced: Vec::new(),
        };
        let mut failures = Failures::default();
        self.search.reset();
        let mut last: Option<(JobId, JobIx)> = None;
        for task in pending {
            let same = last.filter(|(id, _)| *id == task.job.id);
            let found = || Some((task.job.id, round.view().find_job(task.job.id)?));
            let Some((id, job)) = same.or_else(found) else {
                continue;
            };
            last = Some((id, job));
            let known = failures.of(round, &self.policy, job);
            let host = if known.is_none() {
                self.search.best(&self.policy, round.view_mut(), job)
            } else {
                None
            };
            match host {
                Some(host) => {
                    if let Ok(placement) = round.place_on(task.task, host) {
                        plan.placements.push(placement);
                        self.search.placed(&self.policy, round.view(), host);
                    }
                }
                None => plan.unplaced.push(Unplaced {
                    task: task.task,
                    job: task.job.id,
                    report: known.unwrap_or_else(|| failures.note(round, &self.policy, job, context.now)),
                }),
            }
        }
        plan
    }
}

/// The jobs that found no host in this round, with the reasons. A round only takes room away, so that none of them
/// needs to be tried again; nor do others that ask for as much and have no constraints.
#[derive(Debug, Default)]
struct Failures {
    by_job: BTreeMap<JobIx, Arc<PlacementReport>>,
    by_room: BTreeMap<Resources, Arc<PlacementReport>>,
}

impl Failures {
    fn of(&self, round: &Round<'_>, policy: &Policy, job: JobIx) -> Option<Arc<PlacementReport>> {
        if self.by_job.is_empty() {
            return None;
        }
        let by_room = || {
            let ask = Ask::new(round.view(), job).filter(|ask| policy.is_free(ask))?;
            self.by_room.get(&ask.resources())
        };
        self.by_job.get(&job).or_else(by_room).cloned()
    }

    fn note(
        &mut self,
        round: &Round<'_>,
        policy: &Policy,
        job: JobIx,
        now: Timestamp,
    ) -> Arc<PlacementReport> {
        let report = Arc::new(explain(round.view(), job, &policy.filters, now));
        self.by_job.insert(job, Arc::clone(&report));
        if let Some(ask) = Ask::new(round.view(), job).filter(|ask| policy.is_free(ask)) {
            self.by_room.insert(ask.resources(), Arc::clone(&report));
        }
        report
    }
}
