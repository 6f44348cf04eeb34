//! Ways out that hostile programs try. Each first succeeds where one part of the hardening is left out, so that its
//! refusal is that part's work and not the attempt's clumsiness.

use std::sync::atomic::{AtomicU32, Ordering};

use titus_isolation::conformance::Weakened;
use titus_isolation::{CapabilitySet, ContainerRuntime, Error, SandboxSpec, Volume};

use super::{Host, chain};

/// Runs the same script in a weakened and in a proper sandbox and answers both outputs.
async fn both(host: &Host, weakened: Weakened, script: &str) -> (String, String) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let spec = |kind: &str| host.spec(&format!("{kind}-{number}"), &["/bin/sh", "-c", script]);
    (
        weak(host, &spec("weak"), weakened).await,
        host.run(&spec("proper")).await.1,
    )
}

async fn weak(host: &Host, spec: &SandboxSpec, weakened: Weakened) -> String {
    weak_if_possible(host, spec, weakened)
        .await
        .expect("this file system maps ids")
}

/// `None`: the weakness needs id-mapped mounts of a file system that has none.
async fn weak_if_possible(host: &Host, spec: &SandboxSpec, weakened: Weakened) -> Option<String> {
    match host.runtime.create_weakened(spec, weakened).await {
        Ok(_) => Some(host.finish(spec).await.1),
        Err(Error::Build { step, .. }) if step.contains("map the ids") => {
            eprintln!("SKIPPED: no weaker sandbox to compare with: cannot {step}");
            None
        }
        Err(error) => panic!("{}", chain(&error)),
    }
}

