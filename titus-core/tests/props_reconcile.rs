//! Random lives of one job: whatever its tasks do, reconciling closes the gap, once, and knows when to look again.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use titus_core::id::{HostId, JobId, PlanId, TaskId};
use titus_core::job::{JobRecord, JobState};
use titus_core::reconcile::{Action, Limits, Reconciled, reconcile};
use titus_core::rng::{Rng, RngTree};
use titus_core::spec::{
    BatchRequest, Capacity, DelayedRetry, JobRequest, JobSpec, RetryRequest, ServiceRequest,
};
use titus_core::task::{self, Exit, ReasonCode, StageTimes, TaskHot, TaskState};
use titus_core::time::{Millis, Timestamp};
use titus_core::wire::{Phase, TaskReport};

#[derive(Debug, Clone)]
enum Op {
    Place(prop::sample::Index),
    Run(prop::sample::Index),
    End(prop::sample::Index, u8),
    Kill(prop::sample::Index, bool),
    Lose(prop::sample::Index),
    Scale(u32),
    EndJob,
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let any_task = any::<prop::sample::Index>;
    prop_oneof![
        6 => any_task().prop_map(Op::Place),
        6 => any_task().prop_map(Op::Run),
        4 => (any_task(), 0..3_u8).prop_map(|(t, code)| Op::End(t, code)),
        2 => (any_task(), any::<bool>()).prop_map(|(t, evicted)| Op::Kill(t, evicted)),
        1 => any_task().prop_map(Op::Lose),
        2 => (0..8_u32).prop_map(Op::Scale),
        1 => prop::bool::weighted(0.2).prop_map(|ends| if ends { Op::EndJob } else { Op::Pass(1) }),
        3 => (0..900_000_u64).prop_map(Op::Pass),
    ]
}

fn job(batch: bool, size: u32, retries: u32) -> JobRecord {
    let mut request = JobRequest {
        application_name: "app".into(),
        ..JobRequest::default()
    };
    request.owner.team_email = "you@example.com".into();
    request.container.image.name = "host".into();
    request.container.image.tag = "latest".into();
    let retry_policy = RetryRequest {
        delayed: Some(DelayedRetry {
            delay_ms: 3_000,
            retries,
        }),
        ..RetryRequest::default()
    };
    if batch {
        request.batch = Some(BatchRequest {
            size,
            runtime_limit_sec: 300,
            retry_policy,
            ..BatchRequest::default()
        });
    } else {
        let capacity = Capacity {
            min: 0,
            desired: size,
            max: 8,
        };
        request.service = Some(ServiceRequest {
            capacity,
            retry_policy,
            ..ServiceRequest::default()
        });
    }
    let (spec, _) = JobSpec::parse(request, &titus_core::spec::Limits::dev()).unwrap();
    JobRecord::accepted(JobId::from_bytes([1; 16]), Arc::new(spec), START)
}

const START: Timestamp = Timestamp::from_millis(1_000_000);

struct Life {
    job: JobRecord,
    tasks: BTreeMap<TaskId, TaskHot>,
    now: Timestamp,
    rng: Rng,
    limits: Limits,
    made: u32,
}

impl Life {
    fn look(&mut self, now: Timestamp) -> Reconciled {
        let tasks: Vec<TaskHot> = self.tasks.values().copied().collect();
        reconcile(
            &self.job,
            &tasks,
            &|_| Some("zone"),
            now,
            &self.limits,
            &mut self.rng,
        )
    }

    fn apply(&mut self, action: &Action) {
        match action {
            Action::Create(new) => self.create(new),
            Action::Kill { task, .. } | Action::GiveUpKill { task } => {
                let next = action
                    .applied_to(&self.tasks[task], self.now)
                    .expect("an action that acts");
                self.tasks.insert(*task, next);
            }
            Action::FinishJob { reason, message } => {
                assert!(self.live().is_empty(), "the job ends before its tasks");
                self.job.enter(JobState::Finished, *reason, message, self.now);
            }
            Action::Archive { task } => {
                let old = self
                    .tasks
                    .remove(task)
                    .expect("an action on a task that is there");
                assert_eq!(old.state, TaskState::Finished);
            }
        }
    }

    fn create(&mut self, new: &TaskHot) {
        self.made += 1;
        assert!(
            self.live().len() < usize::try_from(self.job.capacity.desired).unwrap(),
            "a task beside those that are still ending"
        );
        assert_eq!((new.state, new.version, new.host), (TaskState::Accepted, 1, None));
        if let Some(old) = new.resubmit_of.map(|id| self.tasks[&id]) {
            assert_eq!(
                (old.state, old.index, old.original),
                (TaskState::Finished, new.index, new.original)
            );
            assert_eq!(new.attempts.resubmits, old.attempts.resubmits + 1);
        } else {
            assert_eq!((new.original, new.attempts.resubmits), (new.id, 0));
        }
        assert!(self.tasks.insert(new.id, *new).is_none());
    }

