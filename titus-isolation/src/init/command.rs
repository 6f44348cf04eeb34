//! The command's process, from fork to exec. Whatever fails here fails the start; nothing runs half-held.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use caps::{CapSet, Capability, CapsHashSet};
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{
    Gid, Pid, Uid, dup2_stderr, dup2_stdin, dup2_stdout, pipe2, setgroups, setresgid, setresuid, setsid,
};

use super::logs::Logs;
use super::{Launch, install, leave};
use crate::plan::ProcessPlan;
use crate::runtime::ExecFailure;
use crate::sys::{self, Forked};

pub(super) enum Start {
    Running(Pid),
    Failed(ExecFailure),
}

/// Forks the command and answers once it has been executed or has failed to be.
pub(super) fn start(launch: &Launch, logs: &mut Logs) -> Start {
    let outputs = logs.streams.each_mut().map(|stream| stream.to.take());
    match fork_command(launch, outputs) {
        Ok(start) => start,
        Err(error) => Start::Failed(failure(126, format!("cannot fork the command: {error}"))),
    }
}

fn fork_command(launch: &Launch, outputs: [Option<OwnedFd>; 2]) -> io::Result<Start> {
    let (mut told, tell) = pipe2(OFlag::O_CLOEXEC).map(|(r, w)| (File::from(r), File::from(w)))?;
    match sys::fork()? {
        Forked::Child => {
            drop(told);
            run(launch, &outputs, tell)
        }
        Forked::Parent(pid) => {
            drop((tell, outputs));
            keep_only_kill()?;
            let mut text = Vec::new();
            told.read_to_end(&mut text)?;
            if text.is_empty() {
                sys::trim_memory();
                return Ok(Start::Running(Pid::from_raw(pid)));
            }
            Ok(Start::Failed(serde_json::from_slice(&text)?))
        }
    }
}

fn failure(code: i32, message: String) -> ExecFailure {
    ExecFailure { code, message }
}

fn run(launch: &Launch, outputs: &[Option<OwnedFd>; 2], mut tell: File) -> ! {
    let process = &launch.plan.process;
    let failed = match prepare(launch, outputs) {
        Ok(()) => exec(process),
        Err((step, error)) => failure(126, format!("cannot {step}: {error}")),
    };
    let _nobody_listens = serde_json::to_vec(&failed).map(|text| tell.write_all(&text));
    leave(failed.code)
}

type Failed = (String, io::Error);

fn prepare(launch: &Launch, outputs: &[Option<OwnedFd>; 2]) -> Result<(), Failed> {
    let process = &launch.plan.process;
    let step = |name: &str| {
        let name = name.to_owned();
        move |error: io::Error| (name, error)
    };
    sys::default_signals();
    sys::unblock_signals().map_err(step("unblock signals"))?;
    setsid().map_err(|e| step("begin a session")(e.into()))?;
    umask(Mode::from_bits_truncate(0o022));
    sys::set_nice(0).map_err(step("set the nice value"))?;
    for limit in &process.rlimits {
        let resource = resource(&limit.name).unwrap_or(u32::MAX);
        sys::set_rlimit(resource, limit.soft, limit.hard).map_err(step(&format!(
            "set rlimit {} to {}:{}",
            limit.name, limit.soft, limit.hard
        )))?;
    }
    let account = super::account::find(&process.user).map_err(|problem| {
        (
            format!("run as user `{}`", process.user.user),
            io::Error::other(problem),
        )
    })?;
    take_outputs(outputs, account.uid).map_err(step("take standard input and output"))?;
    harden(process, &account).map_err(step("drop privileges"))?;
    std::env::set_current_dir(&process.cwd).map_err(step(&format!("change to {}", process.cwd.display())))?;
    sys::close_on_exec_from(3).map_err(step("close descriptors"))?;
    filter(launch).map_err(step("install the seccomp filters"))
}

/// The pipes belong to the user, so that `/dev/stdout` can be opened too.
fn take_outputs(outputs: &[Option<OwnedFd>; 2], uid: u32) -> io::Result<()> {
    dup2_stdin(File::open("/dev/null")?)?;
    let missing = || io::Error::from(io::ErrorKind::NotConnected);
    let [out, err] = outputs;
    let (out, err) = (
        out.as_ref().ok_or_else(missing)?,
        err.as_ref().ok_or_else(missing)?,
    );
    for pipe in [out, err] {
        nix::unistd::fchown(pipe, Some(Uid::from_raw(uid)), None)?;
    }
    dup2_stdout(out)?;
    Ok(dup2_stderr(err)?)
}

