//! The least that any launcher must do: clone into a cgroup with seven namespaces, map ids, overlay, change the root,
//! mount proc, execute a static program, and clear up. In a process of its own, since only one thread may do it.
#![allow(
    unsafe_code,
    reason = "clone3 has no safe wrapper; each block says why it is sound"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Gid, Pid, Uid, pivot_root, setgroups, setresgid, setresuid};

use super::Outcome;

/// The whole program `exit(0)`: an ELF header, one loadable segment, three instructions.
pub(crate) fn write_true(rootfs: &Path) -> Outcome<()> {
    let (machine, code): (u16, &[u8]) = if cfg!(target_arch = "aarch64") {
        (
            183,
            &[
                0x00, 0x00, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4,
            ],
        )
    } else {
        (62, &[0x31, 0xff, 0xb8, 0x3c, 0x00, 0x00, 0x00, 0x0f, 0x05])
    };
    let (base, start) = (0x40_0000_u64, 120_u64);
    let size = start + code.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    elf.extend([2, 0]);
    elf.extend(machine.to_le_bytes());
    elf.extend(1_u32.to_le_bytes());
    for word in [base + start, 64, 0] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 64, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend(1_u32.to_le_bytes());
    elf.extend(5_u32.to_le_bytes());
    for word in [0, base, base, size, size, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(code);
    let path = rootfs.join("true");
    fs::write(&path, elf)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    for folder in ["proc", "sys", "dev", "etc", "tmp"] {
        fs::create_dir_all(rootfs.join(folder))?;
    }
    Ok(())
}

/// The asking side: a child of this benchmark, with one thread, launches at its word.
pub(crate) struct Floor {
    child: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
}

impl Floor {
    pub(crate) fn new(rootfs: &Path, folder: &Path) -> Outcome<Self> {
        fs::create_dir_all(folder)?;
        fs::create_dir_all("/sys/fs/cgroup/titus-bench-floor")?;
        let mut child = Command::new("/proc/self/exe")
            .env(
                "TITUS_BENCH_FLOOR",
                format!("{}:{}", rootfs.display(), folder.display()),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (ask, answer) = (child.stdin.take(), child.stdout.take());
        let (Some(ask), Some(answer)) = (ask, answer) else {
            return Err("no pipes".into());
        };
        Ok(Self {
            child,
            ask,
            answer: BufReader::new(answer),
        })
    }

    pub(crate) fn launch(&mut self) -> Outcome<Duration> {
        self.ask.write_all(b"\n")?;
        let mut line = String::new();
        self.answer.read_line(&mut line)?;
        Ok(Duration::from_nanos(line.trim().parse()?))
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
        let _gone = fs::remove_dir("/sys/fs/cgroup/titus-bench-floor");
    }
}

/// The launching side.
pub(crate) fn serve() -> Outcome<()> {
    let told = std::env::var("TITUS_BENCH_FLOOR")?;
    let (rootfs, folder) = told.split_once(':').ok_or("two paths")?;
    for line in std::io::stdin().lines() {
        line?;
        let time = launch(Path::new(rootfs), &PathBuf::from(folder).join("one"))?;
        println!("{}", time.as_nanos());
    }
    Ok(())
}

const HOST_ROOT: u32 = 1_879_048_192;

fn launch(rootfs: &Path, folder: &Path) -> Outcome<Duration> {
    let began = Instant::now();
    let group = Path::new("/sys/fs/cgroup/titus-bench-floor/one");
    fs::create_dir(group)?;
    fs::create_dir(folder)?;
    for name in ["upper", "work", "root"] {
        fs::create_dir(folder.join(name))?;
        chown(folder.join(name), Some(HOST_ROOT), Some(HOST_ROOT))?;
    }
    std::env::set_current_dir(folder)?;
    let (mut ours, theirs) = UnixStream::pair()?;
    let directory = fs::File::open(group)?;
    let pid = clone_into(&directory)?;
    if pid == 0 {
        let failed = inside(rootfs, theirs);
        eprintln!("floor: {failed:?}");
        #[expect(
            clippy::exit,
            reason = "the cloned child must not return into its parent's code"
        )]
        std::process::exit(1);
    }
    for file in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{pid}/{file}"), format!("0 {HOST_ROOT} 65536\n"))?;
    }
    ours.write_all(b"+")?;
    let WaitStatus::Exited(_, 0) = waitpid(Pid::from_raw(pid), None)? else {
        return Err("the floor failed".into());
    };
    fs::remove_dir(group)?;
    std::env::set_current_dir("/")?;
    fs::remove_dir_all(folder)?;
    Ok(began.elapsed())
}

fn clone_into(group: &fs::File) -> Outcome<i32> {
    const INTO_CGROUP: u64 = 0x2_0000_0000;
    let namespaces = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP;
    let mut args = [0_u64; 11];
    args[0] = u64::try_from(namespaces)? | INTO_CGROUP;
    args[4] = u64::try_from(libc::SIGCHLD)?;
    args[10] = u64::try_from(group.as_raw_fd())?;
    // SAFETY: the words are the kernel's struct and live through the call; this process has one thread.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, args.as_ptr(), size_of_val(&args)) };
    if pid < 0 {
        Err(std::io::Error::last_os_error().into())
    } else {
        Ok(i32::try_from(pid)?)
    }
}

fn inside(rootfs: &Path, mut go: UnixStream) -> Outcome<()> {
    go.read_exact(&mut [0])?;
    let (user, group, none) = (Uid::from_raw(0), Gid::from_raw(0), None::<&str>);
    setgroups(&[])?;
    setresgid(group, group, group)?;
    setresuid(user, user, user)?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let options = format!(
        "lowerdir={},upperdir=upper,workdir=work,userxattr",
        rootfs.display()
    );
    mount(
        Some("overlay"),
        "root",
        Some("overlay"),
        MsFlags::empty(),
        Some(options.as_str()),
    )?;
    // While the host's own is in sight: the kernel mounts no fresh one for who sees none.
    mount(Some("proc"), "root/proc", Some("proc"), MsFlags::empty(), none)?;
    std::env::set_current_dir("root")?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    nix::unistd::execve(c"/true", &[c"/true"], &[c""; 0])?;
    Ok(())
}
