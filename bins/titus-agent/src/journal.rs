//! What the agent must remember of a container across its own death: one file a container, written by rename and fsync.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use titus_core::id::{JobId, TaskId};
use titus_core::spec::ImageRequest;
use titus_core::task::{Exit, StageTimes};

/// What is remembered of one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The version of this form.
    pub format: u8,
    /// The task.
    pub task: TaskId,
    /// Its job; `None` before its sandbox was made.
    pub job: Option<JobId>,
    /// The image that is pinned for it.
    pub image: Option<ImageRequest>,
    /// The address reserved for it.
    pub address: Option<IpAddr>,
    /// True once its network may have been wired, until it is unwired.
    pub wired: bool,
    /// True once its gate may have been opened.
    pub started: bool,
    /// True once its sandbox was removed.
    pub removed: bool,
    /// How it ended, once that was seen.
    pub exit: Option<Exit>,
    /// When each stage was reached.
    pub times: StageTimes,
}

const FORMAT: u8 = 1;

impl Entry {
    /// The entry of a task of which nothing has been done.
    #[must_use]
    pub fn new(task: TaskId) -> Self {
        Self {
            format: FORMAT,
            task,
            job: None,
            image: None,
            address: None,
            wired: false,
            started: false,
            removed: false,
            exit: None,
            times: StageTimes::default(),
        }
    }
}

/// A folder of entries.
#[derive(Debug, Clone)]
pub struct Journal {
    dir: PathBuf,
}

/// What a folder held: the entries, and the files that are none, with the reason.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The entries by task.
    pub entries: BTreeMap<TaskId, Entry>,
    /// Files that could not be read as entries; they were set aside as `NAME.bad`.
    pub bad: Vec<(PathBuf, String)>,
}

impl Journal {
    /// Opens a folder, made when it is missing.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(dir: impl Into<PathBuf>) -> io::Result<Self> {
        let dir = dir.into();
        fs::create_dir_all(&dir)?;
        Ok(Self { dir })
    }

    fn path(&self, task: TaskId) -> PathBuf {
        self.dir.join(format!("{task}.json"))
    }

    /// Writes an entry so that a crash leaves the old one or the new one.
    ///
    /// # Errors
    /// What the file system says; the old entry then still stands.
    pub fn write(&self, entry: &Entry) -> io::Result<()> {
        let (path, partial) = (
            self.path(entry.task),
            self.dir.join(format!("{}.partial", entry.task)),
        );
        let mut file = File::create(&partial)?;
        file.write_all(&serde_json::to_vec(entry).map_err(io::Error::other)?)?;
        file.sync_data()?;
        fs::rename(&partial, &path)
    }

    /// Removes a task's entry; one that is not there is fine.
    ///
    /// # Errors
    /// What the file system says.
    pub fn remove(&self, task: TaskId) -> io::Result<()> {
        match fs::remove_file(self.path(task)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Reads the whole folder. A bad file never stops a start: it is set aside and named.
    ///
    /// # Errors
    /// What the file system says of the folder itself.
    pub fn load(&self) -> io::Result<Loaded> {
        let mut loaded = Loaded::default();
        for file in fs::read_dir(&self.dir)? {
            let path = file?.path();
            match path.extension().and_then(|e| e.to_str()) {
                Some("json") => {}
                Some("partial") => {
                    fs::remove_file(&path)?;
                    continue;
                }
                _ => continue,
            }
            match read(&path) {
                Ok(entry) => {
                    loaded.entries.insert(entry.task, entry);
                }
                Err(reason) => {
                    let aside = path.with_extension("json.bad");
                    fs::rename(&path, &aside)?;
                    loaded.bad.push((aside, reason));
                }
            }
        }
        Ok(loaded)
    }
}

fn read(path: &Path) -> Result<Entry, String> {
    let bytes = fs::read(path).map_err(|e| e.to_string())?;
    let entry: Entry = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
    if entry.format != FORMAT {
        return Err(format!(
            "format {} is not known to this agent, which writes {FORMAT}",
            entry.format
        ));
    }
    if path.file_stem().and_then(|s| s.to_str()) != Some(entry.task.to_string().as_str()) {
        return Err(format!("it is about task {}", entry.task));
    }
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(n: u8) -> TaskId {
        TaskId::from_bytes([n; 16])
    }

    #[test]
    fn what_was_written_is_read_back_and_what_was_removed_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path().join("j")).unwrap();
        let mut entry = Entry {
            exit: Some(Exit::Signal(9)),
            wired: true,
            ..Entry::new(task(1))
        };
        journal.write(&entry).unwrap();
        entry.removed = true;
        journal.write(&entry).unwrap();
        journal.write(&Entry::new(task(2))).unwrap();
        journal.remove(task(2)).unwrap();
        journal.remove(task(3)).unwrap();
        let loaded = journal.load().unwrap();
        assert_eq!(loaded.entries.into_values().collect::<Vec<_>>(), [entry]);
    }

    #[test]
    fn a_bad_file_is_set_aside_and_a_half_written_one_removed() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        journal.write(&Entry::new(task(1))).unwrap();
        fs::write(dir.path().join(format!("{}.json", task(2))), b"{\"task\":").unwrap();
        fs::write(dir.path().join(format!("{}.partial", task(3))), b"{").unwrap();
        let mut future = serde_json::to_value(Entry::new(task(4))).unwrap();
        future["format"] = 9.into();
        fs::write(dir.path().join(format!("{}.json", task(4))), future.to_string()).unwrap();
        fs::copy(
            journal.path(task(1)),
            dir.path().join(format!("{}.json", task(5))),
        )
        .unwrap();
        let loaded = journal.load().unwrap();
        assert_eq!(loaded.entries.keys().copied().collect::<Vec<_>>(), [task(1)]);
        assert_eq!(loaded.bad.len(), 3);
        assert!(!dir.path().join(format!("{}.partial", task(3))).exists());
        assert_eq!(journal.load().unwrap().bad.len(), 0, "set aside once");
    }
}
