//! The launcher: the only one of the three that has the host's rights, and the shortest lived.

use std::ffi::CString;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::fcntl::AT_FDCWD;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::build::{self, Inherited};
use super::{
    Built, GATE, Launch, PID_FILE, RUN, Request, Step, StepError, answer, leave, read_answer, receive,
};
use crate::cgroup::Join;
use crate::plan::{SandboxPlan, Tree};
use crate::spec::IdRange;
use crate::sys::{self, Forked};

/// Every kind of namespace but cgroup and time. The init makes its cgroup namespace itself, once it is in its group.
const NAMESPACES: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS;

/// The init is a small process among many of the same group: with this it always gets its turn, so that a
/// sandbox that starves itself is still heard and killed.
const NICE: i32 = -10;

pub(super) fn main() -> ! {
    let mut control = UnixStream::from(sys::take_inherited(0));
    let _new_session = nix::unistd::setsid();
    let _inherited_by_mistake = sys::close_from(3);
    let Ok(request) = receive(&mut control).and_then(|r| Ok(serde_json::from_slice(&r)?)) else {
        leave(1)
    };
    let _runtime_is_gone = match request {
        Request::Launch(plan) => {
            let filters = [
                receive(&mut control),
                receive(&mut control),
                receive(&mut control),
            ];
            let [Ok(clone3), Ok(arguments), Ok(list)] = filters else {
                leave(1)
            };
            let launch = Launch {
                plan,
                filters: [clone3, arguments, list],
            };
            answer(
                &mut control,
                &clone_init(&launch).map_or_else(Built::Failed, Built::Ready),
            )
        }
        Request::ProbeIdMap(folder) => answer(&mut control, &probe_id_map(&folder)),
        #[cfg(feature = "image")]
        Request::Unpack(unpack) => {
            let layer = fs::File::from(sys::take_inherited(1));
            answer(&mut control, &crate::image::unpack::run(&unpack, layer))
        }
    };
    leave(0)
}

fn clone_init(launch: &Launch) -> Result<i32, StepError> {
    let plan = &launch.plan;
    std::env::set_current_dir(&plan.base).step(|| "enter the sandbox's folder".to_owned())?;
    let inherited = open_all(plan)?;
    join_groups(&plan.join)?;
    let _kernel_default_is_fine = sys::set_nice(NICE);
    fs::write("/proc/self/oom_score_adj", plan.process.oom_score_adj.to_string())
        .step(|| "raise oom_score_adj".to_owned())?;
    let (mut ours, theirs) = UnixStream::pair().step(|| "make a socket pair".to_owned())?;
    let group = match &plan.join {
        Join::CloneInto(group) => Some(open_dir(group)?),
        Join::Write(_) => None,
    };
    let flags = u64::try_from(NAMESPACES).expect("clone flags are positive");
    let namespaces = || "clone into new user, mount, pid, net, ipc and uts namespaces".to_owned();
    match sys::clone3(flags, group.as_ref()).step(namespaces)? {
        Forked::Child => {
            drop(ours);
            // The runtime reads the launcher's answer to its end, so the init must not hold the other side open.
            forget_standard_streams().step(|| "open /dev/null".to_owned())?;
            build::main(launch, inherited, theirs)
        }
        Forked::Parent(pid) => {
            drop(theirs);
            complete(plan, &inherited.trees, pid, &mut ours).inspect_err(|_| {
                let _gone_is_fine = kill(Pid::from_raw(pid), Signal::SIGKILL);
            })?;
            Ok(pid)
        }
    }
}

fn forget_standard_streams() -> std::io::Result<()> {
    let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    Ok(nix::unistd::dup2_stderr(&null)?)
}

/// What only the host's root can do for an init that exists, then the word that it may go on.
fn complete(plan: &SandboxPlan, trees: &[OwnedFd], pid: i32, init: &mut UnixStream) -> Result<(), StepError> {
    write_id_maps(pid, plan.ids)?;
    for (tree, fd) in plan.trees.iter().zip(trees) {
        if let Tree::Layers(path) = tree {
            map_ids_of(fd, pid).step(|| format!("map the ids of {}", path.display()))?;
        }
    }
    write_pid_file(pid)?;
    init.write_all(b"+")
        .step(|| "tell the init to go on".to_owned())?;
    let mut first = [0];
    match init.read(&mut first) {
        Ok(1) if first == *b"+" => Ok(()),
        Ok(1) => Err(read_answer(init).step(|| "read what the init met".to_owned())?),
        _ => Err(StepError {
            step: "build the sandbox: its init died".to_owned(),
            errno: libc::ECHILD,
        }),
    }
}

