use std::fs::{self, OpenOptions};
use std::io::Write;

use super::*;

struct Log {
    dir: tempfile::TempDir,
    ended: watch::Sender<bool>,
}

impl Log {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            ended: watch::channel(false).0,
        }
    }

    fn write(&self, text: &str) {
        let path = self.dir.path().join("stdout");
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }

    /// Rotates as the writer does: the oldest beyond `keep` goes, the others move up.
    fn rotate(&self, keep: u32) {
        let path = |n: u32| {
            self.dir.path().join(if n == 0 {
                "stdout".into()
            } else {
                format!("stdout.{n}")
            })
        };
        let _absent = fs::remove_file(path(keep - 1));
        for n in (0..keep - 1).rev() {
            if path(n).exists() {
                fs::rename(path(n), path(n + 1)).unwrap();
            }
        }
    }

    fn start(&self, tail: Option<u64>, follow: bool) -> mpsc::Receiver<io::Result<LogChunk>> {
        let (out, receiver) = mpsc::channel(64);
        let (dir, ended) = (self.dir.path().to_path_buf(), self.ended.subscribe());
        let query = LogQuery {
            stream: LogStream::Stdout,
            tail,
            follow,
        };
        tokio::spawn(async move { read_log(&dir, query, ended, out).await });
        receiver
    }

    async fn all(&self, tail: Option<u64>) -> String {
        text(&mut self.start(tail, false)).await
    }
}

async fn text(receiver: &mut mpsc::Receiver<io::Result<LogChunk>>) -> String {
    let mut all = String::new();
    while let Some(chunk) = receiver.recv().await {
        match chunk.unwrap() {
            LogChunk::Bytes(bytes) => all += std::str::from_utf8(&bytes).unwrap(),
            LogChunk::Gap => all += "<gap>",
        }
    }
    all
}

async fn expect(receiver: &mut mpsc::Receiver<io::Result<LogChunk>>, wanted: &str) {
    let mut seen = String::new();
    while seen.len() < wanted.len() {
        let chunk = tokio::time::timeout(Duration::from_secs(20), receiver.recv())
            .await
            .unwrap();
        match chunk.unwrap().unwrap() {
            LogChunk::Bytes(bytes) => seen += std::str::from_utf8(&bytes).unwrap(),
            LogChunk::Gap => seen += "<gap>",
        }
    }
    assert_eq!(seen, wanted);
}

#[tokio::test]
async fn a_log_is_read_over_its_rotated_parts_oldest_first() {
    let log = Log::new();
    assert_eq!(log.all(None).await, "", "a log that does not exist yet is empty");
    log.write("a\n");
    log.rotate(3);
    log.write("b\n");
    log.rotate(3);
    log.write("c\n");
    assert_eq!(log.all(None).await, "a\nb\nc\n");
}

#[tokio::test]
async fn tail_counts_lines_over_the_parts() {
    let log = Log::new();
    log.write("1\n2\n");
    log.rotate(3);
    log.write("3\n4");
    for (tail, wanted) in [(0, ""), (1, "4"), (2, "3\n4"), (3, "2\n3\n4"), (9, "1\n2\n3\n4")] {
        assert_eq!(log.all(Some(tail)).await, wanted, "tail {tail}");
    }
}

#[tokio::test]
async fn following_survives_rotation_and_ends_with_the_container() {
    let log = Log::new();
    log.write("one\n");
    let mut receiver = log.start(None, true);
    expect(&mut receiver, "one\n").await;
    log.write("two\n");
    log.rotate(3);
    log.write("three\n");
    expect(&mut receiver, "two\nthree\n").await;
    log.write("last\n");
    log.ended.send(true).unwrap();
    assert_eq!(text(&mut receiver).await, "last\n");
}

#[tokio::test]
async fn parts_that_went_unread_are_reported_as_a_gap() {
    let log = Log::new();
    log.write("one\n");
    let mut receiver = log.start(None, true);
    expect(&mut receiver, "one\n").await;
    for part in ["x\n", "y\n", "z\n"] {
        log.rotate(2);
        log.write(part);
    }
    expect(&mut receiver, "<gap>y\nz\n").await;
}

#[tokio::test]
async fn a_long_log_arrives_whole() {
    let log = Log::new();
    let long: String = (0..50_000).map(|i| format!("line {i}\n")).collect();
    log.write(&long);
    assert_eq!(log.all(None).await, long);
    assert!(log.all(Some(20_000)).await.starts_with("line 30000\n"));
}
