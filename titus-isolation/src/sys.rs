//! System calls that no crate here wraps. Each function is the call and nothing else.
#![allow(
    unsafe_code,
    reason = "raw system calls without a safe wrapper; each block says why it is sound"
)]

use std::ffi::{CStr, CString};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use tokio::io::unix::AsyncFd;

/// Opens and clones flags of the mount calls, from the kernel's headers.
const OPEN_TREE_CLONE: u32 = 1;
const MOVE_MOUNT_F_EMPTY_PATH: u32 = 0x4;
const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;
const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

/// Mount attributes, to be combined.
pub(crate) const RDONLY: u64 = 1;
pub(crate) const NOSUID: u64 = 2;
pub(crate) const NODEV: u64 = 4;
pub(crate) const NOEXEC: u64 = 8;

const FSCONFIG_SET_FLAG: u32 = 0;
const FSCONFIG_SET_STRING: u32 = 1;
const FSCONFIG_CMD_CREATE: u32 = 6;

pub(crate) const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
pub(crate) const RESOLVE_NO_SYMLINKS: u64 = 0x04;
pub(crate) const RESOLVE_BENEATH: u64 = 0x08;
pub(crate) const RESOLVE_IN_ROOT: u64 = 0x10;

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn fd(result: libc::c_long) -> io::Result<OwnedFd> {
    let raw = RawFd::try_from(check(result)?).map_err(io::Error::other)?;
    // SAFETY: the call that `result` comes from has just opened this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// The child's side of [`clone3`], or the child's pid as the caller sees it.
pub(crate) enum Forked {
    Parent(i32),
    Child,
}

#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Forks with new namespaces, into a cgroup if one is given. Only for a process with one thread.
pub(crate) fn clone3(flags: u64, cgroup: Option<&OwnedFd>) -> io::Result<Forked> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut args = CloneArgs {
        flags,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(group) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(group.as_raw_fd()).map_err(io::Error::other)?;
    }
    // SAFETY: `args` is the kernel's struct and lives through the call; without CLONE_VM the child runs on a copy of
    // this single-threaded process, so nothing is shared and no lock can be held by another thread.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) })?;
    Ok(match i32::try_from(pid).map_err(io::Error::other)? {
        0 => Forked::Child,
        pid => Forked::Parent(pid),
    })
}

/// A detached copy of the mount at `path`, without the mounts on it.
pub(crate) fn open_tree(dir: impl AsFd, path: &CStr) -> io::Result<OwnedFd> {
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as u32 | libc::AT_EMPTY_PATH as u32;
    // SAFETY: the path is a C string that lives through the call.
    fd(unsafe { libc::syscall(libc::SYS_open_tree, dir.as_fd().as_raw_fd(), path.as_ptr(), flags) })
}

/// Mounts a detached tree on `target`, which may be empty to mean the directory itself.
pub(crate) fn move_mount(tree: impl AsFd, dir: impl AsFd, target: &CStr) -> io::Result<()> {
    let mut flags = MOVE_MOUNT_F_EMPTY_PATH;
    if target.is_empty() {
        flags |= MOVE_MOUNT_T_EMPTY_PATH;
    }
    let (tree, dir) = (tree.as_fd().as_raw_fd(), dir.as_fd().as_raw_fd());
    // SAFETY: both paths are C strings that live through the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree,
            c"".as_ptr(),
            dir,
            target.as_ptr(),
            flags,
        )
    };
    check(result).map(drop)
}

