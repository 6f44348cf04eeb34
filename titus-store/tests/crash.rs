//! A process that writes is killed at any moment, again and again: what it was told is written must be there, whole.
//!
//! The writer is this same test binary, started again as [`writer_process`]; it reports each acknowledged transaction on
//! its standard output. `TITUS_KILLS` sets how often it is killed, `TITUS_SEED` when.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use titus_core::rng::{Rng, RngTree};
use titus_store::backend::Embedded;
use titus_store::key::{Key, Parts};
use titus_store::{KeyRange, Kv, Read};

/// Where the writer process finds its store; without it that test does nothing.
const FOLDER: &str = "TITUS_CRASH_FOLDER";
const WRITERS: u64 = 4;
/// Keys of one transaction, which are there together or not at all.
const PARTS: u64 = 3;
/// Older transactions of a writer are cleared by its newer ones.
const KEPT: u64 = 20;

type Checked = Result<(), String>;

fn setting(name: &str, default: u64) -> u64 {
    let value = std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default);
    println!("{name}={value}");
    value
}

fn writer_key(writer: u64) -> Key {
    Key::new().text("crash").uint(writer)
}

fn latest_key(writer: u64) -> Key {
    Key::new().text("latest").uint(writer)
}

/// What every key of a transaction holds: large enough that tables are written and compacted while it runs.
fn value_of(writer: u64, number: u64) -> Vec<u8> {
    let mut rng = RngTree::new(writer).child(&number.to_string());
    let len = usize::try_from(rng.below(4_000)).unwrap();
    let mut value = number.to_be_bytes().to_vec();
    value.resize(8 + len, number.to_le_bytes()[0]);
    value
}

fn open(folder: &Path) -> Embedded {
    Embedded::builder().buffer_bytes(128 << 10).open(folder).unwrap()
}

/// One transaction of a writer: the new keys, the counter, and the end of what is too old.
async fn write(kv: &Embedded, writer: u64, number: u64) -> titus_store::Result<titus_store::Version> {
    let root = writer_key(writer);
    let mut txn = kv.begin().await?;
    for part in 0..PARTS {
        txn.set(&root.clone().uint(number).uint(part), &value_of(writer, number));
    }
    let oldest = number.saturating_sub(KEPT - 1);
    let old = KeyRange::new(root.clone().uint(0).into_bytes(), root.uint(oldest).into_bytes());
    txn.clear(&old);
    txn.set(&latest_key(writer), &number.to_be_bytes());
    txn.commit().await
}

async fn latest(kv: &Embedded, writer: u64) -> u64 {
    let txn = kv.begin().await.unwrap();
    let value = txn.get(&latest_key(writer), Read::Snapshot).await.unwrap();
    value.map_or(0, |bytes| u64::from_be_bytes(bytes[..].try_into().unwrap()))
}

/// The child's side: writes until it is killed. Does nothing when it is not asked to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writer_process() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let kv = open(Path::new(&folder));
    let writers = (0..WRITERS).map(async |writer| {
        let mut number = latest(&kv, writer).await;
        loop {
            number += 1;
            write(&kv, writer, number).await.unwrap();
            writeln!(std::io::stdout().lock(), "ACK {writer} {number}").unwrap();
        }
    });
    futures::future::join_all(writers).await;
}

/// Holds a store against the acknowledgements, by writer.
async fn check(kv: &Embedded, acknowledged: &BTreeMap<u64, u64>) -> Checked {
    for writer in 0..WRITERS {
        let latest = latest(kv, writer).await;
        let told = acknowledged.get(&writer).copied().unwrap_or(0);
        if latest < told {
            return Err(format!(
                "writer {writer}: {told} was acknowledged, {latest} is the last"
            ));
        }
        check_window(kv, writer, latest).await?;
    }
    Ok(())
}

