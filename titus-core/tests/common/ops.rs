//! Random histories of a small cell, and what a view says about it.

use std::sync::Arc;

use proptest::prelude::*;
use titus_core::change::Change;
use titus_core::host::{HostHealth, HostRecord};
use titus_core::job::JobState;
use titus_core::resources::Resources;
use titus_core::rng::RngTree;
use titus_core::schedule::{Plan, PlanContext, Planner, StandardPlanner};
use titus_core::task::{ReasonCode, TaskHot, TaskState};
use titus_core::time::{Millis, Timestamp};
use titus_core::view::ClusterView;

use super::{JobMaker, NOW, Shape, host_id, host_spec, job_id, plan_id, task_id};

pub const HOSTS: u64 = 7;
pub const JOBS: u64 = 6;
pub const TASKS: u64 = 30;

/// Something that happens to one entity.
#[derive(Debug, Clone)]
pub enum Op {
    Host {
        number: u64,
        zone: u64,
        size: u64,
        used: u64,
        health: HostHealth,
        draining: bool,
    },
    HostGone(u64),
    Job {
        number: u64,
        shape: Shape,
        hard: Option<u8>,
        soft: Option<u8>,
        group: u8,
        state: JobState,
    },
    JobGone(u64),
    Task {
        number: u64,
        job: u64,
        index: u32,
        state: TaskState,
        host: u64,
        wait: u64,
    },
    TaskGone(u64),
}

impl Op {
    /// The change of an op that comes at this place of a history: later ones are newer.
    pub fn change(&self, at: u64) -> Change {
        match *self {
            Self::Host {
                number,
                zone,
                size,
                used,
                health,
                draining,
            } => {
                let mut spec = host_spec(number);
                spec.zone = format!("zone-{zone}");
                spec.capacity.cpu_milli *= size;
                let mut record = HostRecord::new(spec, NOW);
                record.desired.generation = at;
                record.desired.used = Resources {
                    cpu_milli: used * 1_000,
                    memory_mb: used * 700,
                    ..Resources::ZERO
                };
                record.desired.draining = draining;
                record.health = health;
                Change::Host(Arc::new(record))
            }
            Self::HostGone(number) => Change::HostGone(host_id(number)),
            Self::Job {
                number,
                shape,
                hard,
                soft,
                group,
                state,
            } => {
                let maker = JobMaker {
                    shape,
                    group: ["gold", "silver", "DEFAULT"][usize::from(group)],
                    hard: hard.map(constraint).into_iter().collect(),
                    soft: soft.map(constraint).into_iter().collect(),
                    created: NOW + Millis(number % 3),
                    ..JobMaker::new(number)
                };
                let mut record = Arc::unwrap_or_clone(maker.record());
                if state != JobState::Accepted {
                    record.enter(state, ReasonCode::Killed, "", NOW);
                }
                record.version = at;
                Change::Job(Arc::new(record))
            }
            Self::JobGone(number) => Change::JobGone(job_id(number)),
            Self::Task {
                number,
                job,
                index,
                state,
                host,
                wait,
            } => {
                let mut hot = TaskHot::accepted(task_id(number), job_id(job), index, NOW);
                hot.state = state;
                hot.not_before = wait.checked_sub(1).map(|later| NOW + Millis(later));
                hot.version = at;
                if index % 3 == 2 {
                    hot.original = task_id(number + 500);
                    hot.resubmit_of = Some(task_id(number + 400));
                }
                if state != TaskState::Accepted {
                    hot.host = Some(host_id(host));
                    hot.plan = Some(plan_id(9_999));
                }
                Change::Task(hot)
            }
            Self::TaskGone(number) => Change::TaskGone(task_id(number)),
        }
    }
}

/// One of the constraints, with a value that some host keeps.
pub fn constraint(number: u8) -> (&'static str, String) {
    [
        ("availabilityZone", "zone-1".to_owned()),
        ("machineType", "type-1".to_owned()),
        ("machineId", "host-00002".to_owned()),
        ("zoneBalance", "true".to_owned()),
        ("uniqueHost", "true".to_owned()),
        ("exclusiveHost", "true".to_owned()),
    ][usize::from(number % 6)]
    .clone()
}

pub fn shape() -> impl Strategy<Value = Shape> {
    let cpu = prop_oneof![Just(0.0), Just(0.5), Just(1.0), Just(2.0), Just(4.0)];
    let memory = prop_oneof![Just(0), Just(512), Just(2_048), Just(3_000), Just(8_192)];
    let network = prop_oneof![4 => Just(10), 1 => Just(600)];
    let gpu = prop_oneof![9 => Just(0), 1 => Just(1)];
    (cpu, memory, network, gpu).prop_map(|(cpu, memory_mb, network_mbps, gpu)| Shape {
        cpu,
        memory_mb,
        network_mbps,
        gpu,
        ..Shape::default()
    })
}

