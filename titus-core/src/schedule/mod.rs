//! Placement: who gets which host, and why not.

mod plan;
mod report;

pub use plan::{PendingTask, Placement, Plan, RefusalReason, Refused, Unplaced};
pub use report::{PlacementReport, Rejection};
