//! Disks that are full or read-only, for real: small file systems in a mount namespace of their own.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::Path;
use std::process::Command;

use titus_store::backend::Embedded;
use titus_store::{Error, Kv, Read, Result, Version};

/// Where the inner tests find their file system; without it they do nothing.
const FOLDER: &str = "TITUS_DISK_FOLDER";

/// Runs another test of this file on a tmpfs that only it can see.
fn run_on_tmpfs(options: &str, inner: &str) {
    let dir = tempfile::tempdir().unwrap();
    let script =
        format!("mount -t tmpfs -o {options} none \"$1\" && exec \"$2\" --exact {inner} --nocapture");
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script, "sh"])
        .arg(dir.path())
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("CHECKED"), "{text}");
}

#[test]
#[ignore = "needs root: mounts a small file system"]
fn a_full_disk_is_told_and_survived() {
    run_on_tmpfs("size=24m", "on_a_full_disk");
}

#[test]
#[ignore = "needs root: mounts a read-only file system"]
fn a_read_only_disk_is_told() {
    run_on_tmpfs("size=1m,ro", "on_a_read_only_disk");
}

async fn put(kv: &Embedded, number: u32) -> Result<Version> {
    let mut txn = kv.begin().await?;
    txn.set(&number.to_be_bytes(), &[1; 90_000]);
    txn.commit().await
}

async fn has(kv: &Embedded, number: u32) -> bool {
    let txn = kv.begin().await.unwrap();
    txn.get(&number.to_be_bytes(), Read::Snapshot)
        .await
        .unwrap()
        .is_some()
}

#[tokio::test]
async fn on_a_full_disk() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let ballast = Path::new(&folder).join("ballast");
    std::fs::write(&ballast, vec![1; 12 << 20]).unwrap();
    let store = Path::new(&folder).join("store");
    let kv = Embedded::open(&store).unwrap();
    let mut acknowledged = 0;
    let first = loop {
        match put(&kv, acknowledged).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(
        acknowledged > 10 && matches!(first, Error::Unknown),
        "{acknowledged}: {first}"
    );

    // Nothing is written any more, and the message says what to do; what was acknowledged can be read.
    let later = put(&kv, 1_000_000).await.unwrap_err();
    assert!(matches!(later, Error::Backend { .. }), "{later:?}");
    assert!(later.to_string().contains("make room"), "{later}");
    assert!(later.to_string().contains("reopen the store"), "{later}");
    assert!(has(&kv, 0).await && has(&kv, acknowledged - 1).await);
    assert!(!has(&kv, acknowledged).await, "what was never synced is seen");

    drop(kv);
    std::fs::remove_file(ballast).unwrap();
    let kv = Embedded::open(&store).unwrap();
    for number in 0..acknowledged {
        assert!(has(&kv, number).await, "{number} of {acknowledged} is lost");
    }
    put(&kv, 1_000_000).await.unwrap();
    println!("CHECKED");
}

#[tokio::test]
async fn on_a_read_only_disk() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let refused = Embedded::open(Path::new(&folder).join("store"))
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("read-only file system: name another folder"),
        "{refused}"
    );
    println!("CHECKED");
}
