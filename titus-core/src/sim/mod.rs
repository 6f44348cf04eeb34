//! The whole control plane without an executor: one heap of events, one seed, no clock.
//!
//! The planner, [`reconcile`](crate::reconcile), the [`HostAgent`](crate::agent::HostAgent) and the warm view are the
//! real ones; the store, the links and the hosts are the smallest that can go wrong as the real ones do. Faults come
//! for a while, then there is quiet, and all that can run has to run. Along the way, after every change:
//!
//! - [`check_view`](crate::invariant::check_view)'s invariants hold over the records;
//! - no task's program starts on two hosts, or twice on one, or before its network is wired;
//! - a replacement starts only after what it replaces is finished in the store;
//! - a record's version only rises, and its state never goes back;
//! - applied, a reconciliation finds nothing more to do.
//!
//! At the end no host holds anything for a task that is over.
//!
//! ```
//! use titus_core::sim::{SimConfig, run};
//!
//! let report = run(&SimConfig { hosts: 3, jobs: 4, ..SimConfig::seeded(7) })?;
//! assert_eq!(report.hash, run(&SimConfig { hosts: 3, jobs: 4, ..SimConfig::seeded(7) })?.hash);
//! # Ok::<(), titus_core::sim::SimFailure>(())
//! ```

mod agents;
mod config;
mod control;
mod event;
mod host;
mod ledger;
mod link;
mod settle;
mod store;
mod workload;
mod world;

pub use config::{Faults, SimConfig, SimCounts, SimFailure, SimReport};

/// Runs one seed to its end.
///
/// # Errors
/// [`SimFailure`] names what was violated, when, and how to see it again.
pub fn run(config: &SimConfig) -> Result<SimReport, SimFailure> {
    world::World::new(config).run()
}
