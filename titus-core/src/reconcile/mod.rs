//! Desired against actual, for one job or for the hosts of a cell: pure, idempotent, and never in a hurry.
//!
//! [`reconcile`] compares what a job shall have with the tasks that it has and names the [`Action`]s that close the
//! gap; applied, the same call names none. It also tells when to look again, so that a controller neither polls nor
//! spins. [`expire`] does the same for hosts that are not heard from, and [`directive`] puts together what a host
//! shall run.

mod expiry;
mod job;
mod scale_down;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use expiry::{Expiry, ExpiryLimits, Heard, directive, expire};
pub use job::{Action, Limits, Reconciled, reconcile};