#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Adds attributes to the mount that `path` is the root of; with `ids`, its files appear through that namespace's map.
pub(crate) fn mount_setattr(
    dir: impl AsFd,
    path: &CStr,
    attributes: u64,
    ids: Option<&OwnedFd>,
) -> io::Result<()> {
    let mut attr = MountAttr {
        attr_set: attributes,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    if let Some(ids) = ids {
        attr.attr_set |= MOUNT_ATTR_IDMAP;
        attr.userns_fd = u64::try_from(ids.as_raw_fd()).map_err(io::Error::other)?;
    }
    let flags = if path.is_empty() { libc::AT_EMPTY_PATH } else { 0 };
    let dir = dir.as_fd().as_raw_fd();
    // SAFETY: path and struct live through the call, and the size passed is the struct's.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir,
            path.as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    check(result).map(drop)
}

/// A file system being configured.
pub(crate) struct NewMount(OwnedFd);

impl NewMount {
    pub(crate) fn of(kind: &CStr) -> io::Result<Self> {
        const FSOPEN_CLOEXEC: u32 = 1;
        // SAFETY: the name is a C string that lives through the call.
        fd(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) }).map(Self)
    }

    pub(crate) fn set(&self, key: &str, value: &str) -> io::Result<()> {
        let (key, value) = (c_string(key)?, c_string(value)?);
        self.config(FSCONFIG_SET_STRING, Some(&key), Some(&value))
    }

    pub(crate) fn flag(&self, key: &str) -> io::Result<()> {
        self.config(FSCONFIG_SET_FLAG, Some(&c_string(key)?), None)
    }

    /// Creates the file system and a detached mount of it.
    pub(crate) fn mount(self, attributes: u64) -> io::Result<OwnedFd> {
        const FSMOUNT_CLOEXEC: u32 = 1;
        self.config(FSCONFIG_CMD_CREATE, None, None)?;
        // SAFETY: no pointers are passed.
        fd(unsafe { libc::syscall(libc::SYS_fsmount, self.0.as_raw_fd(), FSMOUNT_CLOEXEC, attributes) })
    }

    fn config(&self, command: u32, key: Option<&CStr>, value: Option<&CStr>) -> io::Result<()> {
        let key = key.map_or(std::ptr::null(), CStr::as_ptr);
        let value = value.map_or(std::ptr::null(), CStr::as_ptr);
        // SAFETY: both are null or C strings that live through the call.
        let result = unsafe { libc::syscall(libc::SYS_fsconfig, self.0.as_raw_fd(), command, key, value, 0) };
        check(result).map(drop)
    }
}

/// Opens a path under the given rules of resolution.
pub(crate) fn openat2(dir: impl AsFd, path: &CStr, flags: i32, resolve: u64) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct OpenHow {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    let flags = u64::try_from(flags | libc::O_CLOEXEC).map_err(io::Error::other)?;
    let how = OpenHow {
        flags,
        mode: 0,
        resolve,
    };
    let dir = dir.as_fd().as_raw_fd();
    // SAFETY: path and struct live through the call, and the size passed is the struct's.
    fd(unsafe {
        libc::syscall(
            libc::SYS_openat2,
            dir,
            path.as_ptr(),
            &raw const how,
            size_of::<OpenHow>(),
        )
    })
}

/// A descriptor that stands for a process and becomes readable when it ends.
pub(crate) fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    fd(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// Sends a signal as kill(2) would, to exactly that process.
pub(crate) fn pidfd_send_signal(process: &OwnedFd, signal: i32) -> io::Result<()> {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo asks for the default one.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, info, 0) })
        .map(drop)
}

/// Reaps a process if it is a dead child of this one; any other is left to its own parent.
pub(crate) fn reap(process: &OwnedFd) {
    const P_PIDFD: libc::idtype_t = 3;
    let Ok(id) = libc::id_t::try_from(process.as_raw_fd()) else {
        return;
    };
    // SAFETY: a zeroed siginfo_t is a valid one, and it lives through the call.
    let _not_our_child_is_fine = unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        libc::waitid(P_PIDFD, id, &raw mut info, libc::WEXITED | libc::WNOHANG)
    };
}

/// Registers a process with the async runtime, to be told when it ends.
pub(crate) fn watch(process: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor answers the same number for as long as it lives, and closes only with the AsyncFd.
    unsafe { AsyncFd::register(process) }.map_err(io::Error::from)
}

/// Closes every descriptor from `first` on.
pub(crate) fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: the callers own no value that stands for one of these descriptors: they are what was inherited.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) }).map(drop)
}

