//! Placement: who gets which host, and why not.

mod facts;
pub mod filter;
mod plan;
mod planner;
mod policy;
mod report;
mod rules;
mod score;

pub use facts::{Ask, Candidate};
pub use plan::{PendingTask, Placement, Plan, RefusalReason, Refused, Unplaced};
pub use planner::{PlanContext, Planner, StandardPlanner};
pub use policy::{Amounts, Filter, Fitness, Reads, Reject, Score};
pub use report::{PlacementReport, Rejection};
pub use rules::{RuleSet, Rules};
pub use score::{PACKING, PREFERENCES, Preferences, fill};
