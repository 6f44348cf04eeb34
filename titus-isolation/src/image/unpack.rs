//! One layer's archive into one folder, in a process of its own that is shut into that folder.
//!
//! No name is resolved through a link, no name leads out, nothing is a device, and bytes and entries are bounded.
//! A deletion (`.wh.NAME`) becomes what overlay takes for one; `.wh..wh..opq` hides all of the layers below.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, UtimensatFlags, fchmodat, mkdirat, mknodat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, linkat, symlinkat, unlinkat};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tar::{Entry, EntryType};

use crate::sys;

/// What one layer may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bounds {
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
}

/// What to unpack: a part of the file on standard output, which is open for reading.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Unpack {
    pub(crate) folder: PathBuf,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) gzip: bool,
    pub(crate) bounds: Bounds,
}

/// What was unpacked, by the bytes that were read, for the caller to compare.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unpacked {
    /// Of the compressed bytes.
    pub(crate) blob: String,
    /// Of the archive in it.
    pub(crate) diff_id: String,
}

pub(crate) fn run(unpack: &Unpack, mut layer: File) -> Result<Unpacked, String> {
    use std::io::Seek;
    let told = |error: io::Error| error.to_string();
    layer.seek(io::SeekFrom::Start(unpack.offset)).map_err(told)?;
    shut_in(&unpack.folder).map_err(|e| format!("cannot be shut into its folder: {e}"))?;
    let mut blob = Hashing::new(layer.take(unpack.length));
    let diff_id = if unpack.gzip {
        unpack_archive(MultiGzDecoder::new(&mut blob), unpack.bounds)?
    } else {
        unpack_archive(&mut blob, unpack.bounds)?
    };
    io::copy(&mut blob, &mut io::sink()).map_err(told)?;
    Ok(Unpacked {
        blob: blob.hex(),
        diff_id,
    })
}

/// From here on nothing outside the folder has a name, and the rights left are those that unpacking needs.
fn shut_in(folder: &Path) -> io::Result<()> {
    use caps::{CapSet, Capability, CapsHashSet};
    const MEMORY: u64 = 1 << 30;
    nix::unistd::chroot(folder)?;
    std::env::set_current_dir("/")?;
    let kept = CapsHashSet::from([
        Capability::CAP_CHOWN,
        Capability::CAP_DAC_OVERRIDE,
        Capability::CAP_FOWNER,
        Capability::CAP_FSETID,
        Capability::CAP_MKNOD,
    ]);
    caps::set(None, CapSet::Effective, &kept).map_err(io::Error::other)?;
    caps::set(None, CapSet::Permitted, &kept).map_err(io::Error::other)?;
    sys::no_new_privileges()?;
    // An archive may announce a name of any length, which is then held in memory.
    sys::set_rlimit(libc::RLIMIT_AS, MEMORY, MEMORY)
}

fn unpack_archive(from: impl Read, bounds: Bounds) -> Result<String, String> {
    let mut hashed = Hashing::new(from.take(bounds.bytes));
    let mut archive = tar::Archive::new(&mut hashed);
    let mut unpacker = Unpacker { folders: Vec::new() };
    let mut count = 0;
    for entry in archive.entries().map_err(|e| e.to_string())? {
        let mut entry = entry.map_err(|e| {
            format!(
                "the archive is damaged or larger than {} bytes: {e}",
                bounds.bytes
            )
        })?;
        count += 1;
        if count > bounds.entries {
            return Err(format!("it has more than {} entries", bounds.entries));
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        unpacker
            .entry(&mut entry)
            .map_err(|e| format!("`{}`: {e}", name.chars().take(300).collect::<String>()))?;
    }
    unpacker.finish().map_err(|e| e.to_string())?;
    io::copy(&mut hashed, &mut io::sink()).map_err(|e| e.to_string())?;
    if hashed.inner.limit() == 0 {
        return Err(format!("it is larger than {} bytes", bounds.bytes));
    }
    Ok(hashed.hex())
}

struct Unpacker {
    /// Times of folders, set at the end since what is put into them changes them.
    folders: Vec<(PathBuf, i64)>,
}

impl Unpacker {
    fn entry(&mut self, entry: &mut Entry<'_, impl Read>) -> io::Result<()> {
        let path = plain(&PathBuf::from(OsStr::from_bytes(&entry.path_bytes())))?;
        let Some(name) = path.file_name() else {
            return Ok(());
        };
        let parent = open_parent(above(&path))?;
        let bytes = name.as_bytes();
        if bytes == b".wh..wh..opq" {
            return sys::set_xattr(&open_folder(above(&path))?, c"user.overlay.opaque", b"y");
        }
        if let Some(deleted) = bytes.strip_prefix(b".wh.") {
            return delete(&parent, OsStr::from_bytes(deleted));
        }
        let kind = entry.header().entry_type();
        if kind != EntryType::Directory {
            clear(&parent, name)?;
        }
        match kind {
            EntryType::Directory => make_folder(&parent, name)?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                write_file(&parent, name, entry)?
            }
            EntryType::Symlink => symlinkat(link_text(entry)?.as_os_str(), &parent, name)?,
            EntryType::Link => return hard_link(entry, &parent, name),
            EntryType::Fifo => mknodat(&parent, name, SFlag::S_IFIFO, Mode::from_bits_truncate(0o600), 0)?,
            EntryType::XGlobalHeader => return Ok(()),
            EntryType::Char | EntryType::Block => return Err(refused("device nodes are not unpacked")),
            other => return Err(refused(&format!("entries of type {other:?} are not unpacked"))),
        }
        self.dress(entry, &parent, name, &path)
    }

    /// Owner first, since changing it takes set-user-id bits away; then permissions, then the time.
    fn dress(
        &mut self,
        entry: &Entry<'_, impl Read>,
        parent: &OwnedFd,
        name: &OsStr,
        path: &Path,
    ) -> io::Result<()> {
        let header = entry.header();
        let id = |id: u64| u16::try_from(id).map_err(|_| refused("it belongs to an id above 65,535"));
        let (uid, gid) = (id(header.uid()?)?, id(header.gid()?)?);
        let (uid, gid) = (Uid::from_raw(uid.into()), Gid::from_raw(gid.into()));
        fchownat(parent, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        let kind = header.entry_type();
        if kind != EntryType::Symlink {
            let mode = Mode::from_bits_truncate(header.mode()? & 0o7777);
            fchmodat(parent, name, mode, FchmodatFlags::FollowSymlink)?;
        }
        let modified = i64::try_from(header.mtime()?).unwrap_or(0);
        if kind == EntryType::Directory {
            self.folders.push((path.to_owned(), modified));
            return Ok(());
        }
        set_time(parent, name, modified)
    }

    fn finish(self) -> io::Result<()> {
        for (path, modified) in self.folders.into_iter().rev() {
            // A later entry of the same layer may have put something else in its place.
            let (Some(name), Ok(parent)) = (path.file_name(), open_folder(above(&path))) else {
                continue;
            };
            set_time(&parent, name, modified)?;
        }
        Ok(())
    }
}

/// Relative, of plain names only.
fn plain(path: &Path) -> io::Result<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(refused("names with `..` are not unpacked"));
            }
        }
    }
    Ok(clean)
}

