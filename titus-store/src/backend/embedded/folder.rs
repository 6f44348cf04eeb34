//! The store's folder: who may use it, and what is in it.
//!
//! `lock` holds the process id of the owner and is locked for as long as it lives; `format` names the layout and is
//! written last, so that a folder without it was never finished; `data` is fjall's.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{BoxError, Error, Result};

const FORMAT: &str = "titus-store 1\n";

/// A folder that this process owns for as long as the value lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes the folder for this process, and makes it when it is missing.
    pub(super) fn claim(path: &Path) -> Result<Self> {
        let fail = |source: io::Error| io_failure("open", path, source);
        fs::create_dir_all(path).map_err(fail)?;
        refuse_foreign(path)?;
        let lock = lock_for_this_process(path)?;
        check_format(path)?;
        Ok(Self {
            path: path.into(),
            _lock: lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where fjall keeps its files.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Marks the folder as finished: everything in it is as the format says.
    pub(super) fn mark_complete(&self) -> Result<()> {
        let fail = |source: io::Error| io_failure("write", &self.path, source);
        let marker = self.path.join("format");
        if marker.exists() {
            return Ok(());
        }
        let draft = self.path.join("format.new");
        let mut file = File::create(&draft).map_err(fail)?;
        file.write_all(FORMAT.as_bytes()).map_err(fail)?;
        file.sync_all().map_err(fail)?;
        fs::rename(&draft, &marker).map_err(fail)?;
        File::open(&self.path)
            .and_then(|dir| dir.sync_all())
            .map_err(fail)
    }
}

/// A folder with other people's files is never written to.
fn refuse_foreign(path: &Path) -> Result<()> {
    let fail = |source: io::Error| io_failure("open", path, source);
    if path.join("lock").exists() {
        return Ok(());
    }
    match fs::read_dir(path).map_err(fail)?.next() {
        None => Ok(()),
        Some(_) => Err(refusal(
            path,
            "name an empty folder, or one that a store was made in",
            "the folder holds other files and no store".into(),
        )),
    }
}

fn lock_for_this_process(path: &Path) -> Result<File> {
    let fail = |source: io::Error| io_failure("lock", path, source);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path.join("lock"))
        .map_err(fail)?;
    for attempt in 0.. {
        match file.try_lock() {
            Ok(()) => break,
            // A child that this process has forked and that has not executed yet holds the lock of a store just closed.
            Err(TryLockError::WouldBlock) if attempt < 20 => std::thread::sleep(Duration::from_millis(20)),
            Err(TryLockError::WouldBlock) => return Err(refusal(path, IN_USE, owner(&mut file).into())),
            Err(TryLockError::Error(source)) => return Err(fail(source)),
        }
    }
    file.set_len(0).map_err(fail)?;
    writeln!(file, "{}", std::process::id()).map_err(fail)?;
    Ok(file)
}

const IN_USE: &str = "another process has it open: stop that one, or use another folder";

fn owner(lock: &mut File) -> String {
    let mut pid = String::new();
    match lock.take(20).read_to_string(&mut pid) {
        Ok(_) if !pid.trim().is_empty() => format!("it is in use by process {}", pid.trim()),
        _ => "it is in use by a process that is just starting".into(),
    }
}

/// Accepts our format, and clears away what an interrupted first start left.
fn check_format(path: &Path) -> Result<()> {
    match fs::read_to_string(path.join("format")) {
        Ok(found) if found == FORMAT => Ok(()),
        Ok(found) => Err(refusal(
            path,
            "open it with the program that wrote it",
            format!(
                "its format is {:?} and this program knows {:?}",
                found.trim(),
                FORMAT.trim()
            )
            .into(),
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match fs::remove_dir_all(path.join("data")) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(io_failure("clear", path, error))
                }
                _ => Ok(()),
            }
        }
        Err(error) => Err(io_failure("read", path, error)),
    }
}

/// The error for what fjall could not do.
pub(super) fn failure(operation: &'static str, path: &Path, source: fjall::Error) -> Error {
    let advice = match &source {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => advice_for(error),
        fjall::Error::Locked => IN_USE,
        fjall::Error::Poisoned => {
            "an earlier write failed: make room or repair the disk, then reopen the store"
        }
        _ => "its content is damaged: restore it from a backup",
    };
    backend(operation, path, advice, source.into())
}

pub(super) fn io_failure(operation: &'static str, path: &Path, source: io::Error) -> Error {
    backend(operation, path, advice_for(&source), source.into())
}

fn refusal(path: &Path, advice: &'static str, source: BoxError) -> Error {
    backend("open", path, advice, source)
}

pub(super) fn backend(operation: &'static str, path: &Path, advice: &'static str, source: BoxError) -> Error {
    Error::Backend {
        operation,
        object: path.display().to_string(),
        advice,
        source,
    }
}

fn advice_for(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full: make room, then reopen the store"
        }
        io::ErrorKind::ReadOnlyFilesystem => "the folder is on a read-only file system: name another folder",
        io::ErrorKind::PermissionDenied => {
            "this user may not write there: change the folder's owner or name another"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "the path is not a folder: name another"
        }
        _ => "see the cause, repair the disk, then reopen the store",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    fn refused(path: &Path) -> (String, String) {
        let error = Folder::claim(path).unwrap_err();
        (error.to_string(), error.source().unwrap().to_string())
    }

    #[test]
    fn a_second_owner_is_refused_by_pid() {
        let dir = tempfile::tempdir().unwrap();
        let first = Folder::claim(dir.path()).unwrap();
        let (message, cause) = refused(dir.path());
        assert!(message.contains("another process has it open"), "{message}");
        assert!(
            cause.contains(&format!("process {}", std::process::id())),
            "{cause}"
        );
        drop(first);
        Folder::claim(dir.path()).unwrap();
    }

    #[test]
    fn a_folder_with_other_files_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.txt"), "precious").unwrap();
        let (message, _) = refused(dir.path());
        assert!(message.contains("name an empty folder"), "{message}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_newer_format_is_named() {
        let dir = tempfile::tempdir().unwrap();
        drop(Folder::claim(dir.path()).unwrap());
        fs::write(dir.path().join("format"), "titus-store 2\n").unwrap();
        let (message, cause) = refused(dir.path());
        assert!(
            message.contains("open it with the program that wrote it"),
            "{message}"
        );
        assert!(cause.contains("titus-store 2"), "{cause}");
    }

    #[test]
    fn an_interrupted_first_start_is_begun_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::claim(dir.path()).unwrap();
        fs::create_dir(folder.data()).unwrap();
        fs::write(folder.data().join("half"), "").unwrap();
        drop(folder);
        let folder = Folder::claim(dir.path()).unwrap();
        assert!(!folder.data().exists());
        folder.mark_complete().unwrap();
        fs::create_dir(folder.data()).unwrap();
        drop(folder);
        assert!(Folder::claim(dir.path()).unwrap().data().exists());
    }

    #[test]
    fn what_cannot_be_a_folder_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(refused(&file).0.contains("the path is not a folder"));
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let message = failure("commit to", dir.path(), full.into()).to_string();
        assert!(message.contains("the disk is full: make room"), "{message}");
        let read_only = io_failure("open", dir.path(), io::ErrorKind::ReadOnlyFilesystem.into()).to_string();
        assert!(read_only.contains("read-only file system"), "{read_only}");
    }
}
