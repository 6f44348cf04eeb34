//! What users, controllers and the store's front door do.

use std::sync::Arc;

use super::event::{Event, HostIx};
use super::workload::draw;
use super::world::{World, is_service};
use crate::change::Change;
use crate::host::HostHealth;
use crate::id::{JobId, PlanId, TaskId};
use crate::job::{JobRecord, JobState};
use crate::reconcile::{ExpiryLimits, Heard, Limits, Reconciled, expire, reconcile};
use crate::schedule::{PendingTask, Plan, PlanContext, Planner};
use crate::shard::ShardId;
use crate::task::{ReasonCode, TaskHot, TaskState};
use crate::time::{Millis, Timestamp};
use crate::wire::HostReport;

impl World {
    pub(super) fn submit(&mut self) {
        if self.submitted == self.config.jobs {
            return;
        }
        let largest = (u64::from(self.config.hosts) * 8 / u64::from(self.config.jobs)).max(1);
        let job = draw(self.submitted, largest, &mut self.rng.jobs);
        self.submitted += 1;
        let id = JobId::generate(self.now, job.spec.shard(), &mut self.rng.ids);
        self.programs.insert(id, job.program);
        self.store
            .write_job(JobRecord::accepted(id, Arc::new(job.spec), self.now));
        let wait = self.config.busy.0 / u64::from(self.config.jobs);
        let next = self.now + Millis(1 + self.rng.jobs.below(wait.max(1)));
        self.agenda.at(next, Event::Submit);
    }

    /// A user kills a task, makes a service larger or smaller, or ends a job.
    pub(super) fn order(&mut self) {
        if self.is_quiet() {
            return;
        }
        let next = self.now + Millis(1 + self.rng.orders.below(20_000));
        self.agenda.at(next, Event::Order);
        match self.rng.orders.below(10) {
            0 => self.end_a_job(),
            1..5 => self.scale_a_service(),
            _ => self.kill_a_task(),
        }
    }

    fn end_a_job(&mut self) {
        let jobs: Vec<_> = self.store.jobs().cloned().collect();
        let drawn = self.rng.orders.below(jobs.len() as u64 * 2);
        let job = usize::try_from(drawn).ok().and_then(|n| jobs.get(n));
        if let Some(job) = job.filter(|j| j.status.state == JobState::Accepted) {
            let mut job = JobRecord::clone(job);
            job.enter(JobState::KillInitiated, ReasonCode::Killed, "a user", self.now);
            self.store.write_job(job);
        }
    }

    fn scale_a_service(&mut self) {
        let services: Vec<_> = self
            .store
            .jobs()
            .filter(|j| is_service(j) && j.status.state == JobState::Accepted)
            .cloned()
            .collect();
        let drawn = self.rng.orders.below(services.len() as u64);
        if let Some(job) = usize::try_from(drawn).ok().and_then(|n| services.get(n)) {
            let mut job = JobRecord::clone(job);
            let most = u64::from(job.capacity.max) + 1;
            job.capacity.desired = u32::try_from(self.rng.orders.below(most)).unwrap_or(0);
            job.version += 1;
            self.store.write_job(job);
        }
    }

    fn kill_a_task(&mut self) {
        let live: Vec<TaskId> = self
            .store
            .tasks()
            .filter(|t| t.state != TaskState::Finished)
            .map(|t| t.id)
            .collect();
        let drawn = self.rng.orders.below(live.len() as u64);
        if let Some(task) = usize::try_from(drawn).ok().and_then(|n| live.get(n)) {
            let reason = if self.rng.orders.chance(1, 3) {
                ReasonCode::Evicted
            } else {
                ReasonCode::Killed
            };
            self.store.kill(*task, reason, self.now);
        }
    }

    /// What every change of the records sets off.
    pub(super) fn follow_up(&mut self) {
        if !self.store.changed_jobs.is_empty() {
            self.soon("reconcile", 5, Event::Reconcile);
        }
        if !self.store.feed.is_empty() {
            self.soon("feed", 20, Event::Feed);
        }
        for name in std::mem::take(&mut self.store.changed_hosts) {
            if let Some(host) = self.by_name.get(&name).copied() {
                self.direct(host);
            }
        }
    }

    /// Schedules an event that stands for all of its kind until it happens.
    fn soon(&mut self, kind: &'static str, within: u64, event: Event) {
        if self.pending.insert(kind) {
            let when = self.now + Millis(1 + self.rng.plans.below(within));
            self.agenda.at(when, event);
        }
    }

    pub(super) fn reconcile(&mut self) {
        self.pending.remove("reconcile");
        let mut jobs = std::mem::take(&mut self.store.changed_jobs);
        let due = self
            .wakes
            .iter()
            .filter(|(_, at)| **at <= self.now)
            .map(|(job, _)| *job);
        jobs.extend(due);
        for id in jobs {
            self.wakes.remove(&id);
            self.reconcile_job(id);
        }
    }

