//! The scheduler process as a library: a warm view, the controllers that act on it, and what they measure.
//!
//! A [`Scheduler`] over a [`Cluster`](titus_store::cluster::Cluster) leases shards, makes tasks, gives them hosts,
//! gives up lost hosts and archives what is over. Everything that it decides is in titus-core, everything that it
//! writes is in titus-store; here are the timers. Several of them over one store share the shards.
//!
//! ```
//! use std::sync::Arc;
//!
//! use titus_core::rng::RngTree;
//! use titus_scheduler::{Scheduler, SchedulerConfig};
//! use titus_store::backend::MemKv;
//! use titus_store::clock::SystemClock;
//! use titus_store::cluster::Cluster;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let cluster = Cluster::new(Arc::new(MemKv::new()), Arc::new(SystemClock::new()));
//! let scheduler = Scheduler::new(cluster, SchedulerConfig::default(), &RngTree::new(7));
//! let live = Arc::clone(scheduler.live());
//! let (stop, stopped) = tokio::sync::watch::channel(false);
//! let running = tokio::spawn(scheduler.run(stopped));
//! while live.get().is_none() {
//!     tokio::task::yield_now().await;
//! }
//! assert_eq!(live.get().unwrap().with(|view| view.job_count()), 0);
//! stop.send(true).unwrap();
//! running.await.unwrap();
//! # });
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`scheduler`] | the loops |
//! | [`metrics`] | what `/metrics` shows of them and of the cell |

pub mod metrics;
pub mod scheduler;

pub use metrics::SchedulerMetrics;
pub use scheduler::{Scheduler, SchedulerConfig};