/// The kept transactions of a writer are whole, and there are no others.
async fn check_window(kv: &Embedded, writer: u64, latest: u64) -> Checked {
    let txn = kv.begin().await.unwrap();
    let root = writer_key(writer);
    let found = txn.scan(&root.children(), 10_000, Read::Snapshot).await.unwrap();
    let mut expected = (latest.saturating_sub(KEPT - 1).max(1)..=latest)
        .flat_map(|number| (0..PARTS).map(move |part| (number, part)));
    for entry in found {
        let mut parts = Parts::of(&entry.key[root.len()..]);
        let place = (parts.uint().unwrap(), parts.uint().unwrap());
        if expected.next() != Some(place) {
            return Err(format!(
                "writer {writer}: {place:?} is there and was not expected before {latest}"
            ));
        }
        if entry.value != value_of(writer, place.0) {
            return Err(format!("writer {writer}: {place:?} holds another value"));
        }
    }
    match expected.next() {
        None => Ok(()),
        Some(missing) => Err(format!("writer {writer}: {missing:?} is missing before {latest}")),
    }
}

fn start_writer(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer_process", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Lets a writer run for a while, kills it, and takes in what it had acknowledged.
fn run_and_kill(folder: &Path, rng: &mut Rng, acknowledged: &mut BTreeMap<u64, u64>) {
    let mut child = start_writer(folder);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    // Three of four are killed while they write, the others at any moment, opening included.
    if rng.chance(3, 4) {
        let mut line = String::new();
        while !line.starts_with("ACK") && output.read_line(&mut line).unwrap() > 0 {
            take_in(&line, acknowledged);
            if !line.starts_with("ACK") {
                line.clear();
            }
        }
        take_in(&line, acknowledged);
    }
    std::thread::sleep(Duration::from_micros(rng.below(40_000)));
    child.kill().unwrap();
    child.wait().unwrap();
    for line in output.lines() {
        take_in(&line.unwrap(), acknowledged);
    }
}

/// A line that the kill cut short acknowledges nothing: its number lacks the end.
fn take_in(line: &str, acknowledged: &mut BTreeMap<u64, u64>) {
    let words: Vec<&str> = line.split_whitespace().collect();
    if let ["ACK", writer, number] = words[..] {
        let (writer, number): (u64, u64) = (writer.parse().unwrap(), number.parse().unwrap());
        let latest = acknowledged.entry(writer).or_default();
        *latest = number.max(*latest);
    }
}

#[tokio::test]
async fn kill_9_loses_nothing_that_was_acknowledged() {
    let kills = setting("TITUS_KILLS", 200);
    let mut rng = RngTree::new(setting("TITUS_SEED", 42)).child("kills");
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    for kill in 0..kills {
        run_and_kill(dir.path(), &mut rng, &mut acknowledged);
        let kv = open(dir.path());
        check(&kv, &acknowledged)
            .await
            .unwrap_or_else(|lost| panic!("after kill {kill}: {lost}"));
    }
    let total: u64 = acknowledged.values().sum();
    println!("{kills} kills, {total} transactions acknowledged");
    assert!(total > kills, "the writers hardly wrote: {total} in {kills} runs");

    // And the check bites: one key less, and it says so.
    let kv = open(dir.path());
    let latest = latest(&kv, 0).await;
    let mut txn = kv.begin().await.unwrap();
    txn.clear(&KeyRange::one(&writer_key(0).uint(latest).uint(1)));
    txn.commit().await.unwrap();
    let seen = check(&kv, &acknowledged).await.unwrap_err();
    assert!(seen.contains("writer 0"), "{seen}");
    let mut txn = kv.begin().await.unwrap();
    txn.set(&latest_key(1), &(acknowledged[&1] - 1).to_be_bytes());
    txn.commit().await.unwrap();
    let told = BTreeMap::from([(1, acknowledged[&1])]);
    assert!(check(&kv, &told).await.is_err());
}

#[test]
fn the_store_of_another_process_is_refused_by_its_pid() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = start_writer(dir.path());
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let writes = output.any(|line| line.unwrap().starts_with("ACK"));
    let refused = Embedded::open(dir.path());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(writes);
    let source = refused.unwrap_err();
    let source = std::error::Error::source(&source).unwrap().to_string();
    assert!(source.contains(&format!("process {}", child.id())), "{source}");
}