/// The bounding set goes first, while there is a right to shrink it; a user other than root loses all in setresuid.
fn harden(process: &ProcessPlan, account: &super::account::Account) -> io::Result<()> {
    let kept: CapsHashSet = caps::all()
        .into_iter()
        .filter(|c| process.capabilities.bits() & c.bitmask() != 0)
        .collect();
    for capability in caps::runtime::thread_all_supported()
        .into_iter()
        .filter(|c| !kept.contains(c))
    {
        caps::drop(None, CapSet::Bounding, capability).map_err(io::Error::other)?;
    }
    sys::drop_capabilities_newer_than_known();
    let groups: Vec<_> = account.groups.iter().map(|g| Gid::from_raw(*g)).collect();
    setgroups(&groups)?;
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    let effective = if account.uid == 0 {
        kept
    } else {
        CapsHashSet::new()
    };
    caps::clear(None, CapSet::Ambient).map_err(io::Error::other)?;
    caps::clear(None, CapSet::Inheritable).map_err(io::Error::other)?;
    caps::set(None, CapSet::Effective, &effective).map_err(io::Error::other)?;
    caps::set(None, CapSet::Permitted, &effective).map_err(io::Error::other)?;
    sys::no_new_privileges()
}

fn filter(launch: &Launch) -> io::Result<()> {
    launch.filters.iter().try_for_each(|filter| install(filter))
}

/// The init needs one right from here on: to kill processes of other users of its sandbox.
fn keep_only_kill() -> io::Result<()> {
    let kill = CapsHashSet::from([Capability::CAP_KILL]);
    caps::set(None, CapSet::Effective, &kill).map_err(io::Error::other)?;
    caps::set(None, CapSet::Permitted, &kill).map_err(io::Error::other)?;
    sys::no_new_privileges()
}

/// Tries the command as it stands if it holds a slash, else in each folder of `PATH`.
fn exec(process: &ProcessPlan) -> ExecFailure {
    let strings = |list: Vec<Vec<u8>>| list.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>();
    let args = strings(process.args.iter().map(|a| a.clone().into_bytes()).collect());
    let env = process
        .env
        .iter()
        .map(|v| format!("{}={}", v.name(), v.expose()).into_bytes());
    let (Ok(args), Ok(env)) = (args, strings(env.collect())) else {
        return failure(126, "an argument or variable holds a zero byte".to_owned());
    };
    let command = process.args[0].as_str();
    let mut seen = io::Error::from_raw_os_error(libc::ENOENT);
    for candidate in candidates(process, command) {
        let Ok(path) = CString::new(candidate.as_os_str().as_bytes()) else {
            continue;
        };
        let error = sys::execve(&path, &args, &env);
        // As a shell does: a file that may not be executed is reported only if no later folder has a better one.
        if !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) || candidate.exists() {
            seen = error;
        }
    }
    explain(command, &seen)
}

fn candidates(process: &ProcessPlan, command: &str) -> Vec<std::path::PathBuf> {
    if command.contains('/') {
        return vec![command.into()];
    }
    let path = process
        .env
        .iter()
        .rev()
        .find(|v| v.name() == "PATH")
        .map_or("", |v| v.expose());
    path.split(':')
        .filter(|p| p.starts_with('/'))
        .map(|p| std::path::Path::new(p).join(command))
        .collect()
}

fn explain(command: &str, error: &io::Error) -> ExecFailure {
    match error.raw_os_error() {
        Some(libc::ENOENT) if command.contains('/') && std::path::Path::new(command).exists() => failure(
            126,
            format!("`{command}` is there, but the interpreter or loader that it names is not in the image"),
        ),
        Some(libc::ENOENT | libc::ENOTDIR) => failure(
            127,
            format!("command `{command}` not found; check its name and that the image holds it"),
        ),
        Some(libc::EACCES) => failure(
            126,
            format!("`{command}` may not be executed by this user; check its permissions"),
        ),
        Some(libc::ENOEXEC) => failure(
            126,
            format!("`{command}` is no program for this machine; check its architecture or its `#!` line"),
        ),
        _ => failure(126, format!("cannot execute `{command}`: {error}")),
    }
}

fn resource(name: &str) -> Option<u32> {
    Some(match name {
        "as" => libc::RLIMIT_AS,
        "core" => libc::RLIMIT_CORE,
        "cpu" => libc::RLIMIT_CPU,
        "data" => libc::RLIMIT_DATA,
        "fsize" => libc::RLIMIT_FSIZE,
        "locks" => libc::RLIMIT_LOCKS,
        "memlock" => libc::RLIMIT_MEMLOCK,
        "msgqueue" => libc::RLIMIT_MSGQUEUE,
        "nice" => libc::RLIMIT_NICE,
        "nofile" => libc::RLIMIT_NOFILE,
        "nproc" => libc::RLIMIT_NPROC,
        "rss" => libc::RLIMIT_RSS,
        "rtprio" => libc::RLIMIT_RTPRIO,
        "sigpending" => libc::RLIMIT_SIGPENDING,
        "stack" => libc::RLIMIT_STACK,
        _ => return None,
    })
}
