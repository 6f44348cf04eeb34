//! What the backends do beyond the common suite: what memory forgets, what a disk keeps.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::sync::Arc;

use titus_core::time::{Millis, Timestamp};
use titus_store::backend::MemKv;
use titus_store::clock::SimClock;
use titus_store::{Error, KeyRange, Kv, Read, Result, Version};

async fn put(kv: &impl Kv, key: &[u8], value: &[u8]) -> Result<Version> {
    let mut txn = kv.begin().await?;
    txn.set(key, value);
    txn.commit().await
}

async fn get(kv: &impl Kv, key: &[u8]) -> Option<Vec<u8>> {
    let txn = kv.begin().await.unwrap();
    txn.get(key, Read::Snapshot)
        .await
        .unwrap()
        .map(|value| value.to_vec())
}

fn sim_mem() -> (MemKv, Arc<SimClock>) {
    let clock = Arc::new(SimClock::new(Timestamp::from_millis(0)));
    (MemKv::builder().clock(clock.clone()).build(), clock)
}

#[tokio::test]
async fn memory_keeps_what_a_living_transaction_may_read_and_no_more() {
    let (kv, clock) = sim_mem();
    put(&kv, b"gone", b"x").await.unwrap();
    for round in 0..1_000_u32 {
        put(&kv, b"hot", &round.to_be_bytes()).await.unwrap();
        clock.advance(Millis(100));
    }
    // 50 rounds of the last five seconds, and the edges.
    assert!(
        kv.stored_versions() <= 55,
        "{} versions are kept",
        kv.stored_versions()
    );
    let mut txn = kv.begin().await.unwrap();
    txn.clear(&KeyRange::prefix(b""));
    txn.commit().await.unwrap();
    clock.advance(Millis(5_001));
    put(&kv, b"new", b"1").await.unwrap();
    assert_eq!(kv.stored_versions(), 1);
    assert_eq!(kv.metrics().read().window_keys, 1);
}

/// What a thousand commits answer: versions, and which of the unknown ones landed.
async fn outcomes(seed: u64) -> Vec<(Option<Version>, bool)> {
    let kv = MemKv::builder().unknown(100, seed).build();
    let mut outcomes = Vec::new();
    for number in 0..1_000_u32 {
        let answer = match put(&kv, &number.to_be_bytes(), b"x").await {
            Ok(version) => Some(version),
            Err(Error::Unknown) => None,
            Err(other) => panic!("{other}"),
        };
        outcomes.push((answer, get(&kv, &number.to_be_bytes()).await.is_some()));
    }
    outcomes
}

#[tokio::test]
async fn unknown_outcomes_follow_the_seed_and_half_of_them_landed() {
    let first = outcomes(7).await;
    assert_eq!(first, outcomes(7).await);
    assert_ne!(first, outcomes(8).await);
    assert!(first.iter().all(|(answer, landed)| answer.is_none() || *landed));
    let unknown = first.iter().filter(|(answer, _)| answer.is_none());
    let landed: Vec<bool> = unknown.map(|(_, landed)| *landed).collect();
    let count = landed.iter().filter(|landed| **landed).count();
    assert!(
        count > 20 && landed.len() - count > 20,
        "{count} of {} landed",
        landed.len()
    );
}

#[cfg(feature = "embedded")]
mod embedded {
    use super::*;
    use std::error::Error as _;
    use titus_store::backend::Embedded;
    use titus_store::limits::Limits;