#[tokio::test]
async fn a_torn_tail_loses_the_end_alone() {
    const WRITTEN: u64 = 30;
    let mut rng = RngTree::new(setting("TITUS_SEED", 42)).child("torn");
    let whole = tempfile::tempdir().unwrap();
    let kv = Embedded::open(whole.path()).unwrap();
    for number in 1..=WRITTEN {
        write(&kv, 0, number).await.unwrap();
    }
    drop(kv);
    let journal = journal_of(whole.path());
    let end = written_end(&journal);
    let mut survivors = Vec::new();
    for round in 0..40 {
        let torn = tempfile::tempdir().unwrap();
        copy_folder(whole.path(), torn.path());
        let cut = end - rng.below(end / 2);
        let file = OpenOptions::new()
            .write(true)
            .open(journal_of(torn.path()))
            .unwrap();
        file.set_len(cut).unwrap();
        if round % 2 == 0 {
            // The file's size survived and its last blocks did not.
            file.set_len(end + 4_096).unwrap();
        }
        drop(file);
        let kv = Embedded::open(torn.path()).unwrap_or_else(|e| panic!("cut at {cut} of {end}: {e} {e:?}"));
        let latest = latest(&kv, 0).await;
        check_window(&kv, 0, latest).await.unwrap();
        survivors.push(latest);
        write(&kv, 0, latest + 1).await.unwrap();
        drop(kv);
        let again = Embedded::open(torn.path()).unwrap();
        check_window(&again, 0, latest + 1).await.unwrap();
    }
    survivors.sort_unstable();
    survivors.dedup();
    assert!(
        survivors.len() > 5,
        "the cuts did not reach into the tail: {survivors:?}"
    );
}

/// A store of 30 transactions, closed; and where its journal's last batch begins and ends.
async fn written_store(folder: &Path) -> (u64, u64) {
    let kv = Embedded::open(folder).unwrap();
    let mut begin = 0;
    for number in 1..=30 {
        begin = written_end(&journal_of(folder));
        write(&kv, 0, number).await.unwrap();
    }
    drop(kv);
    (begin, written_end(&journal_of(folder)))
}

/// Writes zeros over a part of the journal, as a page that never reached the disk.
fn punch(folder: &Path, at: u64, len: usize) {
    let file = OpenOptions::new().write(true).open(journal_of(folder)).unwrap();
    file.write_all_at(&vec![0; len], at).unwrap();
}

#[tokio::test]
async fn a_hole_in_the_last_batch_costs_that_batch_alone() {
    let whole = tempfile::tempdir().unwrap();
    let (begin, end) = written_store(whole.path()).await;
    for part in 0..20 {
        let torn = tempfile::tempdir().unwrap();
        copy_folder(whole.path(), torn.path());
        let at = begin + (end - begin) * part / 20;
        punch(torn.path(), at, 60);
        let kv = Embedded::open(torn.path())
            .unwrap_or_else(|e| panic!("hole at {at} of {begin} to {end}: {e} {e:?}"));
        assert_eq!(latest(&kv, 0).await, 29);
        check_window(&kv, 0, 29).await.unwrap();
        write(&kv, 0, 30).await.unwrap();
    }
}

#[tokio::test]
async fn a_hole_before_acknowledged_batches_is_refused() {
    let whole = tempfile::tempdir().unwrap();
    let (begin, _) = written_store(whole.path()).await;
    for part in 1..10 {
        let damaged = tempfile::tempdir().unwrap();
        copy_folder(whole.path(), damaged.path());
        punch(damaged.path(), begin * part / 10, 60);
        let refused = Embedded::open(damaged.path()).unwrap_err().to_string();
        assert!(refused.contains("restore the store from a backup"), "{refused}");
    }
}

/// The journal that is written to: the one with the highest number.
fn journal_of(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder.join("data")).unwrap();
    let journals = entries.map(|entry| entry.unwrap().path());
    let journals = journals.filter(|path| path.extension().is_some_and(|ext| ext == "jnl"));
    journals.max().unwrap()
}

/// What was written of a journal; behind it the file is empty room.
fn written_part(journal: &Path) -> Vec<u8> {
    let file = fs::File::open(journal).unwrap();
    let blocks = file.metadata().unwrap().blocks();
    let mut bytes = Vec::new();
    file.take(blocks * 512).read_to_end(&mut bytes).unwrap();
    let end = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    bytes.truncate(end);
    bytes
}

/// Where the journal's records end.
fn written_end(journal: &Path) -> u64 {
    written_part(journal).len() as u64
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else if target.extension().is_some_and(|ext| ext == "jnl") {
            fs::write(&target, written_part(&entry.path())).unwrap();
            let room = entry.metadata().unwrap().len();
            OpenOptions::new()
                .write(true)
                .open(target)
                .unwrap()
                .set_len(room)
                .unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