fn write_id_maps(pid: i32, ids: IdRange) -> Result<(), StepError> {
    let map = format!("0 {} {}\n", ids.start(), IdRange::SIZE);
    ["uid_map", "gid_map"]
        .into_iter()
        .try_for_each(|file| fs::write(format!("/proc/{pid}/{file}"), &map).step(|| format!("write {file}")))
}

/// Shows a tree's files as the user namespace of that process has them.
fn map_ids_of(tree: &OwnedFd, pid: i32) -> std::io::Result<()> {
    let ids = OwnedFd::from(fs::File::open(format!("/proc/{pid}/ns/user"))?);
    sys::mount_setattr(tree, c"", FOREIGN, Some(&ids))
}

/// Tries on a child that does nothing but wait for its end.
fn probe_id_map(folder: &Path) -> Result<(), StepError> {
    let path = CString::new(folder.as_os_str().as_bytes()).map_err(std::io::Error::from);
    let tree = path
        .and_then(|path| sys::open_tree(AT_FDCWD, &path))
        .step(|| "open the folder".to_owned())?;
    let (ours, mut theirs) = UnixStream::pair().step(|| "make a socket pair".to_owned())?;
    let flags = u64::try_from(libc::CLONE_NEWUSER).expect("clone flags are positive");
    match sys::clone3(flags, None).step(|| "clone into a new user namespace".to_owned())? {
        Forked::Child => {
            drop(ours);
            let _until_the_launcher_is_done = theirs.read(&mut [0]);
            leave(0)
        }
        Forked::Parent(pid) => {
            drop(theirs);
            write_id_maps(pid, IdRange::FIRST)?;
            map_ids_of(&tree, pid).step(|| "map ids".to_owned())
        }
    }
}

/// The pid and the time the process began, which together name it for ever: `PID STARTTIME`.
fn write_pid_file(pid: i32) -> Result<(), StepError> {
    let step = || "write the pid file".to_owned();
    let began = crate::process::start_time(pid).step(step)?;
    fs::write(PID_FILE, format!("{pid} {began}\n")).step(step)
}

fn open_all(plan: &SandboxPlan) -> Result<Inherited, StepError> {
    Ok(Inherited {
        gate: UnixListener::bind(GATE).step(|| "bind the gate".to_owned())?,
        run: open_dir(Path::new(RUN))?,
        logs: open_dir(&plan.logs.dir)?,
        trees: plan.trees.iter().map(open_tree).collect::<Result<_, _>>()?,
    })
}

fn open_dir(path: &Path) -> Result<OwnedFd, StepError> {
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path);
    file.map(OwnedFd::from)
        .step(|| format!("open {}", path.display()))
}

fn join_groups(join: &Join) -> Result<(), StepError> {
    let Join::Write(files) = join else { return Ok(()) };
    files
        .iter()
        .try_for_each(|file| fs::write(file, "0").step(|| format!("join {}", file.display())))
}

/// The attributes of everything of the host that a sandbox sees.
const FOREIGN: u64 = sys::RDONLY | sys::NOSUID | sys::NODEV;

fn open_tree(tree: &Tree) -> Result<OwnedFd, StepError> {
    let path = |path: &Path| CString::new(path.as_os_str().as_bytes());
    let step = || format!("open {tree}");
    let opened = match tree {
        Tree::HostRoot => sys::open_tree(AT_FDCWD, c"/").step(step)?,
        // Its attributes come with its id map.
        Tree::Layers(layers) => {
            return sys::open_tree(AT_FDCWD, &path(layers).map_err(std::io::Error::from).step(step)?)
                .step(step);
        }
        Tree::Volume(volume) => {
            let root = open_dir(&volume.root)?;
            let source = path(&volume.source).map_err(std::io::Error::from).step(step)?;
            let resolve = sys::RESOLVE_BENEATH | sys::RESOLVE_NO_SYMLINKS | sys::RESOLVE_NO_MAGICLINKS;
            let source = sys::openat2(root.as_fd(), &source, libc::O_PATH, resolve).step(step)?;
            sys::open_tree(source, c"").step(step)?
        }
    };
    sys::mount_setattr(&opened, c"", FOREIGN, None).step(step)?;
    Ok(opened)
}
