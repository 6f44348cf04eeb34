//! Time from outside: the wall clock for what is stored, a monotonic one for what is measured.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use titus_core::time::{Millis, Timestamp};

/// A source of time. Neither reading ever steps back within a process.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The wall clock: for what is stored and shown.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary start: for measuring spans. It is never stored, and never compared across processes.
    fn elapsed(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
    latest: Mutex<Timestamp>,
}

impl SystemClock {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            latest: Mutex::default(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let read = Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX));
        let mut latest = lock(&self.latest);
        *latest = (*latest).max(read);
        *latest
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that moves only when told to: for simulations and tests.
#[derive(Debug)]
pub struct SimClock(Mutex<(Timestamp, Duration)>);

impl SimClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub const fn new(start: Timestamp) -> Self {
        Self(Mutex::new((start, Duration::ZERO)))
    }

    /// Lets time pass on both readings.
    pub fn advance(&self, span: Millis) {
        let mut clock = lock(&self.0);
        clock.0 = clock.0 + span;
        clock.1 += span.as_duration();
    }

    /// Moves the wall clock alone, as an operator or a time server does; a step back shows as a clock that stands still.
    pub fn set_wall(&self, wall: Timestamp) {
        let mut clock = lock(&self.0);
        clock.0 = clock.0.max(wall);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        lock(&self.0).0
    }

    fn elapsed(&self) -> Duration {
        lock(&self.0).1
    }
}

/// Locks a mutex whose holders never leave its data half-changed, so a panic elsewhere does not matter.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_clock_moves_only_forward_and_only_when_told() {
        let clock = SimClock::new(Timestamp::from_millis(1_000));
        clock.advance(Millis(5));
        assert_eq!(clock.now(), Timestamp::from_millis(1_005));
        clock.set_wall(Timestamp::from_millis(7));
        assert_eq!(clock.now(), Timestamp::from_millis(1_005));
        clock.set_wall(Timestamp::from_millis(9_000));
        assert_eq!(clock.now(), Timestamp::from_millis(9_000));
        assert_eq!(clock.elapsed(), Duration::from_millis(5));
    }

    #[test]
    fn the_system_clock_does_not_step_back() {
        let clock = SystemClock::new();
        *lock(&clock.latest) = Timestamp::from_millis(i64::MAX);
        assert_eq!(clock.now(), Timestamp::from_millis(i64::MAX));
        assert!(clock.elapsed() <= clock.elapsed());
    }
}
