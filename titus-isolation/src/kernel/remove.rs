//! Removes a tree that a hostile program wrote.
//!
//! Nothing is followed, and no depth is trusted: a folder inside the tree is moved up to the top before it is
//! emptied, so one open folder and no recursion serve a tree of any depth.

use std::ffi::CStr;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

const OPEN: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

pub(super) fn tree(path: &Path) -> io::Result<()> {
    let mut top = Dir::open(path, OPEN, Mode::empty())?;
    let mut moved = 0_u64;
    loop {
        let mut left = false;
        for name in names(&mut top)? {
            left |= remove_or_flatten(&top, &name, &mut moved)?;
        }
        if !left {
            break;
        }
    }
    std::fs::remove_dir(path)
}

/// Removes one entry of `top`. A folder that is not empty has its own entries removed or moved to the top instead;
/// `true` when that has put new entries there.
fn remove_or_flatten(top: &Dir, name: &CStr, moved: &mut u64) -> io::Result<bool> {
    match unlinkat(top, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => return Ok(false),
        Err(Errno::EISDIR | Errno::EPERM) => {}
        Err(error) => return Err(error.into()),
    }
    let mut folder = Dir::openat(top, name, OPEN, Mode::empty())?;
    let mut left = false;
    for inner in names(&mut folder)? {
        if is_dir(&folder, &inner)? && unlinkat(&folder, inner.as_c_str(), UnlinkatFlags::RemoveDir).is_err()
        {
            let to = format!(".titus-removing-{moved}");
            *moved += 1;
            renameat(&folder, inner.as_c_str(), top, to.as_str())?;
            left = true;
        } else {
            match unlinkat(&folder, inner.as_c_str(), UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    unlinkat(top, name, UnlinkatFlags::RemoveDir)?;
    Ok(left)
}

fn names(dir: &mut Dir) -> io::Result<Vec<std::ffi::CString>> {
    let mut names = Vec::new();
    for entry in dir.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_bytes() != b"." && name.to_bytes() != b".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn is_dir(dir: &impl AsFd, name: &CStr) -> io::Result<bool> {
    let stat: FileStat = fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    Ok(SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_tree_of_any_depth_goes_without_recursion_and_links_are_not_followed() {
        let temp = tempfile::tempdir().expect("a folder");
        let victim = temp.path().join("victim");
        fs::create_dir(&victim).expect("made");
        fs::write(victim.join("kept"), "x").expect("written");
        let top = temp.path().join("top");
        fs::create_dir(&top).expect("made");
        symlink(&victim, top.join("link")).expect("linked");
        let mut at = Dir::open(&top, OPEN, Mode::empty()).expect("opened");
        for _ in 0..5_000 {
            nix::sys::stat::mkdirat(&at, "d", Mode::S_IRWXU).expect("made");
            nix::unistd::symlinkat(victim.as_os_str(), &at, "l").expect("linked");
            at = Dir::openat(&at, "d", OPEN, Mode::empty()).expect("opened");
        }
        tree(&top).expect("removed");
        assert!(!top.exists());
        assert!(victim.join("kept").exists());
    }
}