/// A system call by perl, which every Debian has: prints `errno N`, or `went through`.
fn call(number: i64, args: &str) -> String {
    format!(
        "perl -e '$r = syscall({number}{args}); print $r >= 0 ? \"went through\" : \"errno \".($!+0), \"\\n\"' 2>&1"
    )
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn escape_by_a_new_user_namespace() {
    let host = Host::new().await;
    let weakened = Weakened {
        no_seccomp: true,
        ..Weakened::default()
    };
    let new_user = libc::CLONE_NEWUSER;
    let (weak, proper) = both(
        &host,
        weakened,
        &call(libc::SYS_unshare, &format!(", {new_user}")),
    )
    .await;
    assert_eq!((weak.as_str(), proper.as_str()), ("went through\n", "errno 1\n"));
    // The same by clone, whose flags the filter reads; and by clone3, whose flags it cannot, so there is no clone3.
    let flags = format!(", {}, 0, 0, 0, 0", new_user | libc::SIGCHLD);
    let (weak, proper) = both(&host, weakened, &call(libc::SYS_clone, &flags)).await;
    assert!(weak.contains("went through"), "{weak}");
    assert_eq!(proper, "errno 1\n");
    let (weak, proper) = both(&host, weakened, &call(libc::SYS_clone3, ", 0, 0")).await;
    assert_eq!((weak.as_str(), proper.as_str()), ("errno 22\n", "errno 38\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn escape_by_system_calls_that_nobody_needs() {
    let host = Host::new().await;
    let weakened = Weakened {
        no_seccomp: true,
        ..Weakened::default()
    };
    // What each answers with harmless arguments where no filter stops it, against EPERM (1) where one does.
    let calls = [
        ("keyctl", libc::SYS_keyctl, ", 0, -3, 1", "went through"),
        ("bpf", libc::SYS_bpf, ", 999, 0, 0", ""),
        ("io_uring_setup", libc::SYS_io_uring_setup, ", 0, 0", "errno 14"),
        ("userfaultfd", libc::SYS_userfaultfd, ", 1", "went through"),
        (
            "kexec_file_load",
            libc::SYS_kexec_file_load,
            ", -1, -1, 0, 0, 0",
            "",
        ),
        (
            "perf_event_open",
            libc::SYS_perf_event_open,
            ", 0, 0, 0, 0, 0",
            "",
        ),
        ("open_tree", libc::SYS_open_tree, ", -1, 0, 0", "errno 14"),
        ("setns", libc::SYS_setns, ", -1, 0", "errno 9"),
    ];
    for (name, number, args, unfiltered) in calls {
        let (weak, proper) = both(&host, weakened, &call(number, args)).await;
        assert_eq!(proper, "errno 1\n", "{name}");
        let there = !weak.contains("errno 38");
        if !unfiltered.is_empty() && there && name != "userfaultfd" {
            assert_eq!(weak, format!("{unfiltered}\n"), "{name} without a filter");
        }
    }
    let (weak, proper) = both(&host, weakened, &call(libc::SYS_socket, ", 40, 1, 0")).await;
    assert_ne!(weak, "errno 1\n", "a vsock");
    assert_eq!(proper, "errno 1\n", "a vsock");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn escape_by_taking_masks_off() {
    let host = Host::new().await;
    let script = "umount /proc/timer_list 2>/dev/null; umount /proc/keys 2>/dev/null; \
                  mount -t tmpfs x /mnt2 2>/dev/null && echo mounted; \
                  test -s /proc/keys && echo unmasked; true";
    let mut spec = host.spec("weak", &["/bin/sh", "-c", &format!("mkdir /mnt2; {script}")]);
    spec.capabilities = CapabilitySet::docker_default().with("SYS_ADMIN").expect("known");
    let weak = host.run(&spec).await.1;
    assert!(weak.contains("mounted"), "{weak}");
    let (_, proper) = host.sh("proper", &format!("mkdir /mnt2; {script}")).await;
    assert_eq!(proper, "");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn escape_by_kernel_files() {
    let host = Host::new().await;
    let weakened = Weakened {
        open_kernel_files: true,
        ..Weakened::default()
    };
    let read =
        "head -c 1 /proc/interrupts | wc -c; ls /sys/firmware | wc -l; cat /proc/timer_list 2>&1 | wc -c";
    let (weak, proper) = both(&host, weakened, read).await;
    assert!(weak.starts_with("1\n"), "{weak}");
    assert_eq!(proper, "0\n0\n0\n");
    let writes = "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/sys/vm/overcommit_memory \
                  /sys/kernel/uevent_helper /proc/1/oom_score_adj; do (echo x > $f) 2>/dev/null && echo wrote $f; done; true";
    assert_eq!(host.sh("writes", writes).await.1, "");
    // Its own hostname it may not set either: that call is filtered, and the file read-only.
    let (weak, proper) = both(
        &host,
        weakened,
        "(echo x > /proc/sys/net/ipv4/ip_default_ttl) 2>&1 | grep -c Read-only",
    )
    .await;
    assert_eq!((weak.as_str(), proper.as_str()), ("0\n", "1\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn escape_through_the_descriptors_of_the_init() {
    let host = Host::new().await;
    let weakened = Weakened {
        traceable_init: true,
        ..Weakened::default()
    };
    let script = "for fd in /proc/1/fd/*; do ls -d $fd/../* 2>/dev/null; done | sort -u | wc -l; ls /proc/1/root/ 2>&1 | grep -c etc";
    let (weak, proper) = both(&host, weakened, script).await;
    let seen = |text: &str| text.lines().next().and_then(|n| n.parse::<u32>().ok());
    assert!(seen(&weak) > Some(0), "{weak}");
    assert_eq!(proper, "0\n0\n");
    // The init has given up its rights once the command runs; until then root inside has fewer.
    let trace = format!("sleep 0.2; {}", call(libc::SYS_ptrace, ", 16902, 1, 0, 0"));
    let (weak, proper) = both(&host, weakened, &trace).await;
    assert_eq!((weak.as_str(), proper.as_str()), ("went through\n", "errno 1\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn escape_to_files_of_the_hosts_root() {
    let host = Host::new().await;
    let script = "cat /etc/shadow >/dev/null 2>&1 && echo read the passwords; cat /etc/passwd > /dev/null && echo world-readable";
    assert_eq!(host.sh("first", script).await.1, "world-readable\n");
    let weakened = Weakened {
        host_ids_mapped: true,
        ..Weakened::default()
    };
    if let Some(weak) =
        weak_if_possible(&host, &host.spec("weak", &["/bin/sh", "-c", script]), weakened).await
    {
        assert!(weak.contains("read the passwords"), "{weak}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn escape_to_hidden_files_of_the_host() {
    let host = Host::new().await;
    let name = format!("titus-test-secret-{}", std::process::id());
    let world_readable = std::path::Path::new("/tmp").join(&name);
    std::fs::write(&world_readable, "x").expect("written");
    let script = format!(
        "ls -d /tmp/{name} /home {} /root/* 2>/dev/null; true",
        host.folder.display()
    );
    let weakened = Weakened {
        nothing_hidden: true,
        ..Weakened::default()
    };
    let (weak, proper) = both(&host, weakened, &script).await;
    std::fs::remove_file(&world_readable).expect("removed");
    assert!(weak.contains("/home") && weak.contains("titus-test"), "{weak}");
    assert_eq!(proper, "");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn escape_by_a_link_in_a_volume() {
    let host = Host::new().await;
    let root = host.folder.join("volumes");
    std::fs::create_dir_all(&root).expect("made");
    std::os::unix::fs::symlink("/etc", root.join("link")).expect("linked");
    std::fs::create_dir_all(root.join("real")).expect("made");
    std::os::unix::fs::symlink("/etc/passwd", root.join("real/file")).expect("linked");
    let with = |id, source: &str| {
        let mut spec = host.spec(id, &["/bin/sh", "-c", "ls /volume | grep -c passwd"]);
        spec.volumes = vec![Volume {
            root: root.clone(),
            source: source.into(),
            target: "/volume".into(),
        }];
        spec
    };
    let weakened = Weakened {
        volumes_follow_links: true,
        ..Weakened::default()
    };
    if let Some(weak) = weak_if_possible(&host, &with("weak", "link"), weakened).await {
        assert_ne!(weak, "0\n");
    }
    for (id, source) in [("a", "link"), ("b", "link/ssl"), ("c", "real/file")] {
        let refused = host.runtime.create(&with(id, source)).await;
        let Err(Error::Build {
            step, source: error, ..
        }) = &refused
        else {
            panic!("{source}: {refused:?}")
        };
        assert!(
            step.contains("beneath") && error.raw_os_error() == Some(libc::ELOOP),
            "{step}: {error}"
        );
    }
    for bad in ["../etc", "/etc", "real/../../etc", ""] {
        let refused = host.runtime.create(&with("d", bad)).await;
        assert!(
            matches!(refused, Err(Error::Invalid { .. })),
            "{bad}: {refused:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn escape_by_telling_the_init_to_kill() {
    let host = Host::new().await;
    // From inside no signal reaches process 1, and it passes none on: not even its own numbers for SIGKILL.
    let script = "for s in $(seq 1 64); do kill -$s 1 2>/dev/null; done; \
                  perl -e 'kill 42, 1; kill 48, 1; my $i = pack(\"i3x4i2x104\", 42, 0, -1, 0, 0); syscall(129, 1, 42, $i)'; sleep 0.2; echo alive";
    let (code, text) = host.sh("a", script).await;
    assert_eq!((code, text.as_str()), (Some(0), "alive\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn escape_by_a_device_of_its_own() {
    let host = Host::new().await;
    let script = "mknod /tmp/disk b 254 0 2>/dev/null && echo made; mknod /dev/mem2 c 1 1 2>/dev/null && echo made; \
                  ls /dev | tr '\\n' ' '";
    let (_, text) = host.sh("a", script).await;
    assert_eq!(
        text,
        "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero "
    );
}
