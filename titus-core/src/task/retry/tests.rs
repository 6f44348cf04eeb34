use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::id::{JobId, TaskId};
use crate::rng::{Rng, RngTree};
use crate::shard::ShardId;
use crate::spec::{
    BackOffRetry, BatchRequest, Capacity, DelayedRetry, ImmediateRetry, JobRequest, JobSpec, RetryRequest,
    ServiceRequest,
};
use crate::task::TaskState;

const START: Timestamp = Timestamp::from_millis(1_000_000);

fn rng() -> Rng {
    RngTree::new(1).child("retry")
}

fn immediate(retries: u32) -> RetryRequest {
    RetryRequest {
        immediate: Some(ImmediateRetry { retries }),
        ..RetryRequest::default()
    }
}

fn delayed(delay_ms: u64) -> RetryRequest {
    RetryRequest {
        delayed: Some(DelayedRetry {
            delay_ms,
            retries: 99,
        }),
        ..RetryRequest::default()
    }
}

fn back_off(initial_delay_ms: u64, max_delay_interval_ms: u64) -> RetryRequest {
    RetryRequest {
        exponential_back_off: Some(BackOffRetry {
            initial_delay_ms,
            max_delay_interval_ms,
            retries: 99,
        }),
        ..RetryRequest::default()
    }
}

fn record(request: JobRequest) -> JobRecord {
    let (spec, _) = JobSpec::from_stored(request);
    let id = JobId::generate(START, ShardId::of("x"), &mut rng());
    JobRecord::accepted(id, Arc::new(spec), START)
}

fn batch(retry_policy: RetryRequest, retry_on_runtime_limit: bool) -> JobRecord {
    record(JobRequest {
        batch: Some(BatchRequest {
            size: 1,
            retry_policy,
            retry_on_runtime_limit,
            ..BatchRequest::default()
        }),
        ..JobRequest::default()
    })
}

fn service(retry_policy: RetryRequest) -> JobRecord {
    record(JobRequest {
        service: Some(ServiceRequest {
            capacity: Capacity {
                min: 1,
                desired: 1,
                max: 1,
            },
            retry_policy,
            ..ServiceRequest::default()
        }),
        ..JobRequest::default()
    })
}

fn finished(job: &JobRecord, reason: ReasonCode) -> TaskHot {
    let id = TaskId::generate(START, ShardId::of("x"), &mut rng());
    let mut task = TaskHot::accepted(id, job.id, 0, START);
    task.state = TaskState::Finished;
    task.reason = reason;
    task.times.started = Some(START + Millis(10));
    task.times.finished = Some(START + Millis(20));
    task
}

fn killed(job: &JobRecord, why: ReasonCode, reason: ReasonCode) -> TaskHot {
    TaskHot {
        kill_reason: Some(why),
        ..finished(job, reason)
    }
}

/// The decision in few words: what, after how many tenths of a second, and the charged attempts.
fn told(job: &JobRecord, task: &TaskHot) -> String {
    let now = START + Millis(50);
    match decide(job, task, now, &mut rng()) {
        Retry::Replace { not_before, attempts } => {
            let wait = not_before.map_or_else(
                || "at once".to_owned(),
                |at| format!("after {} s", at.since(now).0 / 1_000),
            );
            let Attempts {
                resubmits,
                system,
                evictions,
            } = attempts;
            format!("replace {wait} {resubmits}/{system}/{evictions}")
        }
        Retry::Done { success } => format!("done {success}"),
        Retry::Retire => "retire".to_owned(),
    }
}

#[test]
fn a_batch_slot_is_decided_as_the_table_says() {
    use ReasonCode as R;
    let (once, never) = (batch(immediate(1), false), batch(immediate(0), false));
    let again = batch(immediate(1), true);
    let cases = [
        (&once, finished(&once, R::Normal), "done true"),
        (&never, finished(&never, R::Normal), "done true"),
        (&once, finished(&once, R::Failed), "replace after 1 s 1/0/0"),
        (&never, finished(&never, R::Failed), "done false"),
        (&never, finished(&never, R::Lost), "done false"),
        (
            &never,
            finished(&never, R::LocalSystemError),
            "replace after 1 s 1/1/0",
        ),
        (
            &never,
            killed(&never, R::StuckInState, R::Killed),
            "replace after 1 s 1/1/0",
        ),
        (
            &never,
            killed(&never, R::Evicted, R::Failed),
            "replace at once 1/0/1",
        ),
        (
            &never,
            killed(&never, R::Evicted, R::Normal),
            "replace at once 1/0/1",
        ),
        (
            &never,
            killed(&never, R::Evicted, R::Crashed),
            "replace at once 1/0/1",
        ),
        (
            &once,
            killed(&once, R::Killed, R::Killed),
            "replace after 1 s 1/0/0",
        ),
        (
            &once,
            killed(&once, R::RuntimeLimitExceeded, R::Killed),
            "done false",
        ),
        (
            &again,
            killed(&again, R::RuntimeLimitExceeded, R::Killed),
            "replace after 1 s 1/0/0",
        ),
        (&once, finished(&once, R::ScaledDown), "replace after 1 s 1/0/0"),
    ];
    for (job, task, expected) in cases {
        assert_eq!(
            told(job, &task),
            expected,
            "{} {:?}",
            task.reason,
            task.kill_reason
        );
    }
}

