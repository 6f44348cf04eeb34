//! Small worlds for tests.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod model;
pub mod ops;

use std::sync::Arc;

use titus_core::change::Change;
use titus_core::host::{HostRecord, HostSpec};
use titus_core::id::{HostId, JobId, PlanId, TaskId};
use titus_core::job::JobRecord;
use titus_core::resources::Resources;
use titus_core::spec::{BatchRequest, JobRequest, JobSpec};
use titus_core::task::TaskHot;
use titus_core::time::Timestamp;

pub const NOW: Timestamp = Timestamp::from_millis(1_000_000);

pub fn id(kind: u64, number: u64) -> [u8; 16] {
    ((u128::from(kind) << 64) | u128::from(number)).to_be_bytes()
}

pub fn job_id(number: u64) -> JobId {
    JobId::from_bytes(id(1, number))
}

pub fn task_id(number: u64) -> TaskId {
    TaskId::from_bytes(id(2, number))
}

pub fn plan_id(number: u64) -> PlanId {
    PlanId::from_bytes(id(3, number))
}

pub fn host_id(number: u64) -> HostId {
    HostId::new(&format!("host-{number:05}")).expect("a valid name")
}

/// A host of 8 CPUs and 16 GB in one of three zones and of one of two types.
pub fn host_spec(number: u64) -> HostSpec {
    HostSpec {
        id: host_id(number),
        capacity: Resources {
            cpu_milli: 8_000,
            memory_mb: 16_384,
            disk_mb: 100_000,
            network_mbps: 1_000,
            addresses: 20,
            gpu: 0,
        },
        zone: format!("zone-{}", number % 3),
        machine_type: format!("type-{}", number / 3 % 2),
        runtime: "fake".into(),
        datapath: "fake".into(),
        attributes: Default::default(),
    }
}

pub fn host(number: u64) -> Change {
    Change::Host(Arc::new(HostRecord::new(host_spec(number), NOW)))
}

/// What one task asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    pub cpu: f64,
    pub memory_mb: u32,
    pub disk_mb: u32,
    pub network_mbps: u32,
    pub gpu: u32,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            cpu: 1.0,
            memory_mb: 1_024,
            disk_mb: 1_000,
            network_mbps: 10,
            gpu: 0,
        }
    }
}

pub struct JobMaker {
    pub number: u64,
    pub size: u32,
    pub shape: Shape,
    pub group: &'static str,
    pub hard: Vec<(&'static str, String)>,
    pub soft: Vec<(&'static str, String)>,
    pub created: Timestamp,
}

impl JobMaker {
    pub fn new(number: u64) -> Self {
        Self {
            number,
            size: 1,
            shape: Shape::default(),
            group: "group",
            hard: Vec::new(),
            soft: Vec::new(),
            created: NOW,
        }
    }

    pub fn record(&self) -> Arc<JobRecord> {
        let mut request = JobRequest {
            application_name: "app".into(),
            ..JobRequest::default()
        };
        request.owner.team_email = "me@example.com".into();
        request.capacity_group = self.group.into();
        request.container.image.name = "host".into();
        request.batch = Some(BatchRequest {
            size: self.size,
            ..BatchRequest::default()
        });
        let resources = &mut request.container.resources;
        resources.cpu = self.shape.cpu;
        resources.memory_mb = self.shape.memory_mb;
        resources.disk_mb = self.shape.disk_mb;
        resources.network_mbps = self.shape.network_mbps;
        resources.gpu = self.shape.gpu;
        let named =
            |list: &[(&str, String)]| list.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        request.container.hard_constraints.constraints = named(&self.hard);
        request.container.soft_constraints.constraints = named(&self.soft);
        let (spec, _) = JobSpec::from_stored(request);
        Arc::new(JobRecord::accepted(
            job_id(self.number),
            Arc::new(spec),
            self.created,
        ))
    }

    pub fn change(&self) -> Change {
        Change::Job(self.record())
    }

    /// The tasks' ids are `number * 100_000 + index`.
    pub fn tasks(&self) -> Vec<TaskHot> {
        (0..self.size)
            .map(|index| {
                let id = task_id(self.number * 100_000 + u64::from(index));
                TaskHot::accepted(id, job_id(self.number), index, self.created)
            })
            .collect()
    }
}