/// Marks every descriptor from `first` on to be closed by exec.
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    // SAFETY: no descriptor is closed by this.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// Takes over a standard descriptor that this process was started with.
pub(crate) fn take_inherited(raw: RawFd) -> OwnedFd {
    // SAFETY: called once, at the start of a helper process whose descriptors nobody else owns.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

/// Whether processes of the same user may trace this one and look at its descriptors and memory.
pub(crate) fn set_traceable(traceable: bool) -> io::Result<()> {
    let dumpable = libc::c_ulong::from(traceable);
    // SAFETY: plain integers.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, dumpable, 0, 0, 0) }.into()).map(drop)
}

/// Whatever this executes can gain no privilege from the file it executes.
pub(crate) fn no_new_privileges() -> io::Result<()> {
    // SAFETY: plain integers.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into()).map(drop)
}

/// Takes capabilities that only later kernels have out of the bounding set.
pub(crate) fn drop_capabilities_newer_than_known() {
    const FIRST_UNKNOWN: libc::c_ulong = 41;
    for number in FIRST_UNKNOWN..64 {
        // SAFETY: plain integers; a number that this kernel does not know is refused and changes nothing.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) };
    }
}

/// Scheduling niceness of the caller.
pub(crate) fn set_nice(nice: i32) -> io::Result<()> {
    // SAFETY: plain integers.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) }.into()).map(drop)
}

/// Gives every signal its default action, also those that the C library keeps for itself and would refuse to set.
pub(crate) fn default_signals() {
    // The kernel's struct: handler (null is the default action), flags, restorer, mask.
    let default = [0_u64; 4];
    for signal in 1..=64 {
        let (new, old) = (default.as_ptr(), std::ptr::null_mut::<u64>());
        // SAFETY: 32 zero bytes are a valid kernel sigaction on 64-bit machines; signals that cannot be set stay.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, new, old, size_of::<u64>()) };
    }
}

/// Forks this single-threaded process.
pub(crate) fn fork() -> io::Result<Forked> {
    // SAFETY: called only in a process with one thread, so the child's copy is whole.
    let pid = check(unsafe { libc::fork() }.into())?;
    Ok(if pid == 0 {
        Forked::Child
    } else {
        Forked::Parent(i32::try_from(pid).map_err(io::Error::other)?)
    })
}

/// A descriptor that delivers the given signals, which are blocked from now on.
pub(crate) fn signal_fd(signals: impl Iterator<Item = i32>) -> io::Result<OwnedFd> {
    // SAFETY: a zeroed sigset_t is valid memory for sigemptyset to fill, and it lives through all the calls.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, signal);
        }
        check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()).into())?;
        fd(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK).into())
    }
}

/// Unblocks every signal.
pub(crate) fn unblock_signals() -> io::Result<()> {
    // SAFETY: as in `signal_fd`.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        check(libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()).into()).map(drop)
    }
}

/// The next signal of a [`signal_fd`]: number, and whether it came from outside this pid namespace by kill(2).
pub(crate) fn next_signal(signals: &OwnedFd) -> Option<(i32, bool)> {
    // SAFETY: a zeroed signalfd_siginfo is a valid one; read(2) writes at most its size into it.
    let (read, info) = unsafe {
        let mut info: libc::signalfd_siginfo = std::mem::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        (
            libc::read(signals.as_raw_fd(), (&raw mut info).cast(), size),
            info,
        )
    };
    if read <= 0 {
        return None;
    }
    let outside = info.ssi_pid == 0 && info.ssi_code == libc::SI_USER;
    Some((i32::try_from(info.ssi_signo).ok()?, outside))
}

/// Executes a program; answers only when that failed.
pub(crate) fn execve(program: &CStr, args: &[CString], env: &[CString]) -> io::Error {
    let pointers = |list: &[CString]| {
        list.iter()
            .map(|s| s.as_ptr())
            .chain([std::ptr::null()])
            .collect::<Vec<_>>()
    };
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: both lists end with null and point to C strings that live through the call.
    unsafe { libc::execve(program.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// Sets one per-process limit of the caller.
pub(crate) fn set_rlimit(resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: the struct lives through the call.
    check(unsafe { libc::setrlimit(resource, &raw const limit) }.into()).map(drop)
}

/// Hands memory that the allocator holds but nobody uses back to the kernel.
pub(crate) fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: plain integer; it only releases free memory.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Writes everything of the file system that holds a folder to its disk.
#[cfg(feature = "image")]
pub(crate) fn sync_file_system(folder: &std::path::Path) -> io::Result<()> {
    let folder = std::fs::File::open(folder)?;
    // SAFETY: plain integer.
    check(unsafe { libc::syncfs(folder.as_raw_fd()) }.into()).map(drop)
}

/// Sets an extended attribute of an open file.
#[cfg(feature = "image")]
pub(crate) fn set_xattr(file: &OwnedFd, name: &CStr, value: &[u8]) -> io::Result<()> {
    // SAFETY: name and value live through the call, and the length is the value's.
    let result = unsafe {
        libc::fsetxattr(
            file.as_raw_fd(),
            name.as_ptr(),
            value.as_ptr().cast(),
            value.len(),
            0,
        )
    };
    check(result.into()).map(drop)
}

pub(crate) fn c_string(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a zero byte in a string"))
}