    /// Decides on the view, which may lag behind; the store takes of it what still holds.
    fn reconcile_job(&mut self, id: JobId) {
        let up_to_date = self.store.feed.is_empty();
        let Some(job) = self.view.job(id).cloned() else {
            return;
        };
        let tasks: Vec<TaskHot> = self.view.tasks_of_job(id).collect();
        let found = self.compare(&job, &tasks, 1);
        let acted = !found.actions.is_empty();
        for action in &found.actions {
            self.store.act(id, action, self.now);
        }
        if up_to_date && acted && found.wake.is_none_or(|at| at > self.now) {
            self.look_again(id);
        }
        if let Some(at) = found.wake {
            let at = at.max(self.now + Millis(1));
            self.wakes.insert(id, at);
            self.agenda.at(at, Event::Reconcile);
        }
    }

    fn look_again(&mut self, id: JobId) {
        let Some(job) = self.store.job(id).cloned() else {
            return;
        };
        let again = self.compare(&job, &self.store.tasks_of(id), 0);
        if !again.actions.is_empty() {
            let wrong = format!("reconciled twice, job {id} wants {:?}", again.actions);
            self.store.wrong.push(wrong);
        }
    }

    fn compare(&mut self, job: &JobRecord, tasks: &[TaskHot], stuck: usize) -> Reconciled {
        let store = &self.store;
        let zone_of = |host| store.host(host).map(|h| h.spec.zone.as_str());
        let limits = Limits {
            stuck,
            creates: 7,
            kills: 5,
            keep_finished: 2,
            ..Limits::default()
        };
        reconcile(job, tasks, &zone_of, self.now, &limits, &mut self.rng.ids)
    }

    pub(super) fn feed(&mut self) {
        self.pending.remove("feed");
        for change in std::mem::take(&mut self.store.feed) {
            self.view.apply(&change);
            match change {
                Change::Job(job) => self.store.changed_jobs.insert(job.id),
                Change::Task(task) => self.store.changed_jobs.insert(task.job),
                _ => false,
            };
        }
        self.soon("plan", 10, Event::Plan);
    }

    pub(super) fn plan(&mut self) {
        self.pending.remove("plan");
        if self.plan_at.is_some_and(|at| at <= self.now) {
            self.plan_at = None;
        }
        if let Some(next) = self.view.next_ready(|_| true, self.now) {
            self.plan_by(next);
        }
        let waiting: Vec<PendingTask> = self.view.pending(|_| true, self.now).collect();
        if waiting.is_empty() {
            return;
        }
        let id = PlanId::generate(self.now, ShardId::of("sim"), &mut self.rng.ids);
        let mut round = self.view.round(id);
        let mut context = PlanContext {
            now: self.now,
            rng: &mut self.rng.plans,
        };
        let plan = self.planner.plan(&mut round, &waiting, &mut context);
        round.keep();
        if !plan.unplaced.is_empty() {
            self.plan_by(self.now + Millis(1_000));
        }
        let slow = self.rng.faults.chance(self.faults().stalled, 1_000);
        let when = self.now + Millis(1 + self.rng.plans.below(if slow { 5_000 } else { 20 }));
        self.agenda.at(when, Event::Commit(Box::new(plan)));
    }

    fn plan_by(&mut self, when: Timestamp) {
        if self.plan_at.is_none_or(|at| at > when) {
            self.plan_at = Some(when);
            self.agenda.at(when, Event::Plan);
        }
    }

    pub(super) fn commit(&mut self, plan: &Plan) {
        if self.rng.faults.chance(self.faults().conflict, 1_000) {
            self.view.undo_plan(plan.id);
            return self.soon("plan", 10, Event::Plan);
        }
        for placement in &plan.placements {
            if self.store.place(placement, plan.id, self.now).is_err() {
                self.store.counts.refused += 1;
                self.view.undo(plan.id, placement.task);
                self.soon("plan", 10, Event::Plan);
            }
        }
    }

    pub(super) fn reported(&mut self, host: HostIx, session: u64, revision: u64, report: &HostReport) {
        let it = &mut self.hosts[host];
        if it.cut || session < it.linked {
            return;
        }
        it.linked = session;
        it.heard = self.now;
        it.acked = it.acked.max(revision);
        let name = it.spec.id;
        self.store.sync(report, self.now);
        let Some(record) = self.store.host(name) else {
            return;
        };
        let behind = report.generation < record.desired.generation;
        if record.health != HostHealth::Ready {
            self.store.set_health(name, HostHealth::Ready, self.now);
        }
        if behind {
            self.store.changed_hosts.insert(name);
        }
    }

    pub(super) fn expire(&mut self) {
        self.agenda.at(self.now + Millis::from_secs(5), Event::Expire);
        let now = self.now;
        for host in 0..self.hosts.len() {
            if self.hosts[host].agent.is_some() && !self.hosts[host].cut && self.agrees(host) {
                self.hosts[host].heard = now;
            }
        }
        let heard: Vec<Heard> = self
            .hosts
            .iter()
            .filter_map(|it| {
                let health = self.store.host(it.spec.id)?.health;
                Some(Heard {
                    host: it.spec.id,
                    health,
                    unchanged: now.since(it.heard),
                })
            })
            .collect();
        for (host, health) in expire(&heard, &ExpiryLimits::default()).changes {
            self.store.set_health(host, health, now);
        }
    }
}
