//! Standard output and error on their way to files: bounded, rotated, never in the command's way.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{UnlinkatFlags, pipe2, read, unlinkat};

use crate::spec::LogConfig;

/// Bytes taken from a pipe at once. On the stack, and touched only by sandboxes that write.
const CHUNK: usize = 8 << 10;

/// Both streams of one sandbox.
pub(super) struct Logs {
    folder: OwnedFd,
    max_bytes: u64,
    files: u32,
    pub(super) streams: [Stream; 2],
    /// Bytes that could not be written.
    pub(super) dropped: u64,
}

pub(super) struct Stream {
    name: &'static str,
    /// Where the command's output arrives; `None` once every writer has closed it.
    pub(super) from: Option<OwnedFd>,
    /// The other end, until the command has it.
    pub(super) to: Option<OwnedFd>,
    file: Option<File>,
    size: u64,
}

impl Logs {
    pub(super) fn open(folder: OwnedFd, config: &LogConfig) -> io::Result<Self> {
        let streams = [Stream::open(&folder, "stdout")?, Stream::open(&folder, "stderr")?];
        Ok(Self {
            folder,
            max_bytes: config.max_bytes,
            files: config.files,
            streams,
            dropped: 0,
        })
    }

    /// Moves what is there, at most one chunk, so that no stream starves the other or the signals.
    pub(super) fn pump(&mut self, index: usize) -> bool {
        let Some(from) = &self.streams[index].from else {
            return false;
        };
        let mut chunk = [0_u8; CHUNK];
        match read(from, &mut chunk) {
            Ok(0) => {
                self.streams[index].from = None;
                false
            }
            Ok(length) => {
                self.write(index, &chunk[..length]);
                true
            }
            Err(Errno::EINTR) => true,
            Err(_) => false,
        }
    }

    /// Takes what the pipes still hold. The writers are dead, so this ends.
    pub(super) fn drain(&mut self) {
        for index in 0..self.streams.len() {
            while self.pump(index) {}
        }
    }

    fn write(&mut self, index: usize, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.streams[index].size >= self.max_bytes {
                self.rotate(index);
            }
            let stream = &mut self.streams[index];
            let room = usize::try_from(self.max_bytes.saturating_sub(stream.size)).unwrap_or(usize::MAX);
            let part = &bytes[..bytes.len().min(room.max(1))];
            let written = match &mut stream.file {
                Some(file) => file.write(part).unwrap_or(0),
                None => 0,
            };
            if written == 0 {
                self.dropped = self.dropped.saturating_add(bytes.len() as u64);
                return;
            }
            stream.size += written as u64;
            bytes = &bytes[written..];
        }
    }

    /// `stdout.2` -> `stdout.3`, `stdout.1` -> `stdout.2`, `stdout` -> `stdout.1`; the oldest goes.
    fn rotate(&mut self, index: usize) {
        let name = self.streams[index].name;
        let part = |number: u32| {
            if number == 0 {
                name.to_owned()
            } else {
                format!("{name}.{number}")
            }
        };
        for number in (0..self.files).rev() {
            let old = part(number);
            let _not_there_is_fine = if number + 1 >= self.files {
                unlinkat(&self.folder, old.as_str(), UnlinkatFlags::NoRemoveDir)
            } else {
                renameat(
                    &self.folder,
                    old.as_str(),
                    &self.folder,
                    part(number + 1).as_str(),
                )
            };
        }
        let stream = &mut self.streams[index];
        stream.file = open_file(&self.folder, name).ok();
        stream.size = 0;
    }
}

impl Stream {
    fn open(folder: &OwnedFd, name: &'static str) -> io::Result<Self> {
        let (from, to) = pipe2(OFlag::O_CLOEXEC)?;
        nix::fcntl::fcntl(&from, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let file = open_file(folder, name)?;
        let size = u64::try_from(fstat(&file)?.st_size).unwrap_or(0);
        Ok(Self {
            name,
            from: Some(from),
            to: Some(to),
            file: Some(file),
            size,
        })
    }
}

fn open_file(folder: &impl AsFd, name: &str) -> io::Result<File> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_APPEND | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(folder, name, flags, Mode::from_bits_truncate(0o600))?.into())
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> i32 {
        self.from.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }
}