    fn live(&self) -> Vec<&TaskHot> {
        self.tasks
            .values()
            .filter(|t| t.state != TaskState::Finished)
            .collect()
    }

    /// Reconciles until nothing is to be done, then looks again, now and until the time that was named.
    fn settle(&mut self) {
        let mut wake = None;
        for round in 0.. {
            let found = self.look(self.now);
            assert!(round < 40, "it never ends: {found:?}");
            for action in &found.actions {
                self.apply(action);
            }
            wake = found.wake;
            if found.actions.is_empty() && wake.is_none_or(|at| at > self.now) {
                break;
            }
            assert!(
                !found.actions.is_empty(),
                "it asks to be called again and does nothing"
            );
            let cut_short = wake.is_some_and(|at| at <= self.now);
            let again = self.look(self.now);
            assert!(cut_short || again.actions.is_empty(), "{:?}", again.actions);
        }
        let last = wake.map_or(self.now + Millis::from_secs(86_400), |at| at - Millis(1));
        let early = self.look(last.max(self.now));
        assert_eq!(
            early.actions,
            [],
            "there was something to do before the time that was named"
        );
        self.check();
    }

    fn check(&self) {
        let live = self.live();
        let slots: BTreeSet<u32> = live.iter().map(|t| t.index).collect();
        assert_eq!(slots.len(), live.len(), "two live tasks in one slot");
        let desired = usize::try_from(self.job.capacity.desired).unwrap();
        let staying = live
            .iter()
            .filter(|t| t.state != TaskState::KillInitiated)
            .count();
        match self.job.status.state {
            JobState::Finished => assert!(live.is_empty()),
            JobState::KillInitiated => assert_eq!(staying, 0),
            JobState::Accepted => {
                assert!(staying <= desired);
                let is_batch = self.job.spec.request().batch.is_some();
                assert!(is_batch || live.len() >= desired, "{} of {desired}", live.len());
                assert!(
                    !is_batch || !live.is_empty(),
                    "a batch job that waits for nothing"
                );
            }
        }
    }

    fn perform(&mut self, op: &Op) {
        let ids: Vec<TaskId> = self.live().iter().map(|t| t.id).collect();
        let pick = |index: &prop::sample::Index| ids.get(index.index(ids.len().max(1))).copied();
        let now = self.now;
        let next = match op {
            Op::Place(t) => pick(t).and_then(|id| {
                task::place(
                    &self.tasks[&id],
                    PlanId::from_bytes([2; 16]),
                    HostId::new("h").unwrap(),
                    now,
                )
            }),
            Op::Run(t) => {
                pick(t).and_then(|id| task::observe(&self.tasks[&id], &told(id, Phase::Running, 0, now), now))
            }
            Op::End(t, code) => pick(t)
                .and_then(|id| task::observe(&self.tasks[&id], &told(id, Phase::Ended, *code, now), now)),
            Op::Kill(t, evicted) => {
                let reason = if *evicted {
                    ReasonCode::Evicted
                } else {
                    ReasonCode::Killed
                };
                pick(t).and_then(|id| task::kill(&self.tasks[&id], reason, now))
            }
            Op::Lose(t) => pick(t).and_then(|id| task::lost(&self.tasks[&id], now)),
            Op::Scale(desired) if self.job.spec.request().service.is_some() => {
                self.job.capacity.desired = *desired;
                None
            }
            Op::Scale(_) => None,
            Op::EndJob if self.job.status.state == JobState::Accepted => {
                self.job
                    .enter(JobState::KillInitiated, ReasonCode::Killed, "", now);
                None
            }
            Op::EndJob => None,
            Op::Pass(ms) => {
                self.now = now + Millis(*ms);
                None
            }
        };
        if let Some(next) = next {
            self.tasks.insert(next.id, next);
        }
    }
}

fn told(task: TaskId, phase: Phase, code: u8, now: Timestamp) -> TaskReport {
    TaskReport {
        task,
        phase,
        exit: (phase == Phase::Ended).then_some(Exit::Code(code)),
        reason: None,
        message: String::new(),
        address: None,
        times: StageTimes {
            preparing: Some(now),
            started: Some(now),
            ..StageTimes::default()
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn reconciling_closes_the_gap_once_and_knows_when_to_look_again(
        batch in any::<bool>(),
        size in 1..6_u32,
        retries in 0..3_u32,
        seed in any::<u64>(),
        small in any::<bool>(),
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let limits = if small {
            Limits { creates: 2, kills: 1, archives: 1, keep_finished: 1, stuck: 100, ..Limits::default() }
        } else {
            Limits { stuck: 100, ..Limits::default() }
        };
        let mut life = Life {
            job: job(batch, size, retries),
            tasks: BTreeMap::new(),
            now: START,
            rng: RngTree::new(seed).child("test"),
            limits,
            made: 0,
        };
        life.settle();
        for op in &ops {
            life.perform(op);
            life.settle();
        }
        let many = u32::try_from(ops.len()).unwrap() * 8 + size;
        prop_assert!(life.made <= many, "{} tasks made by {} operations", life.made, ops.len());
    }
}
