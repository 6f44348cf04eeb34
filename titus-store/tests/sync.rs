//! An answer comes after the disk has the data, and a disk that fails is told: proven with a shim between this process
//! and the C library, which counts the syncs or fails them.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::Path;
use std::process::Command;

use titus_store::backend::Embedded;
use titus_store::{Error, Kv, Read, Result, Version};

/// Where the inner tests keep their store; without it they do nothing.
const FOLDER: &str = "TITUS_SYNC_FOLDER";
const COUNT: &str = "TITUS_SYNC_COUNT";
const FAIL: &str = "TITUS_SYNC_FAIL";

/// Runs another test of this file behind the shim.
fn run_behind_shim(inner: &str, fail_after: Option<u32>) {
    let dir = tempfile::tempdir().unwrap();
    let shim = dir.path().join("shim.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sync_shim.c");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&shim)
        .arg(source)
        .status();
    assert!(built.unwrap().success());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", inner, "--nocapture"])
        .env("LD_PRELOAD", &shim)
        .env(FOLDER, dir.path().join("store"))
        .env(COUNT, dir.path().join("count"));
    if let Some(after) = fail_after {
        command.env(FAIL, after.to_string());
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("CHECKED"), "{text}");
}

#[test]
fn every_answer_comes_after_a_sync() {
    run_behind_shim("counts_syncs", None);
}

#[test]
fn a_failed_sync_is_unknown_and_then_the_end() {
    run_behind_shim("meets_a_failed_sync", Some(5));
}

async fn put(kv: &Embedded, number: u32) -> Result<Version> {
    let mut txn = kv.begin().await?;
    txn.set(&number.to_be_bytes(), b"x");
    txn.commit().await
}

fn syncs() -> u64 {
    let counted = std::env::var_os(COUNT).unwrap();
    std::fs::metadata(counted).map_or(0, |count| count.len())
}

#[tokio::test]
async fn counts_syncs() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let kv = Embedded::open(folder).unwrap();
    for number in 0..20 {
        let before = syncs();
        put(&kv, number).await.unwrap();
        assert!(syncs() > before, "answered without a sync");
    }
    let before = syncs();
    kv.begin().await.unwrap().commit().await.unwrap();
    assert_eq!(syncs(), before, "reading costs a sync");
    println!("CHECKED");
}

#[tokio::test]
async fn meets_a_failed_sync() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let kv = Embedded::open(folder).unwrap();
    let mut acknowledged = 0;
    let first = loop {
        match put(&kv, acknowledged).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(
        acknowledged > 0 && matches!(first, Error::Unknown),
        "{acknowledged}: {first}"
    );
    for _ in 0..3 {
        let later = put(&kv, 1_000).await.unwrap_err();
        assert!(matches!(later, Error::Backend { .. }), "{later:?}");
        assert!(later.to_string().contains("reopen the store"), "{later}");
    }
    let txn = kv.begin().await.unwrap();
    let unsure = txn
        .get(&acknowledged.to_be_bytes(), Read::Snapshot)
        .await
        .unwrap();
    assert!(unsure.is_none(), "what may not be on disk is seen");
    let last = (acknowledged - 1).to_be_bytes();
    assert!(txn.get(&last, Read::Snapshot).await.unwrap().is_some());
    let counters = kv.metrics().read();
    assert_eq!((counters.unknown, counters.failures), (1, 3));
    println!("CHECKED");
}
