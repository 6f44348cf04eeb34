//! What becomes of a finished task's slot: whether it is run again, when, and what that costs the job.

use crate::job::{JobRecord, JobState};
use crate::rng::Rng;
use crate::spec::{JobKind, RetryPolicy};
use crate::task::{Attempts, ReasonCode, TaskHot};
use crate::time::{Millis, Timestamp};

/// The least delay before a replacement, whatever the policy: it bounds how fast a broken job can spin.
const LEAST_DELAY: Millis = Millis(1_000);

/// A task that ran this long has proven that it can: its replacement starts at once and delays begin anew.
const PROVEN: Millis = Millis::from_secs(300);

/// How faults of the platform are paced, where the job's own policy is faster.
const SYSTEM: RetryPolicy = RetryPolicy::BackOff {
    initial: Millis(1_000),
    max: Millis(30_000),
    retries: 0,
};

/// What becomes of a finished task's slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// A new task takes the slot.
    Replace {
        /// The new task's [`TaskHot::not_before`]; `None` when it may start at once.
        not_before: Option<Timestamp>,
        /// The new task's [`TaskHot::attempts`].
        attempts: Attempts,
    },
    /// The slot of a batch job has its result, and no new task.
    Done {
        /// True when the program ended as it should.
        success: bool,
    },
    /// Nothing takes the slot: the service was made smaller, or the job is ending.
    Retire,
}

/// Decides about a task that has finished. Whether a service has enough tasks without it is the caller's to know.
///
/// A replacement has to be created at the same `now`, since the delay that it was given is read back from its record:
/// `not_before` less the time at which it was queued. Nothing of the back-off lives in memory.
///
/// | What happened | Batch | Service |
/// |---|---|---|
/// | the job is ending | retire | retire |
/// | evicted | replace at once, not charged | replace at once |
/// | scaled down | replace by policy | retire |
/// | ended as it should | done, success | replace by policy |
/// | ran too long, and the job retries no such task | done, failure | replace by policy |
/// | a fault of the platform | replace by policy, at least 1 s to 30 s, not charged | the same |
/// | anything else, with retries left | replace by policy | replace by policy |
/// | anything else, without | done, failure | replace by policy |
#[must_use]
pub fn decide(job: &JobRecord, task: &TaskHot, now: Timestamp, rng: &mut Rng) -> Retry {
    if job.status.state != JobState::Accepted {
        return Retry::Retire;
    }
    let cause = Cause::of(task);
    let replaced = match job.spec.kind() {
        _ if cause == Cause::Eviction => true,
        JobKind::Service(_) if is_or_was_to_be(task, ReasonCode::ScaledDown) => return Retry::Retire,
        JobKind::Service(_) => true,
        JobKind::Batch(_) if task.reason == ReasonCode::Normal => return Retry::Done { success: true },
        JobKind::Batch(batch) => {
            let too_long = is_or_was_to_be(task, ReasonCode::RuntimeLimitExceeded);
            let spent = u32::from(task.attempts.charged()) >= retries(batch.retry);
            (batch.retry_on_runtime_limit || !too_long) && (cause == Cause::Platform || !spent)
        }
    };
    if !replaced {
        return Retry::Done { success: false };
    }
    Retry::Replace {
        not_before: delay(job.spec.retry(), cause, task, rng).map(|delay| now + delay),
        attempts: cause.charge(task.attempts),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Eviction,
    Platform,
    Job,
}

impl Cause {
    fn of(task: &TaskHot) -> Self {
        let reasons = [Some(task.reason), task.kill_reason];
        if reasons.contains(&Some(ReasonCode::Evicted)) {
            Self::Eviction
        } else if reasons.into_iter().flatten().any(ReasonCode::is_system_error) {
            Self::Platform
        } else {
            Self::Job
        }
    }

    const fn charge(self, attempts: Attempts) -> Attempts {
        Attempts {
            resubmits: attempts.resubmits.saturating_add(1),
            system: attempts
                .system
                .saturating_add(matches!(self, Self::Platform) as u16),
            evictions: attempts
                .evictions
                .saturating_add(matches!(self, Self::Eviction) as u16),
        }
    }
}

fn is_or_was_to_be(task: &TaskHot, reason: ReasonCode) -> bool {
    task.reason == reason || task.kill_reason == Some(reason)
}

const fn retries(policy: RetryPolicy) -> u32 {
    match policy {
        RetryPolicy::Immediate { retries }
        | RetryPolicy::Delayed { retries, .. }
        | RetryPolicy::BackOff { retries, .. } => retries,
    }
}

fn delay(policy: RetryPolicy, cause: Cause, task: &TaskHot, rng: &mut Rng) -> Option<Millis> {
    if cause == Cause::Eviction || has_proven_itself(task) {
        return None;
    }
    let before = delay_before(task);
    let own = next_delay(policy, before);
    let paced = match cause {
        Cause::Platform => own.max(next_delay(SYSTEM, before)),
        Cause::Job | Cause::Eviction => own,
    };
    let base = paced.max(LEAST_DELAY);
    // At most a tenth more, so that tasks which fail together do not return together, and so that the step of the
    // back-off, which doubles, can be told from the delay.
    Some(Millis(base.0.saturating_add(rng.below(base.0 / 10 + 1))))
}

fn has_proven_itself(task: &TaskHot) -> bool {
    match (task.times.started, task.times.finished) {
        (Some(started), Some(finished)) => finished.since(started) >= PROVEN,
        _ => false,
    }
}

fn delay_before(task: &TaskHot) -> Millis {
    match (task.not_before, task.times.queued) {
        (Some(not_before), Some(queued)) => not_before.since(queued),
        _ => Millis::ZERO,
    }
}

fn next_delay(policy: RetryPolicy, before: Millis) -> Millis {
    match policy {
        RetryPolicy::Immediate { .. } => Millis::ZERO,
        RetryPolicy::Delayed { delay, .. } => delay,
        RetryPolicy::BackOff { initial, max, .. } => {
            let first = initial.max(Millis(1));
            let step_past_before = std::iter::successors(Some(first.0), |step| step.checked_mul(2))
                .find(|step| *step > before.0)
                .unwrap_or(u64::MAX);
            Millis(step_past_before).min(max)
        }
    }
}

#[cfg(test)]
mod tests;
