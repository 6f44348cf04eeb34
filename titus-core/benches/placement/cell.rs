//! The planner under test: a warm view, and what a scheduler does around a pass.

use std::sync::Arc;

use titus_core::change::Change;
use titus_core::host::{HostRecord, HostSpec};
use titus_core::id::{HostId, JobId, PlanId, TaskId};
use titus_core::job::JobRecord;
use titus_core::resources::Resources;
use titus_core::rng::{Rng, RngTree};
use titus_core::schedule::{PendingTask, Plan, PlanContext, Planner, StandardPlanner};
use titus_core::spec::{BatchRequest, JobRequest, JobSpec};
use titus_core::task::{TaskHot, TaskState};
use titus_core::time::Timestamp;
use titus_core::view::ClusterView;

use super::workload::{HOST, JOB_SIZE, Task, ZONES};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A cell of equal hosts, and its planner.
pub struct Cell {
    view: ClusterView,
    planner: StandardPlanner,
    rng: Rng,
    jobs: usize,
    tasks: u64,
    plans: u64,
}

impl Cell {
    pub fn new(hosts: usize) -> Self {
        let mut view = ClusterView::new();
        for number in 0..hosts {
            view.apply(&Change::Host(Arc::new(HostRecord::new(host(number), NOW))));
        }
        let rng = RngTree::new(1).child("plan");
        Self {
            view,
            planner: StandardPlanner::new(),
            rng,
            jobs: 0,
            tasks: 0,
            plans: 0,
        }
    }

    /// Makes a pass's tasks known, as the reconciler would, and reads the queue. Ids are as random as real ones.
    pub fn submit(&mut self, pass: &[Task]) -> Vec<PendingTask> {
        for task in pass {
            if task.job == self.jobs {
                self.view.apply(&Change::Job(job(*task)));
                self.jobs += 1;
            }
            let index = u32::try_from(self.tasks as usize % JOB_SIZE).unwrap();
            let hot = TaskHot::accepted(task_id(self.tasks), job_id(task.job), index, NOW);
            self.view.apply(&Change::Task(hot));
            self.tasks += 1;
        }
        self.view.pending(|_| true, NOW).collect()
    }

    /// One pass: the round, the plan, and the plan assumed.
    pub fn pass(&mut self, pending: &[PendingTask]) -> Plan {
        self.plans += 1;
        let mut round = self
            .view
            .round(PlanId::from_bytes(u128::from(self.plans).to_be_bytes()));
        let mut context = PlanContext {
            now: NOW,
            rng: &mut self.rng,
        };
        let plan = self.planner.plan(&mut round, pending, &mut context);
        round.keep();
        plan
    }

    /// What the feed will say of a plan once it is committed: each task launched.
    pub fn feed(&self, plan: &Plan) -> Vec<Change> {
        let placed = plan.placements.iter();
        let launched = placed.filter_map(|placement| {
            let task = self.view.task(placement.task)?;
            Some(Change::Task(TaskHot {
                state: TaskState::Launched,
                host: Some(placement.host),
                plan: Some(plan.id),
                version: task.version + 1,
                ..task
            }))
        });
        launched.collect()
    }

    /// Takes in what the feed says.
    pub fn echo(&mut self, feed: &[Change]) {
        feed.iter().for_each(|change| self.view.apply(change));
    }

    /// What the feed says of tasks that have ended and were archived.
    pub fn end(&mut self, tasks: std::ops::Range<u64>) {
        for number in tasks {
            self.view.apply(&Change::TaskGone(task_id(number)));
        }
    }
}

/// The number of the host that a placement names.
pub fn host_number(host: HostId) -> usize {
    host.as_str()
        .trim_start_matches("host-")
        .parse()
        .expect("a host of the benchmark")
}

/// The number of the task that a placement names.
pub fn task_number(task: TaskId) -> usize {
    usize::try_from(scramble_back(task.uuid().as_u128() as u64)).unwrap()
}

fn host(number: usize) -> HostSpec {
    HostSpec {
        id: HostId::new(&format!("host-{number:06}")).expect("a valid name"),
        capacity: Resources {
            cpu_milli: u64::from(HOST.cpu) * 1_000,
            memory_mb: u64::from(HOST.memory),
            disk_mb: u64::from(HOST.disk),
            network_mbps: u64::from(HOST.network),
            addresses: 1_000,
            gpu: 0,
        },
        zone: format!("zone-{}", number % ZONES),
        machine_type: "one".into(),
        runtime: "fake".into(),
        datapath: "fake".into(),
        attributes: Default::default(),
    }
}

fn job(task: Task) -> Arc<JobRecord> {
    let mut request = JobRequest {
        application_name: "bench".into(),
        capacity_group: "bench".into(),
        batch: Some(BatchRequest {
            size: JOB_SIZE as u32,
            ..BatchRequest::default()
        }),
        ..JobRequest::default()
    };
    let resources = &mut request.container.resources;
    resources.cpu = f64::from(task.shape.cpu);
    resources.memory_mb = task.shape.memory;
    resources.network_mbps = task.shape.network;
    resources.disk_mb = task.shape.disk;
    if task.spreads() {
        let soft = &mut request.container.soft_constraints.constraints;
        soft.insert("zoneBalance".into(), "true".into());
    }
    let (spec, _) = JobSpec::from_stored(request);
    Arc::new(JobRecord::accepted(job_id(task.job), Arc::new(spec), NOW))
}

/// Jobs sort by number, so that a queue is in order.
fn job_id(number: usize) -> JobId {
    JobId::from_bytes((number as u128).to_be_bytes())
}

fn task_id(number: u64) -> TaskId {
    TaskId::from_bytes(((1 << 100) | u128::from(scramble(number))).to_be_bytes())
}

const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
const INVERSE: u64 = 0xF1DE_83E1_9937_733D;

const fn scramble(number: u64) -> u64 {
    number.wrapping_mul(ODD)
}

const fn scramble_back(scrambled: u64) -> u64 {
    scrambled.wrapping_mul(INVERSE)
}
