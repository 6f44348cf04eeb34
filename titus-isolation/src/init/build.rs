//! The init's first part: from a fresh clone to a sandbox that waits at its gate.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Component, Path};

use nix::fcntl::AT_FDCWD;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, mkdirat, mknod, umask};
use nix::unistd::{Gid, Uid, pivot_root, setgroups, sethostname, setresgid, setresuid};

use super::logs::Logs;
use super::{Launch, Step, StepError, gate, leave};
use crate::plan::{DeviceNode, MountStep, SandboxPlan};
use crate::sys;

/// What the launcher opened with the host's rights.
pub(super) struct Inherited {
    pub(super) gate: UnixListener,
    pub(super) run: OwnedFd,
    pub(super) logs: OwnedFd,
    pub(super) trees: Vec<OwnedFd>,
}

pub(super) fn main(launch: &Launch, inherited: Inherited, mut launcher: UnixStream) -> ! {
    let mut go = [0];
    if launcher.read_exact(&mut go).is_err() {
        leave(1);
    }
    let Inherited {
        gate,
        run,
        logs,
        trees,
    } = inherited;
    let built = build(&launch.plan, &trees).and_then(|()| {
        let logs = Logs::open(logs, &launch.plan.logs).step(|| "open the log files".to_owned())?;
        Ok((gate::listen().step(|| "listen for signals".to_owned())?, logs))
    });
    match built {
        Ok((signals, logs)) => {
            drop(trees);
            let _launcher_is_gone = launcher.write_all(b"+");
            drop(launcher);
            gate::main(launch, gate, signals, run, logs)
        }
        Err(error) => {
            let _launcher_is_gone = launcher
                .write_all(b"-")
                .map(|()| super::answer(&mut launcher, &error));
            leave(1)
        }
    }
}

fn build(plan: &SandboxPlan, trees: &[OwnedFd]) -> Result<(), StepError> {
    become_root_inside().step(|| "become root inside".to_owned())?;
    hide(plan).step(|| "hide from tracing".to_owned())?;
    // Permissions below are what they say; the command gets a umask of its own.
    umask(Mode::empty());
    unshare(CloneFlags::CLONE_NEWCGROUP).step(|| "make a cgroup namespace".to_owned())?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .step(|| "make mounts private".to_owned())?;
    for step in &plan.mounts {
        carry_out(step, trees).step(|| step.to_string())?;
    }
    change_root().step(|| "change the root".to_owned())?;
    sethostname(&plan.hostname).step(|| "set the host name".to_owned())?;
    make_cwd(&plan.process.cwd).step(|| format!("make {}", plan.process.cwd.display()))
}

fn hide(plan: &SandboxPlan) -> io::Result<()> {
    #[cfg(feature = "conformance")]
    if plan.process.traceable_init {
        return sys::set_traceable(true);
    }
    let _only_tests_ask = plan;
    sys::set_traceable(false)
}

fn become_root_inside() -> nix::Result<()> {
    let (user, group) = (Uid::from_raw(0), Gid::from_raw(0));
    setgroups(&[])?;
    setresgid(group, group, group)?;
    setresuid(user, user, user)
}

fn carry_out(step: &MountStep, trees: &[OwnedFd]) -> io::Result<()> {
    match step {
        MountStep::Attach { tree, target } => {
            sys::move_mount(&trees[*tree], AT_FDCWD, &sys::c_string(target)?)
        }
        MountStep::Overlay {
            lower,
            target,
            one_by_one: true,
        } => overlay_one_by_one(lower, target),
        MountStep::Overlay {
            lower,
            target,
            one_by_one: false,
        } => overlay_list(lower, target),
        MountStep::Fresh {
            kind,
            target,
            data,
            writable,
        } => fresh(kind, target, data, *writable),
        MountStep::Device(node) => device(*node),
        MountStep::Dir { path, mode } => {
            Ok(mkdirat(AT_FDCWD, path.as_str(), Mode::from_bits_truncate(*mode))?)
        }
        MountStep::File { path, text } => write_file(path, text),
        MountStep::Link { path, to } => std::os::unix::fs::symlink(to, path),
        MountStep::Whiteout(path) => Ok(mknod(path.as_str(), SFlag::S_IFCHR, Mode::empty(), 0)?),
        MountStep::Mask(path) => mask(path),
        MountStep::ReadOnly(path) => read_only(path),
        MountStep::Volume { tree, target } => volume(&trees[*tree], target),
    }
}

