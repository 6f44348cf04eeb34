//! Every backend and wrapper passes the suite, and the suite notices a store that does not check what it must.

use std::collections::BTreeSet;
use std::sync::Arc;

use titus_core::time::{Millis, Timestamp};
use titus_store::backend::{MemKv, MemKvBuilder};
use titus_store::clock::SimClock;
use titus_store::conformance::{Failure, Subject, run};
use titus_store::fault::{FaultKv, FaultPlan};

/// The seed of this run: `TITUS_SEED`, or a fixed one.
fn seed() -> u64 {
    let seed = std::env::var("TITUS_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or(42);
    println!("TITUS_SEED={seed}");
    seed
}

fn mem() -> (MemKvBuilder, Arc<SimClock>) {
    let clock = Arc::new(SimClock::new(Timestamp::from_millis(1_000)));
    (MemKv::builder().clock(clock.clone()), clock)
}

fn on_sim_time(subject: Subject, clock: Arc<SimClock>) -> Subject {
    subject.time(move |span: Millis| clock.advance(span))
}

fn assert_conforms(failures: &[Failure]) {
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test]
async fn memory_conforms_with_unknown_outcomes() {
    let (builder, clock) = mem();
    let kv = builder.unknown(10, seed()).build();
    let subject = Subject::new(Arc::new(kv.clone()), seed());
    assert_conforms(&run(&on_sim_time(subject, clock)).await);
    let counters = kv.metrics().read();
    assert!(
        counters.unknown > 0 && counters.conflicts > 0 && counters.commits > 10_000,
        "{counters:?}"
    );
}

#[tokio::test]
async fn memory_conforms_on_real_time() {
    let subject = Subject::new(Arc::new(MemKv::new()), seed()).schedules(100);
    assert_conforms(&run(&subject).await);
}

#[tokio::test(start_paused = true)]
async fn a_faulty_store_conforms() {
    let (builder, clock) = mem();
    let plan = FaultPlan {
        conflict: 20,
        unknown_landed: 10,
        unknown_lost: 10,
        backend: 2,
        slow: 5,
        delay: Millis(50),
    };
    let kv = Arc::new(FaultKv::new(builder.build(), plan, seed()));
    let subject = Subject::new(kv.clone(), seed()).schedules(2_000);
    assert_conforms(&run(&on_sim_time(subject, clock)).await);
    assert!(kv.injected() > 400, "only {} faults were injected", kv.injected());
}

#[tokio::test]
async fn a_store_without_range_check_fails() {
    let broken = failures(mem().0.without_range_check()).await;
    assert!(
        broken.contains("phantom") && broken.contains("phantom_removed"),
        "{broken:?}"
    );
    assert!(broken.contains("history"), "{broken:?}");
}

#[tokio::test]
async fn a_store_without_point_check_fails() {
    let broken = failures(mem().0.without_point_check()).await;
    assert!(
        broken.contains("lost_update") && broken.contains("write_skew"),
        "{broken:?}"
    );
    assert!(broken.contains("history"), "{broken:?}");
}

async fn failures(builder: MemKvBuilder) -> BTreeSet<&'static str> {
    let subject = Subject::new(Arc::new(builder.build()), seed()).schedules(2_000);
    run(&subject)
        .await
        .into_iter()
        .map(|failure| failure.case)
        .collect()
}

#[cfg(feature = "embedded")]
#[tokio::test]
async fn embedded_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SimClock::new(Timestamp::from_millis(1_000)));
    let kv = titus_store::backend::Embedded::builder()
        .clock(clock.clone())
        .open(dir.path())
        .unwrap();
    let subject = Subject::new(Arc::new(kv.clone()), seed());
    assert_conforms(&run(&on_sim_time(subject, clock)).await);
    let counters = kv.metrics().read();
    let batches: u64 = counters.batch_size.counts.iter().sum();
    assert!(
        batches > 0 && counters.batch_size.sum == counters.commits,
        "{counters:?}"
    );
}
