//! Durable commits of one 300-byte value under a random key, by so many writers at once; the baseline writes the same
//! keys and bytes by bare fjall, in batches as large as the store's were on average.

use std::path::Path;
use std::time::{Duration, Instant};

use fjall::{KeyspaceCreateOptions, PersistMode};
use titus_core::rng::{Rng, RngTree};
use titus_store::Kv as _;
use titus_store::backend::Embedded;

use crate::median;

const RUN: Duration = Duration::from_millis(700);
const VALUE: [u8; 300] = [7; 300];

pub(crate) fn measure(writers: u64, runs: usize) {
    let (mut ours, mut bare, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    // The first pair only warms up.
    for run in 0..=runs {
        let dir = tempfile::tempdir().unwrap();
        let (rate, batch) = run_store(&dir.path().join("store"), writers);
        let base = run_bare(&dir.path().join("bare"), batch);
        if run > 0 {
            ours.push(rate);
            bare.push(base);
            sizes.push(batch);
        }
    }
    let (value, base) = (median(&ours), median(&bare));
    let min = ours.iter().copied().fold(f64::INFINITY, f64::min);
    let max = ours.iter().copied().fold(0.0, f64::max);
    println!(
        r#"{{"bench":"store","case":"writers={writers}","metric":"commits_per_s","value":{value:.0},"baseline":"bare fjall, same batches","baseline_value":{base:.0},"ratio":{:.3},"min":{min:.0},"max":{max:.0},"n":{runs},"quality":{{"batch":{:.1}}}}}"#,
        value / base,
        median(&sizes),
    );
}

fn key(rng: &mut Rng) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&rng.next_u64().to_be_bytes());
    key[8..].copy_from_slice(&rng.next_u64().to_be_bytes());
    key
}

/// Commits a second, and transactions a batch.
fn run_store(folder: &Path, writers: u64) -> (f64, f64) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let kv = Embedded::open(folder).unwrap();
    let start = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let kv = kv.clone();
            runtime.spawn(async move {
                let mut rng = RngTree::new(writer).child("keys");
                while start.elapsed() < RUN {
                    let mut txn = kv.begin().await.unwrap();
                    txn.set(&key(&mut rng), &VALUE);
                    txn.commit().await.unwrap();
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
    });
    let seconds = start.elapsed().as_secs_f64();
    let counters = kv.metrics().read();
    let batches: u64 = counters.batch_size.counts.iter().sum();
    (
        counters.commits as f64 / seconds,
        counters.commits as f64 / batches as f64,
    )
}

/// Rows a second in batches of this size on average, each synced.
fn run_bare(folder: &Path, batch: f64) -> f64 {
    let db = fjall::Database::builder(folder).worker_threads(2).open().unwrap();
    let data = db.keyspace("data", KeyspaceCreateOptions::default).unwrap();
    let mut rng = RngTree::new(0).child("keys");
    let start = Instant::now();
    let (mut rows, mut due) = (0_u64, 0.0);
    while start.elapsed() < RUN {
        let mut writes = db.batch().durability(Some(PersistMode::SyncData));
        due += batch;
        while (rows as f64) < due {
            writes.insert(&data, key(&mut rng), VALUE);
            rows += 1;
        }
        writes.commit().unwrap();
    }
    rows as f64 / start.elapsed().as_secs_f64()
}