/// The folder that holds a relative path; empty for the top.
fn above(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new(""))
}

fn refused(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.to_owned())
}

fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let text = if path.as_os_str().is_empty() {
        OsStr::new(".")
    } else {
        path.as_os_str()
    };
    let resolve = sys::RESOLVE_BENEATH | sys::RESOLVE_NO_SYMLINKS | sys::RESOLVE_NO_MAGICLINKS;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    sys::openat2(AT_FDCWD, &CString::new(text.as_bytes())?, flags, resolve).map_err(|error| {
        if error.raw_os_error() == Some(libc::ELOOP) {
            refused("its folder is reached through a link")
        } else {
            error
        }
    })
}

/// Folders that the archive did not name are made as most archives would.
fn open_parent(path: &Path) -> io::Result<OwnedFd> {
    match open_folder(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let above = open_parent(above(path))?;
            if let Some(name) = path.file_name() {
                mkdirat(&above, name, Mode::from_bits_truncate(0o755))?;
            }
            open_folder(path)
        }
        other => other,
    }
}

/// Takes away what an earlier entry of the same layer left under this name.
fn clear(parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(nix::errno::Errno::ENOENT) => Ok(()),
        Err(nix::errno::Errno::EISDIR) => Ok(unlinkat(parent, name, UnlinkatFlags::RemoveDir)?),
        Err(error) => Err(error.into()),
    }
}

fn make_folder(parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let mode = Mode::from_bits_truncate(0o700);
    match mkdirat(parent, name, mode) {
        Err(nix::errno::Errno::EEXIST) => {}
        other => return Ok(other?),
    }
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    if openat(parent, name, flags, Mode::empty()).is_ok() {
        return Ok(());
    }
    clear(parent, name)?;
    Ok(mkdirat(parent, name, mode)?)
}

fn write_file(parent: &OwnedFd, name: &OsStr, from: &mut impl Read) -> io::Result<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut file = File::from(openat(parent, name, flags, Mode::from_bits_truncate(0o600))?);
    io::copy(from, &mut file)?;
    file.flush()
}

/// What a link says is data, and is only ever followed inside a sandbox.
fn link_text(entry: &Entry<'_, impl Read>) -> io::Result<PathBuf> {
    let text = entry
        .link_name_bytes()
        .ok_or_else(|| refused("a link without a target"))?;
    Ok(PathBuf::from(OsStr::from_bytes(&text)))
}

fn hard_link(entry: &Entry<'_, impl Read>, parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let target = plain(&link_text(entry)?)?;
    let Some(old) = target.file_name() else {
        return Err(refused("a link to the root"));
    };
    let folder = open_folder(above(&target))?;
    Ok(linkat(&folder, old, parent, name, AtFlags::empty())?)
}

fn delete(parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    if name.is_empty() || name == "." || name == ".." {
        return Err(refused("a deletion of nothing"));
    }
    clear(parent, name)?;
    Ok(mknodat(parent, name, SFlag::S_IFCHR, Mode::empty(), 0)?)
}

fn set_time(parent: &OwnedFd, name: &OsStr, seconds: i64) -> io::Result<()> {
    let time = TimeSpec::new(seconds, 0);
    Ok(utimensat(
        parent.as_fd(),
        name,
        &time,
        &time,
        UtimensatFlags::NoFollowSymlink,
    )?)
}

/// Reads through and remembers the digest of what went by.
struct Hashing<R> {
    inner: R,
    hash: Sha256,
}

impl<R> Hashing<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
        }
    }

    fn hex(self) -> String {
        format!("sha256:{}", hex::encode(self.hash.finalize()))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.hash.update(&buffer[..length]);
        Ok(length)
    }
}