#[test]
fn a_service_replaces_whatever_was_not_scaled_down() {
    use ReasonCode as R;
    let job = service(immediate(0));
    let cases = [
        (finished(&job, R::Normal), "replace after 1 s 1/0/0"),
        (finished(&job, R::Failed), "replace after 1 s 1/0/0"),
        (finished(&job, R::Crashed), "replace after 1 s 1/1/0"),
        (
            killed(&job, R::RuntimeLimitExceeded, R::Killed),
            "replace after 1 s 1/0/0",
        ),
        (killed(&job, R::Evicted, R::Killed), "replace at once 1/0/1"),
        (killed(&job, R::ScaledDown, R::Normal), "retire"),
        (finished(&job, R::ScaledDown), "retire"),
    ];
    for (task, expected) in cases {
        assert_eq!(
            told(&job, &task),
            expected,
            "{} {:?}",
            task.reason,
            task.kill_reason
        );
    }
}

#[test]
fn a_job_that_is_ending_replaces_nothing() {
    for mut job in [batch(immediate(9), true), service(immediate(9))] {
        job.enter(JobState::KillInitiated, ReasonCode::Killed, "", START);
        assert_eq!(told(&job, &finished(&job, ReasonCode::Failed)), "retire");
        assert_eq!(
            told(&job, &killed(&job, ReasonCode::Evicted, ReasonCode::Killed)),
            "retire"
        );
    }
}

#[test]
fn retries_run_out_and_only_the_jobs_own_faults_count() {
    let job = batch(immediate(2), false);
    let mut task = finished(&job, ReasonCode::Failed);
    task.attempts = Attempts {
        resubmits: 5,
        system: 2,
        evictions: 2,
    };
    assert_eq!(told(&job, &task), "replace after 1 s 6/2/2");
    task.attempts.resubmits = 6;
    assert_eq!(told(&job, &task), "done false");
}

/// Runs a slot through failures, each after running for `ran`, and yields the delays in milliseconds.
fn delays(job: &JobRecord, reasons: &[ReasonCode], ran: Millis) -> Vec<u64> {
    let (mut rng, mut task) = (rng(), finished(job, ReasonCode::Failed));
    let mut seen = Vec::new();
    for reason in reasons {
        task.reason = *reason;
        let started = task.not_before.or(task.times.queued).unwrap();
        task.times.started = Some(started);
        task.times.finished = Some(started + ran);
        let now = started + ran + Millis(700);
        let Retry::Replace { not_before, attempts } = decide(job, &task, now, &mut rng) else {
            break;
        };
        seen.push(not_before.map_or(0, |at| at.since(now).0));
        task = TaskHot {
            not_before,
            attempts,
            ..TaskHot::accepted(task.id, job.id, 0, now)
        };
    }
    seen
}

fn assert_delays(seen: &[u64], seconds: &[u64]) {
    let near = |(seen, s): (&u64, &u64)| (s * 1_000..=s * 1_100).contains(seen);
    assert!(
        seen.len() == seconds.len() && seen.iter().zip(seconds).all(near),
        "{seen:?} is not {seconds:?} s with a tenth of jitter"
    );
}

#[test]
fn delays_grow_as_the_policy_says_from_the_record_alone() {
    let failed = |policy| delays(&service(policy), &[ReasonCode::Failed; 7], Millis(5));
    assert_delays(&failed(back_off(2_000, 20_000)), &[2, 4, 8, 16, 20, 20, 20]);
    assert_delays(&failed(delayed(3_000)), &[3; 7]);
    assert_delays(&failed(immediate(0)), &[1; 7]);
    assert_delays(&failed(back_off(0, 0)), &[1; 7]);
}

