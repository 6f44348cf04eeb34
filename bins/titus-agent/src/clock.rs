//! The agent's clock: wall time at the start, then the monotonic clock, so that it never steps back.

use std::time::{SystemTime, UNIX_EPOCH};

use titus_core::time::Timestamp;
use tokio::time::Instant;

/// A clock that follows tokio's time, paused time included.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    base: Timestamp,
    start: Instant,
}

impl Clock {
    /// A clock that says `base` now.
    #[must_use]
    pub fn starting_at(base: Timestamp) -> Self {
        Self {
            base,
            start: Instant::now(),
        }
    }

    /// A clock that says the machine's time now.
    #[must_use]
    pub fn system() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::starting_at(Timestamp::from_millis(
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        ))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let past = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.base + titus_core::time::Millis(past)
    }

    /// The instant at which the clock will say `at`; now, when that is past.
    #[must_use]
    pub fn instant(&self, at: Timestamp) -> Instant {
        self.start + at.since(self.base).as_duration()
    }
}