    #[tokio::test]
    async fn a_store_goes_on_where_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        let kv = Embedded::open(dir.path()).unwrap();
        put(&kv, b"a", b"1").await.unwrap();
        let last = put(&kv, b"b", b"2").await.unwrap();
        let copy = kv.clone();
        drop(kv);
        assert_eq!(get(&copy, b"a").await.as_deref(), Some(&b"1"[..]));
        drop(copy);
        let kv = Embedded::open(dir.path()).unwrap();
        assert_eq!(kv.version().await.unwrap(), last);
        assert_eq!(get(&kv, b"b").await.as_deref(), Some(&b"2"[..]));
        assert!(put(&kv, b"a", b"3").await.unwrap() > last);
        // What happened before the start is not known in detail, so whoever waits for it is woken.
        kv.changed(b"a", Version(0)).await.unwrap();
    }

    #[tokio::test]
    async fn a_store_in_use_is_refused_until_its_last_transaction_ends() {
        let dir = tempfile::tempdir().unwrap();
        let kv = Embedded::open(dir.path()).unwrap();
        let txn = kv.begin().await.unwrap();
        drop(kv);
        let refused = Embedded::open(dir.path()).unwrap_err();
        assert!(
            refused.to_string().contains("another process has it open"),
            "{refused}"
        );
        let owner = refused.source().unwrap().to_string();
        assert!(owner.contains(&std::process::id().to_string()), "{owner}");
        drop(txn);
        Embedded::open(dir.path()).unwrap();
    }

    #[tokio::test]
    async fn waiting_transactions_are_written_together() {
        let dir = tempfile::tempdir().unwrap();
        let kv = Embedded::open(dir.path()).unwrap();
        for round in 0..20_u32 {
            let together = (0..64_u32).map(async |i| put(&kv, &i.to_be_bytes(), b"x").await);
            let mut versions = futures::future::try_join_all(together).await.unwrap();
            versions.sort_unstable();
            versions.dedup();
            assert_eq!(versions.len(), 64, "round {round}: versions are shared");
        }
        let counters = kv.metrics().read();
        let batches: u64 = counters.batch_size.counts.iter().sum();
        assert_eq!(counters.batch_size.sum, 64 * 20);
        assert!(
            batches < 64 * 20,
            "each of {batches} batches held one transaction"
        );
        assert!(kv.disk_bytes().unwrap() > 0);
    }

    #[tokio::test]
    async fn transactions_of_one_batch_see_each_other_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let kv = Embedded::open(dir.path()).unwrap();
        // Blind writes and clears of the same keys, many at once: the last version decides.
        for _ in 0..20 {
            let operations = (0..32_u32).map(async |i| {
                let mut txn = kv.begin().await.unwrap();
                if i % 3 == 0 {
                    txn.clear(&KeyRange::prefix(b"k"));
                } else {
                    txn.set(b"k1", &i.to_be_bytes());
                    txn.set(format!("k{i}").as_bytes(), b"x");
                }
                (txn.commit().await.unwrap(), i)
            });
            let mut order = futures::future::join_all(operations).await;
            order.sort_unstable();
            let after_clear = order.iter().rev().take_while(|(_, i)| i % 3 != 0);
            let alive: Vec<u32> = after_clear.map(|(_, i)| *i).collect();
            let txn = kv.begin().await.unwrap();
            let found = txn
                .scan(&KeyRange::prefix(b"k"), 100, Read::Snapshot)
                .await
                .unwrap();
            let mut expected: Vec<String> = alive.iter().map(|i| format!("k{i}")).collect();
            expected.extend((!alive.is_empty()).then(|| "k1".to_owned()));
            expected.sort();
            expected.dedup();
            let keys: Vec<String> = found
                .iter()
                .map(|e| String::from_utf8_lossy(&e.key).into())
                .collect();
            assert_eq!(keys, expected);
        }
    }

    #[tokio::test]
    async fn a_smaller_budget_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits::with_transaction(1_000);
        let kv = Embedded::builder().limits(limits).open(dir.path()).unwrap();
        put(&kv, b"fits", &[0; 996]).await.unwrap();
        let refused = put(&kv, b"larger", &[0; 995]).await.unwrap_err();
        assert!(
            matches!(
                refused,
                Error::TooLarge {
                    size: 1_001,
                    limit: 1_000,
                    ..
                }
            ),
            "{refused}"
        );
        assert_eq!(Limits::with_transaction(usize::MAX).transaction(), 10_000_000);
    }
}
