//! The files of one log stream, told apart by inode so that a rotation under a reader is seen.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tokio::fs::File;

/// More than any configuration keeps: bounds the look-up in a folder.
const MOST: u32 = 1_000;

/// One file of a stream: 0 is the one being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) number: u32,
    device: u64,
    inode: u64,
}

impl Segment {
    const fn is(&self, other: &Self) -> bool {
        self.device == other.device && self.inode == other.inode
    }
}

/// What follows a segment that was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It is still the one being written.
    Same,
    /// The next newer one.
    Newer(Segment),
    /// It is gone; the oldest that is left.
    Lost(Option<Segment>),
}

fn path(base: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return base.to_path_buf();
    }
    let mut name = base.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// The files that there are, newest first.
pub(super) async fn segments(base: &Path) -> io::Result<Vec<Segment>> {
    let mut found = Vec::new();
    for number in 0..MOST {
        match tokio::fs::symlink_metadata(path(base, number)).await {
            Ok(meta) => found.push(Segment {
                number,
                device: meta.dev(),
                inode: meta.ino(),
            }),
            // Between the two renames of a rotation the current file is missing for a moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound && number == 0 => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Opens a segment, wherever a rotation has moved it meanwhile; `None` when it is gone.
pub(super) async fn open(base: &Path, wanted: Segment) -> io::Result<Option<(Segment, File)>> {
    for number in wanted.number..wanted.number.saturating_add(3) {
        let file = match File::open(path(base, number)).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let meta = file.metadata().await?;
        let opened = Segment {
            number,
            device: meta.dev(),
            inode: meta.ino(),
        };
        if opened.is(&wanted) {
            return Ok(Some((opened, file)));
        }
    }
    Ok(None)
}

/// What to read after `current`, given all that there is, newest first.
pub(super) fn next_after(all: &[Segment], current: Segment) -> Next {
    match all.iter().position(|s| s.is(&current)) {
        Some(0) => Next::Same,
        Some(at) => all.get(at - 1).map_or(Next::Same, |next| Next::Newer(*next)),
        None => Next::Lost(all.last().copied()),
    }
}
