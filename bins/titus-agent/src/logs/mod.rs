//! Reading a container's log files, while they grow and rotate, without asking the container.
//!
//! A stream is `stdout` or `stderr` in the container's log folder, with older parts as `stdout.1`, `stdout.2`, …:
//! the higher the number the older. A reader holds the file that it reads open, so a rotation under it loses nothing
//! but parts that are deleted before they were read, which it reports as a gap.

mod segments;

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::{mpsc, watch};

use segments::{Segment, next_after, segments};

const CHUNK: usize = 64 * 1024;
const POLL: Duration = Duration::from_millis(100);

/// Which of the two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl LogStream {
    const fn file_name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// What to read of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogQuery {
    /// Which output.
    pub stream: LogStream,
    /// Only the last so many lines of what is there at the start; `None` for all that is kept.
    pub tail: Option<u64>,
    /// Go on with what comes, until the container has ended.
    pub follow: bool,
}

/// A piece of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogChunk {
    /// Bytes as written, at most 64 KiB.
    Bytes(Bytes),
    /// Older parts were rotated away before this reader came to them.
    Gap,
}

/// Reads the log in `dir` into `out` until its end, until `ended` turns true when following, or until `out` closes.
///
/// # Errors
/// What the file system says; a folder or file that does not exist yet is an empty log, not an error.
pub async fn read_log(
    dir: &Path,
    query: LogQuery,
    mut ended: watch::Receiver<bool>,
    out: mpsc::Sender<io::Result<LogChunk>>,
) {
    let mut reader = Reader {
        base: dir.join(query.stream.file_name()),
        current: None,
    };
    let outcome = reader.run(query, &mut ended, &out).await;
    if let Err(error) = outcome {
        tracing::warn!(log = %reader.base.display(), %error, "log cannot be read");
        let _receiver_gone = out.send(Err(error)).await;
    }
}

struct Reader {
    base: PathBuf,
    current: Option<(Segment, File)>,
}

type Out = mpsc::Sender<io::Result<LogChunk>>;

impl Reader {
    async fn run(&mut self, query: LogQuery, ended: &mut watch::Receiver<bool>, out: &Out) -> io::Result<()> {
        self.seek_start(query.tail).await?;
        loop {
            // Read before looking at `ended`: what was written before the end is then always seen.
            let over = *ended.borrow();
            if !self.drain(out).await? {
                return Ok(());
            }
            if !query.follow || over {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                changed = ended.changed() => if changed.is_err() { return Ok(()) },
                () = out.closed() => return Ok(()),
            }
        }
    }

    /// Sends all that is there now, over all segments; false when nobody listens any more.
    async fn drain(&mut self, out: &Out) -> io::Result<bool> {
        loop {
            if self.current.is_none() {
                let Some(first) = segments(&self.base).await?.pop() else {
                    return Ok(true);
                };
                self.open(first).await?;
            }
            if !self.drain_current(out).await? {
                return Ok(false);
            }
            let Some((segment, _)) = &self.current else {
                continue;
            };
            let all = segments(&self.base).await?;
            match next_after(&all, *segment) {
                segments::Next::Same => return Ok(true),
                segments::Next::Newer(next) => {
                    // The writer may have added to the old one between our read and the rotation.
                    if !self.drain_current(out).await? {
                        return Ok(false);
                    }
                    self.open(next).await?;
                }
                segments::Next::Lost(oldest) => {
                    if !self.drain_current(out).await? || out.send(Ok(LogChunk::Gap)).await.is_err() {
                        return Ok(false);
                    }
                    self.current = None;
                    match oldest {
                        Some(oldest) => self.open(oldest).await?,
                        None => return Ok(true),
                    }
                }
            }
        }
    }

    async fn drain_current(&mut self, out: &Out) -> io::Result<bool> {
        let Some((_, file)) = &mut self.current else {
            return Ok(true);
        };
        loop {
            let mut buffer = bytes::BytesMut::with_capacity(CHUNK);
            if file.read_buf(&mut buffer).await? == 0 {
                return Ok(true);
            }
            if out.send(Ok(LogChunk::Bytes(buffer.freeze()))).await.is_err() {
                return Ok(false);
            }
        }
    }

    /// Opens a segment by its number; a rotation in between makes it another one, which its identity tells.
    async fn open(&mut self, segment: Segment) -> io::Result<()> {
        self.current = segments::open(&self.base, segment).await?;
        Ok(())
    }

    async fn seek_start(&mut self, tail: Option<u64>) -> io::Result<()> {
        let Some(lines) = tail else { return Ok(()) };
        let mut left = lines;
        let mut at_end = true;
        for segment in segments(&self.base).await? {
            self.open(segment).await?;
            let Some((_, file)) = &mut self.current else {
                continue;
            };
            match start_of_last_lines(file, &mut left, at_end).await? {
                Some(offset) => {
                    file.seek(SeekFrom::Start(offset)).await?;
                    return Ok(());
                }
                None => at_end &= file.seek(SeekFrom::End(0)).await? == 0,
            }
            file.seek(SeekFrom::Start(0)).await?;
        }
        Ok(())
    }
}

/// Where the last `left` lines of a file begin, or `None` when it holds fewer; `left` is lowered by what it holds.
/// With `at_end` nothing was written after the file.
async fn start_of_last_lines(file: &mut File, left: &mut u64, at_end: bool) -> io::Result<Option<u64>> {
    let size = file.metadata().await?.len();
    if *left == 0 {
        return Ok(Some(size));
    }
    let mut end = size;
    let mut buffer = vec![0; CHUNK];
    while end > 0 {
        let start = end.saturating_sub(CHUNK as u64);
        let part = buffer
            .get_mut(..usize::try_from(end - start).unwrap_or(CHUNK))
            .unwrap_or_default();
        file.seek(SeekFrom::Start(start)).await?;
        file.read_exact(part).await?;
        for (i, byte) in part.iter().enumerate().rev() {
            let at = start + i as u64;
            // The newline that ends the whole log begins no further line.
            if *byte == b'\n' && !(at_end && at + 1 == size) {
                *left -= 1;
                if *left == 0 {
                    return Ok(Some(at + 1));
                }
            }
        }
        end = start;
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
