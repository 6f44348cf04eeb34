//! Placement: who gets which host, and why not.

mod facts;
pub mod filter;
pub(crate) mod index;
mod plan;
mod planner;
mod policy;
mod queue;
mod report;
mod rules;
mod score;
mod search;

pub use facts::{Ask, Candidate};
pub use plan::{PendingTask, Placement, Plan, RefusalReason, Refused, Unplaced};
pub use planner::{PlanContext, Planner, StandardPlanner};
pub use policy::{Amounts, Filter, Fitness, Reads, Reject, Score};
pub use queue::{Weights, next_tasks};
pub use report::{PlacementReport, Rejection};
pub use rules::{RuleSet, Rules};
pub use score::{BALANCE, PACKING, PREFERENCES, Preferences};
