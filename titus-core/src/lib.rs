//! The pure core of a container control plane: jobs, placement, reconciliation and the host agent's decisions, as
//! values in and values out. No I/O, no clock, no threads: time and randomness are arguments, so that a month of a
//! 5,000-host cell runs in a unit test.
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::sync::Arc;
//!
//! use titus_core::change::Change;
//! use titus_core::host::{HostRecord, HostSpec};
//! use titus_core::id::{HostId, JobId, PlanId, TaskId};
//! use titus_core::job::JobRecord;
//! use titus_core::resources::Resources;
//! use titus_core::rng::RngTree;
//! use titus_core::schedule::{PlanContext, Planner, StandardPlanner};
//! use titus_core::spec::{JobRequest, JobSpec, Limits};
//! use titus_core::task::TaskHot;
//! use titus_core::time::Timestamp;
//! use titus_core::view::ClusterView;
//!
//! let (now, mut rng) = (Timestamp::from_millis(1_700_000_000_000), RngTree::new(42).child("example"));
//!
//! // A host, and a job that asks for more than it has.
//! let capacity = Resources { cpu_milli: 2_000, memory_mb: 4_096, disk_mb: 10_000, network_mbps: 1_000, addresses: 10, gpu: 0 };
//! let host = HostSpec {
//!     id: HostId::new("h1")?, capacity, zone: "a".into(), machine_type: "m".into(), runtime: "sandbox".into(),
//!     datapath: "bridge".into(), attributes: BTreeMap::new(),
//! };
//! let mut request = JobRequest { application_name: "hello".into(), ..JobRequest::default() };
//! request.owner.team_email = "you@example.com".into();
//! request.container.image.name = "host".into();
//! request.container.image.tag = "latest".into();
//! request.container.entry_point = vec!["true".into()];
//! request.container.resources.cpu = 1.5;
//! request.batch = Some(titus_core::spec::BatchRequest { size: 2, ..Default::default() });
//! let (spec, _warnings) = JobSpec::parse(request, &Limits::dev())?;
//!
//! // The view takes them in, and a planner places what fits.
//! let job = JobId::generate(now, spec.shard(), &mut rng);
//! let mut view = ClusterView::new();
//! view.apply(&Change::Host(Arc::new(HostRecord::new(host, now))));
//! view.apply(&Change::Job(Arc::new(JobRecord::accepted(job, Arc::new(spec.clone()), now))));
//! for index in 0..2 {
//!     let task = TaskId::generate(now, spec.shard(), &mut rng);
//!     view.apply(&Change::Task(TaskHot::accepted(task, job, index, now)));
//! }
//! let pending: Vec<_> = view.pending(|_| true, now).collect();
//! let mut round = view.round(PlanId::generate(now, spec.shard(), &mut rng));
//! let plan = StandardPlanner::new().plan(&mut round, &pending, &mut PlanContext { now, rng: &mut rng });
//! assert_eq!((plan.placements.len(), plan.unplaced.len()), (1, 1));
//! println!("{}", plan.unplaced[0].report);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`spec`] | what a client asks for, and what it becomes once checked |
//! | [`job`], [`task`], [`host`] | records; the task's one transition table; retry |
//! | [`view`], [`change`], [`round`] | everything that is live, advanced by changes; a round of planning on it |
//! | [`schedule`] | the planner, its filters and scores, and why a task was not placed |
//! | [`reconcile`] | desired against actual |
//! | [`agent`], [`wire`] | the host agent's decisions, and the conversation with it |
//! | [`invariant`] | what must hold of a whole state |
//! | [`id`], [`time`], [`rng`], [`shard`], [`resources`] | the words |

#![forbid(unsafe_code)]

pub mod agent;
pub mod change;
pub mod host;
pub mod id;
pub mod invariant;
pub mod job;
pub mod reconcile;
pub mod resources;
pub mod rng;
pub mod round;
pub mod schedule;
pub mod shard;
#[cfg(feature = "sim")]
pub mod sim;
pub mod spec;
pub mod task;
pub mod time;
pub mod view;
pub mod wire;