pub fn host_op() -> impl Strategy<Value = Op> {
    let health = prop_oneof![
        6 => Just(HostHealth::Ready), 1 => Just(HostHealth::Silent), 1 => Just(HostHealth::Lost)
    ];
    let used = prop_oneof![4 => Just(0), 1 => 0..6u64];
    (
        0..HOSTS,
        0..3u64,
        1..3u64,
        used,
        health,
        prop::bool::weighted(0.1),
    )
        .prop_map(|(number, zone, size, used, health, draining)| Op::Host {
            number,
            zone,
            size,
            used,
            health,
            draining,
        })
}

pub fn job_op() -> impl Strategy<Value = Op> {
    let constraint = || prop::option::weighted(0.4, 0..6u8);
    let state = prop_oneof![5 => Just(JobState::Accepted), 1 => Just(JobState::KillInitiated)];
    (0..JOBS, shape(), constraint(), constraint(), 0..3u8, state).prop_map(
        |(number, shape, hard, soft, group, state)| Op::Job {
            number,
            shape,
            hard,
            soft,
            group,
            state,
        },
    )
}

pub fn task_op() -> impl Strategy<Value = Op> {
    let state = prop_oneof![4 => Just(TaskState::Accepted), 3 => prop::sample::select(&TaskState::ALL[..])];
    let wait = prop_oneof![3 => Just(0), 1 => 0..4u64];
    (0..TASKS, 0..JOBS, 0..5u32, state, 0..HOSTS, wait).prop_map(|(number, job, index, state, host, wait)| {
        // A task seldom changes its job.
        let job = if number % 7 == 0 { job } else { number % JOBS };
        Op::Task {
            number,
            job,
            index,
            state,
            host,
            wait,
        }
    })
}

/// Whatever may happen to an entity that stays.
pub fn lasting_op() -> impl Strategy<Value = Op> {
    prop_oneof![1 => host_op(), 1 => job_op(), 3 => task_op()]
}

/// Whatever may happen.
pub fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => host_op(), 1 => (0..HOSTS).prop_map(Op::HostGone),
        4 => job_op(), 1 => (0..JOBS).prop_map(Op::JobGone),
        12 => task_op(), 2 => (0..TASKS).prop_map(Op::TaskGone),
    ]
}

/// All that a view says, as text.
pub fn dump(view: &ClusterView, now: Timestamp) -> String {
    use std::fmt::Write;
    let mut text = format!("{view:?} {:?}\n", view.counts());
    for job in view.jobs() {
        let tasks: Vec<_> = view.tasks_of_job(job.id).collect();
        let counts = view.job_counts(job.id);
        writeln!(text, "{:?} v{} {counts:?} {tasks:?}", job.id, job.version).expect("a String takes all");
    }
    for number in 0..TASKS {
        writeln!(text, "{:?}", view.task(task_id(number))).expect("a String takes all");
    }
    for number in 0..HOSTS {
        let id = host_id(number);
        let (used, free) = (view.used_on_host(id), view.free_on_host(id));
        let tasks: Vec<_> = view.tasks_on_host(id).iter().map(|task| task.id).collect();
        writeln!(text, "{:?} {used:?} {free:?} {tasks:?}", view.host(id)).expect("a String takes all");
    }
    let pending: Vec<_> = view
        .pending(|_| true, now)
        .map(|task| (task.task, task.since))
        .collect();
    let next = view.next_ready(|_| true, now);
    writeln!(text, "{pending:?} {next:?} {:?}", view.hosts().count()).expect("a String takes all");
    text
}

/// Plans all that waits and keeps the round.
pub fn plan(view: &mut ClusterView, number: u64, now: Timestamp) -> Plan {
    let pending: Vec<_> = view.pending(|_| true, now).collect();
    let mut rng = RngTree::new(1).child("plan");
    let mut context = PlanContext { now, rng: &mut rng };
    let mut round = view.round(plan_id(number));
    let plan = StandardPlanner::new().plan(&mut round, &pending, &mut context);
    round.keep();
    plan
}

/// The record of a task that a plan has placed.
pub fn launched(task: TaskHot, plan: &Plan, version: u64) -> Option<Change> {
    let placement = plan
        .placements
        .iter()
        .find(|placement| placement.task == task.id)?;
    Some(Change::Task(TaskHot {
        state: TaskState::Launched,
        host: Some(placement.host),
        plan: Some(plan.id),
        version,
        ..task
    }))
}