fn overlay_list(lower: &[String], target: &str) -> io::Result<()> {
    let options = format!(
        "lowerdir={},upperdir=upper,workdir=work,userxattr",
        lower.join(":")
    );
    if options.len() >= 4_096 {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    }
    Ok(mount(
        Some("overlay"),
        target,
        Some("overlay"),
        MsFlags::empty(),
        Some(options.as_str()),
    )?)
}

fn overlay_one_by_one(lower: &[String], target: &str) -> io::Result<()> {
    let overlay = sys::NewMount::of(c"overlay")?;
    lower
        .iter()
        .try_for_each(|layer| overlay.set("lowerdir+", layer))?;
    overlay.set("upperdir", "upper")?;
    overlay.set("workdir", "work")?;
    overlay.flag("userxattr")?;
    sys::move_mount(overlay.mount(0)?, AT_FDCWD, &sys::c_string(target)?)
}

fn fresh(kind: &str, target: &str, data: &str, writable: bool) -> io::Result<()> {
    let mut flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    flags.set(MsFlags::MS_RDONLY, !writable);
    let data = (!data.is_empty()).then_some(data);
    Ok(mount(Some(kind), target, Some(kind), flags, data)?)
}

fn bind(source: &str, target: &str) -> io::Result<()> {
    let none = None::<&str>;
    Ok(mount(Some(source), target, none, MsFlags::MS_BIND, none)?)
}

fn device(node: DeviceNode) -> io::Result<()> {
    let target = format!("mounts/root/dev/{}", node.name());
    fs::File::create_new(&target)?;
    bind(&format!("/dev/{}", node.name()), &target)
}

fn write_file(path: &str, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)?;
    file.write_all(text.as_bytes())
}

/// A file shows as `/dev/null`, a folder as an empty one.
fn mask(path: &str) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => {
            bind("mounts/empty", path)?;
            harden(path)
        }
        Ok(found) if found.is_file() => bind("/dev/null", path),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn read_only(path: &str) -> io::Result<()> {
    match bind(path, path) {
        Ok(()) => harden(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn harden(path: &str) -> io::Result<()> {
    let attributes = sys::RDONLY | sys::NOSUID | sys::NODEV | sys::NOEXEC;
    sys::mount_setattr(AT_FDCWD, &sys::c_string(path)?, attributes, None)
}

/// Mounts on `target` inside the new root. Each part is opened without following links, or made.
fn volume(tree: &OwnedFd, target: &Path) -> io::Result<()> {
    let is_dir = fs::metadata(format!("/proc/self/fd/{}", tree.as_raw_fd()))?.is_dir();
    let resolve = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_SYMLINKS | sys::RESOLVE_NO_MAGICLINKS;
    let mut at = sys::openat2(
        AT_FDCWD,
        c"mounts/root",
        libc::O_PATH | libc::O_DIRECTORY,
        resolve,
    )?;
    let mut names = target.components().filter_map(|c| match c {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    let mut next = names.next();
    while let Some(name) = next {
        next = names.next();
        let folder = is_dir || next.is_some();
        let name = std::ffi::CString::new(name.as_bytes())?;
        let made = if folder {
            mkdirat(&at, name.as_c_str(), Mode::from_bits_truncate(0o755)).map_err(io::Error::from)
        } else {
            let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY;
            nix::fcntl::openat(
                &at,
                name.as_c_str(),
                nix::fcntl::OFlag::from_bits_truncate(flags),
                Mode::from_bits_truncate(0o644),
            )
            .map(drop)
            .map_err(io::Error::from)
        };
        made.or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(()),
            _ => Err(error),
        })?;
        let flags = libc::O_PATH | if folder { libc::O_DIRECTORY } else { 0 };
        at = sys::openat2(at.as_fd(), &name, flags, resolve)?;
    }
    sys::move_mount(tree, at, c"")
}

/// The old root is put over the new one and taken off again, with everything that was mounted on it.
fn change_root() -> io::Result<()> {
    std::env::set_current_dir("mounts/root")?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    std::env::set_current_dir("/")
}

fn make_cwd(cwd: &Path) -> io::Result<()> {
    match fs::create_dir_all(cwd) {
        // It may be on a read-only volume or behind a link to nowhere: the command then reports it.
        Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => Err(error),
        _ => Ok(()),
    }
}
