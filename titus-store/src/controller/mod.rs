//! Controllers: idempotent ticks over the warm view and the store. Whoever drives them owns the timers.
//!
//! Each tick does what is due and answers when to call it again at the latest; calling it more often changes nothing.

mod archive;
mod expire;
mod reconcile;
mod schedule;
mod warm;

pub use archive::{ArchiveController, Retention};
pub use expire::ExpireController;
pub use reconcile::ReconcileController;
pub use schedule::{ScheduleController, ScheduleCounters, Waiting};
pub use warm::{FollowError, ViewChange, WarmView};
