//! The retry policy: at most one of the three, with delays in order.

use crate::spec::findings::Findings;
use crate::spec::limits::{Limit, Limits};
use crate::spec::request::{BackOffRetry, ImmediateRetry, JobRequest, RetryRequest};

pub(super) fn check(request: &mut JobRequest, limits: &Limits, found: &mut Findings) {
    if let Some(batch) = &mut request.batch {
        let never = RetryRequest {
            immediate: Some(ImmediateRetry::default()),
            ..RetryRequest::default()
        };
        let field = "batch.retryPolicy";
        fill(&mut batch.retry_policy, never, field, "no retries", found);
        policy(&mut batch.retry_policy, field, limits, found);
    }
    if let Some(service) = &mut request.service {
        let slower = back_off(limits);
        let what = format!(
            "a delay from {} ms that doubles up to {} ms",
            slower.initial_delay_ms, slower.max_delay_interval_ms
        );
        let paced = RetryRequest {
            exponential_back_off: Some(slower),
            ..RetryRequest::default()
        };
        let field = "service.retryPolicy";
        fill(&mut service.retry_policy, paced, field, &what, found);
        policy(&mut service.retry_policy, field, limits, found);
    }
}

const fn back_off(limits: &Limits) -> BackOffRetry {
    BackOffRetry {
        initial_delay_ms: limits.get(Limit::RetryDelayMs).default,
        max_delay_interval_ms: limits.get(Limit::RetryMaxDelayMs).default,
        retries: 0,
    }
}

fn fill(policy: &mut RetryRequest, default: RetryRequest, field: &str, what: &str, found: &mut Findings) {
    if *policy == RetryRequest::default() {
        *policy = default;
        found.defaulted(field, what);
    }
}

fn policy(policy: &mut RetryRequest, field: &str, limits: &Limits, found: &mut Findings) {
    let given = [
        policy.immediate.is_some(),
        policy.delayed.is_some(),
        policy.exponential_back_off.is_some(),
    ];
    if given.into_iter().filter(|g| *g).count() > 1 {
        found.refuse(
            field,
            "more than one policy is given",
            "keep one of immediate, delayed and exponentialBackOff",
        );
    }
    if let Some(immediate) = &mut policy.immediate {
        retries(
            &mut immediate.retries,
            &format!("{field}.immediate"),
            limits,
            found,
        );
    }
    if let Some(delayed) = &mut policy.delayed {
        let field = format!("{field}.delayed");
        retries(&mut delayed.retries, &field, limits, found);
        let most = limits.get(Limit::RetryDelayMs).max;
        delay(delayed.delay_ms, most, &format!("{field}.delayMs"), found);
    }
    if let Some(slower) = &mut policy.exponential_back_off {
        exponential(slower, &format!("{field}.exponentialBackOff"), limits, found);
    }
}

fn exponential(slower: &mut BackOffRetry, field: &str, limits: &Limits, found: &mut Findings) {
    retries(&mut slower.retries, field, limits, found);
    let (initial, max) = (slower.initial_delay_ms, slower.max_delay_interval_ms);
    let most = limits.get(Limit::RetryMaxDelayMs).max;
    delay(initial, most, &format!("{field}.initialDelayMs"), found);
    delay(max, most, &format!("{field}.maxDelayIntervalMs"), found);
    if max < initial {
        found.refuse(
            format!("{field}.maxDelayIntervalMs"),
            format!("the longest delay, {max} ms, is less than the first, {initial} ms"),
            format!("write {initial} or more"),
        );
    }
}

fn delay(ms: u64, most: u64, field: &str, found: &mut Findings) {
    if ms > most {
        found.refuse(
            field,
            format!("{ms} ms is too long: at most {most} ms are allowed"),
            format!("write {most} or less"),
        );
    }
}

/// Clients ask for "as often as it takes" by a huge number, which is no reason to refuse a job.
fn retries(retries: &mut u32, policy: &str, limits: &Limits, found: &mut Findings) {
    let most = u32::try_from(limits.get(Limit::Retries).max).unwrap_or(u32::MAX);
    if *retries > most {
        found.adjusted(
            format!("{policy}.retries"),
            format!("{retries} was lowered to the maximum of {most}"),
        );
        *retries = most;
    }
}
