//! The planner's seam, and the standard planner.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::filter;
use super::policy::{Filter, Fitness, Score};
use super::report::explain;
use super::score::{Preferences, fill};
use super::{Ask, Candidate, PendingTask, PlacementReport, Plan, Unplaced};
use crate::id::{HostId, JobId};
use crate::rng::Rng;
use crate::round::Round;
use crate::time::Timestamp;
use crate::view::{ClusterView, HostIx, JobIx};

/// Decides who goes where. Pure: the same round, tasks, context and planner give the same plan.
pub trait Planner: fmt::Debug + Send {
    /// Places what it can of `pending` into the round, and says why it cannot place the rest. The tasks come in the
    /// order in which they are to be served when there is not room for all.
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

/// Hard constraints by filters, preferences by scores, then the fullest host that has room.
#[derive(Debug)]
pub struct StandardPlanner {
    filters: Vec<Box<dyn Filter>>,
    scores: Vec<Box<dyn Score>>,
}

impl StandardPlanner {
    /// The standard policy.
    #[must_use]
    pub fn new() -> Self {
        Self {
            filters: filter::constraints(),
            scores: vec![Box::new(Preferences)],
        }
    }

    /// Adds a filter, asked after those that are there.
    #[must_use]
    pub fn with_filter(mut self, filter: Box<dyn Filter>) -> Self {
        self.filters.push(filter);
        self
    }

    /// Adds a score.
    #[must_use]
    pub fn with_score(mut self, score: Box<dyn Score>) -> Self {
        self.scores.push(score);
        self
    }

    fn best_host(&self, view: &ClusterView, job: JobIx) -> Option<HostId> {
        let ask = Ask::new(view, job)?;
        let mut best: Option<(Fitness, std::cmp::Reverse<HostId>)> = None;
        for host in view.host_ixs() {
            if let Some(key) = self.rate(&ask, view, host) {
                best = best.max(Some(key));
            }
        }
        best.map(|(_, host)| host.0)
    }

    fn rate(
        &self,
        ask: &Ask<'_>,
        view: &ClusterView,
        host: HostIx,
    ) -> Option<(Fitness, std::cmp::Reverse<HostId>)> {
        let host = Candidate::new(view, host)?;
        let (available, room) = (filter::Available, filter::Room);
        available.check(ask, &host).ok()?;
        room.check(ask, &host).ok()?;
        for filter in &self.filters {
            filter.check(ask, &host).ok()?;
        }
        let taken = host.capacity().saturating_sub(&host.free());
        let mut fitness = fill(&taken, &host.capacity()) + fill(&ask.resources(), &host.capacity());
        for score in &self.scores {
            fitness += score.score(ask, &host);
        }
        Some((fitness, std::cmp::Reverse(host.id())))
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
        let mut reports: BTreeMap<JobId, Arc<PlacementReport>> = BTreeMap::new();
        for task in pending {
            let Some(job) = round.view().find_job(task.job.id) else {
                continue;
            };
            let host = self.best_host(round.view(), job);
            match host.map(|host| round.place(task.task, host)) {
                Some(Ok(placement)) => plan.placements.push(placement),
                Some(Err(_)) => {}
                None => {
                    let report = reports
                        .entry(task.job.id)
                        .or_insert_with(|| Arc::new(explain(round.view(), job, &self.filters, context.now)));
                    plan.unplaced.push(Unplaced {
                        task: task.task,
                        job: task.job.id,
                        report: Arc::clone(report),
                    });
                }
            }
        }
        plan
    }
}