#[test]
fn a_task_that_ran_long_enough_starts_at_once_and_resets_the_back_off() {
    let job = service(back_off(2_000, 20_000));
    assert_delays(&delays(&job, &[ReasonCode::Failed; 3], PROVEN), &[0, 0, 0]);
    let almost = Millis(PROVEN.0 - 1);
    assert_delays(&delays(&job, &[ReasonCode::Failed; 2], almost), &[2, 4]);
    let mut reset = killed(&job, ReasonCode::Killed, ReasonCode::Killed);
    reset.attempts.resubmits = 9;
    assert_eq!(told(&job, &reset), "replace after 2 s 10/0/0");
}

#[test]
fn faults_of_the_platform_are_paced_even_where_the_job_is_not() {
    let faults = [ReasonCode::LocalSystemError; 7];
    let seen = delays(&batch(immediate(0), false), &faults, Millis(5));
    assert_delays(&seen, &[1, 2, 4, 8, 16, 30, 30]);
}

#[test]
fn tasks_that_fail_together_do_not_return_together() {
    let job = service(delayed(60_000));
    let (mut rng, task) = (rng(), finished(&job, ReasonCode::Failed));
    let returns: std::collections::BTreeSet<String> = (0..100)
        .map(|_| format!("{:?}", decide(&job, &task, START, &mut rng)))
        .collect();
    assert!(returns.len() > 90);
}

fn policies() -> impl Strategy<Value = RetryRequest> {
    prop_oneof![
        (0_u32..5).prop_map(immediate),
        any::<u64>().prop_map(delayed),
        (any::<u64>(), any::<u64>()).prop_map(|(a, b)| back_off(a.min(b), a.max(b))),
        (0_u64..5_000, 0_u64..100_000).prop_map(|(a, b)| back_off(a, a + b)),
    ]
}

fn reasons() -> impl Strategy<Value = ReasonCode> {
    proptest::sample::select(ReasonCode::ALL)
}

proptest! {
    #[test]
    fn whatever_the_record_says_a_decision_keeps_its_promises(
        policy in policies(),
        is_batch: bool,
        on_limit: bool,
        reason in reasons(),
        why in proptest::option::of(reasons()),
        counts: (u16, u16, u16),
        before in proptest::option::of(0_u64..10_000_000),
        ran in 0_u64..1_000_000,
    ) {
        let job = if is_batch { batch(policy, on_limit) } else { service(policy) };
        let mut task = TaskHot { kill_reason: why, ..finished(&job, reason) };
        task.attempts = Attempts { resubmits: counts.0, system: counts.1, evictions: counts.2 };
        task.not_before = before.map(|ms| START + Millis(ms));
        task.times.finished = Some(START + Millis(10 + ran));
        let now = START + Millis(20 + ran);
        let evicted = reason == ReasonCode::Evicted || why == Some(ReasonCode::Evicted);
        match decide(&job, &task, now, &mut rng()) {
            Retry::Replace { not_before, attempts } => {
                prop_assert!(attempts.resubmits == counts.0.saturating_add(1));
                prop_assert!(attempts.charged() <= task.attempts.charged().saturating_add(1));
                if let Some(at) = not_before {
                    prop_assert!(at.since(now) >= LEAST_DELAY);
                    prop_assert!(ran < PROVEN.0 && !evicted);
                }
            }
            Retry::Done { success } => {
                prop_assert!(is_batch && !evicted);
                prop_assert_eq!(success, reason == ReasonCode::Normal);
            }
            Retry::Retire => prop_assert!(!is_batch && !evicted),
        }
    }

    #[test]
    fn a_back_off_doubles_up_to_its_limit_whatever_the_jitter(
        initial in 1_000_u64..10_000,
        max in 10_000_u64..1_000_000,
        seed: u64,
    ) {
        let job = service(back_off(initial, max));
        let mut rng = RngTree::new(seed).child("retry");
        let mut task = finished(&job, ReasonCode::Failed);
        let mut expected = initial;
        for _ in 0..12 {
            let now = START + Millis(50);
            let Retry::Replace { not_before: Some(at), attempts } = decide(&job, &task, now, &mut rng) else {
                return Err(TestCaseError::fail("a service replaces"));
            };
            let delay = at.since(now).0;
            prop_assert!((expected..=expected + expected / 10).contains(&delay), "{} {}", delay, expected);
            expected = (expected * 2).min(max);
            task = TaskHot { not_before: Some(at), attempts, ..finished(&job, ReasonCode::Failed) };
            task.times.queued = Some(now);
        }
    }
}
