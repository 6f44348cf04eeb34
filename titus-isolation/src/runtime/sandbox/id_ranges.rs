//! Which sandbox of this machine has which range of ids: one locked file that all runtimes share.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::spec::IdRange;

/// The file, locked until this is dropped. Each line is `INDEX FOLDER`; a line holds as long as its folder exists.
#[derive(Debug)]
pub(super) struct Ranges {
    path: PathBuf,
    file: File,
    taken: Vec<(u16, PathBuf)>,
}

impl Ranges {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |operation| move |source| Error::kernel(operation, path, source);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|source| Error::kernel("make folder", folder, source))?;
        }
        let mut options = fs::OpenOptions::new();
        options
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600);
        let mut file = options
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)
            .map_err(failed("open"))?;
        file.lock().map_err(failed("lock"))?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed("read"))?;
        let taken = text
            .lines()
            .filter_map(parse)
            .filter(|(_, folder)| folder.exists())
            .collect();
        Ok(Self {
            path: path.to_owned(),
            file,
            taken,
        })
    }

    /// Takes the lowest free range for a folder that the caller makes before it lets go of the lock.
    pub(super) fn take(&mut self, folder: &Path) -> Result<IdRange, Error> {
        let free = (0..IdRange::COUNT).find(|index| self.taken.iter().all(|(taken, _)| taken != index));
        let range = free.and_then(IdRange::nth).ok_or_else(|| {
            Error::missing(
                "free range of user ids",
                format!("all {} in {} are in use", IdRange::COUNT, self.path.display()),
                "remove sandboxes that have ended",
            )
        })?;
        self.taken.push((range.index(), folder.to_owned()));
        Ok(range)
    }

    pub(super) fn save(&mut self) -> Result<(), Error> {
        let line = |(index, folder): &(u16, PathBuf)| format!("{index} {}\n", folder.display());
        let text: String = self.taken.iter().map(line).collect();
        let mut write = || -> std::io::Result<()> {
            self.file.set_len(0)?;
            self.file.rewind()?;
            self.file.write_all(text.as_bytes())
        };
        write().map_err(|source| Error::kernel("write", &self.path, source))
    }
}

fn parse(line: &str) -> Option<(u16, PathBuf)> {
    let (index, folder) = line.split_once(' ')?;
    Some((index.parse().ok()?, PathBuf::from(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_taken_once_and_free_again_with_its_folder() {
        let temp = tempfile::tempdir().expect("a folder");
        let file = temp.path().join("run/ranges");
        let take = |name: &str| {
            let folder = temp.path().join(name);
            let mut ranges = Ranges::open(&file).expect("opens");
            let range = ranges.take(&folder).expect("free");
            fs::create_dir(&folder).expect("made");
            ranges.save().expect("saved");
            range.index()
        };
        assert_eq!((take("a"), take("b"), take("c")), (0, 1, 2));
        fs::remove_dir(temp.path().join("b")).expect("removed");
        assert_eq!((take("d"), take("e")), (1, 3));
    }

    #[test]
    fn a_full_machine_says_so() {
        let temp = tempfile::tempdir().expect("a folder");
        let mut ranges = Ranges::open(&temp.path().join("ranges")).expect("opens");
        ranges.taken = (0..IdRange::COUNT).map(|i| (i, temp.path().to_owned())).collect();
        assert!(matches!(ranges.take(temp.path()), Err(Error::Missing { .. })));
    }
}
