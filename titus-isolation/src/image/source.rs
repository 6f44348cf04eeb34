//! Where an image's blobs are read from: an OCI layout as a folder, or as one archive that is never unpacked.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::layout::Descriptor;
use super::reference::is_sha256;

/// The most bytes of an index, manifest or configuration.
const MAX_JSON: u64 = 4 << 20;
/// The most entries of an archive; an image has some dozens.
const MAX_ENTRIES: usize = 10_000;

pub(super) enum Source {
    Folder(PathBuf),
    Archive {
        path: PathBuf,
        places: BTreeMap<String, (u64, u64)>,
    },
}

/// A part of a file.
pub(super) struct Part {
    pub(super) file: File,
    pub(super) offset: u64,
    pub(super) length: u64,
}

impl Source {
    /// `None`: neither a layout folder nor an archive of one.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        let kind = match fs::metadata(path) {
            Ok(found) => found.file_type(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if kind.is_dir() {
            let whole = path.join("oci-layout").is_file() && path.join("index.json").is_file();
            return Ok(whole.then(|| Self::Folder(path.to_owned())));
        }
        let places = if kind.is_file() {
            places(path)?
        } else {
            BTreeMap::new()
        };
        let whole = places.contains_key("oci-layout") && places.contains_key("index.json");
        Ok(whole.then(|| Self::Archive {
            path: path.to_owned(),
            places,
        }))
    }

    pub(super) fn index(&self) -> io::Result<Vec<u8>> {
        let part = self.part("index.json")?;
        if part.length > MAX_JSON {
            return Err(broken("index.json is larger than 4 MiB"));
        }
        part.read()
    }

    /// A small blob, checked.
    pub(super) fn json(&self, of: &Descriptor) -> io::Result<Vec<u8>> {
        if of.size > MAX_JSON {
            return Err(broken(&format!("{} is larger than 4 MiB", of.digest)));
        }
        let bytes = self.blob(of)?.read()?;
        let found = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
        if found != of.digest {
            return Err(broken(&format!(
                "{} holds other bytes than its digest says",
                of.digest
            )));
        }
        Ok(bytes)
    }

    /// A blob of the right size. Whoever reads it checks its digest.
    pub(super) fn blob(&self, of: &Descriptor) -> io::Result<Part> {
        let Some(hex) = of.digest.strip_prefix("sha256:").filter(|d| is_sha256(d)) else {
            return Err(broken(&format!("{:?} is no sha256 digest", of.digest)));
        };
        let part = self.part(&format!("blobs/sha256/{hex}"))?;
        if part.length != of.size {
            let text = format!(
                "{} has {} bytes, its descriptor says {}",
                of.digest, part.length, of.size
            );
            return Err(broken(&text));
        }
        Ok(part)
    }

    fn part(&self, name: &str) -> io::Result<Part> {
        match self {
            Self::Folder(folder) => {
                let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
                let path = folder.join(name);
                let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(&path);
                let file = file.map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
                let found = file.metadata()?;
                if !found.is_file() {
                    return Err(broken(&format!("{name} is no file")));
                }
                Ok(Part {
                    file,
                    offset: 0,
                    length: found.len(),
                })
            }
            Self::Archive { path, places } => {
                let place = places
                    .get(name)
                    .ok_or_else(|| broken(&format!("the archive holds no {name}")))?;
                Ok(Part {
                    file: File::open(path)?,
                    offset: place.0,
                    length: place.1,
                })
            }
        }
    }
}

impl Part {
    fn read(mut self) -> io::Result<Vec<u8>> {
        self.file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        self.file.take(self.length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Name -> (offset, length) of an archive's files.
fn places(path: &Path) -> io::Result<BTreeMap<String, (u64, u64)>> {
    let mut places = BTreeMap::new();
    let mut archive = tar::Archive::new(File::open(path)?);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        if places.len() >= MAX_ENTRIES {
            return Err(broken("the archive has more than 10,000 entries"));
        }
        if entry.header().entry_type().is_file() {
            let name = String::from_utf8_lossy(&entry.path_bytes())
                .trim_start_matches("./")
                .to_owned();
            places.insert(name, (entry.raw_file_position(), entry.size()));
        }
    }
    Ok(places)
}

pub(super) fn broken(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
