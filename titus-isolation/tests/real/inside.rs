//! What a program inside reads about how it is held.

use std::collections::BTreeMap;

use titus_isolation::{IdRange, Rlimit, RootFs, SandboxSpec, User};

use super::Host;

fn status(text: &str) -> BTreeMap<&str, &str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(k, v)| (k, v.trim()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn the_process_has_dockers_capabilities_and_all_filters() {
    let host = Host::new().await;
    let (_, text) = host.run(&host.spec("a", &["cat", "/proc/self/status"])).await;
    let status = status(&text);
    let docker = "00000000a80425fb";
    let wanted = [
        ("CapEff", docker),
        ("CapPrm", docker),
        ("CapBnd", docker),
        ("CapInh", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("Uid", "0\t0\t0\t0"),
        ("Gid", "0\t0\t0\t0"),
        ("Groups", ""),
        ("Umask", "0022"),
        ("SigBlk", "0000000000000000"),
        ("SigIgn", "0000000000000000"),
        ("SigCgt", "0000000000000000"),
    ];
    for (field, value) in wanted {
        assert_eq!(status.get(field), Some(&value), "{field} in\n{text}");
    }
    // Kernels from 5.9 count the filters.
    assert!(status.get("Seccomp_filters").is_none_or(|n| *n == "3"), "{text}");
    assert_eq!(status["NSpid"], status["Pid"], "process ids are its own");
    assert_eq!(status["NSsid"], status["Pid"], "it leads a session of its own");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn another_user_has_no_capabilities_at_all() {
    let host = Host::new().await;
    let mut spec = host.spec("a", &["cat", "/proc/self/status"]);
    spec.user = User::ids(1000, 100);
    let (_, text) = host.run(&spec).await;
    let status = status(&text);
    for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        assert_eq!(status[set], "0000000000000000", "{set}");
    }
    assert_eq!(
        (status["Uid"], status["Gid"]),
        ("1000\t1000\t1000\t1000", "100\t100\t100\t100")
    );
    let mut spec = host.spec(
        "b",
        &[
            "/bin/sh",
            "-c",
            "id -un; echo own > /dev/stdout; touch /tmp/x && ls -ln /tmp/x",
        ],
    );
    spec.user = User::parse("daemon");
    let (code, text) = host.run(&spec).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("daemon\nown\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn every_sandbox_has_its_own_range_of_ids() {
    let host = Host::new().await;
    let (a, b) = (
        host.spec("a", &["cat", "/proc/self/uid_map"]),
        host.spec("b", &["cat", "/proc/self/gid_map"]),
    );
    host.runtime_create(&a).await;
    host.runtime_create(&b).await;
    let maps = [host.finish(&a).await.1, host.finish(&b).await.1];
    let starts = maps.each_ref().map(|map| {
        let numbers: Vec<u32> = map
            .split_whitespace()
            .map(|n| n.parse().expect("a number"))
            .collect();
        assert_eq!(
            (numbers.len(), numbers[0], numbers[2]),
            (3, 0, IdRange::SIZE),
            "{map}"
        );
        assert!(
            numbers[1] >= IdRange::BASE && (numbers[1] - IdRange::BASE).is_multiple_of(IdRange::SIZE),
            "{map}"
        );
        numbers[1]
    });
    assert_ne!(starts[0], starts[1]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn every_namespace_is_its_own() {
    let host = Host::new().await;
    let kinds = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"];
    let script = "cd /proc/self/ns; for n in user mnt pid net ipc uts cgroup; do readlink $n; done";
    let (_, text) = host.sh("a", script).await;
    assert_eq!(text.lines().count(), kinds.len(), "{text}");
    for (kind, inside) in kinds.iter().zip(text.lines()) {
        let outside = std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace");
        assert_ne!(inside, outside.to_string_lossy(), "{kind}");
    }
    let (_, text) = host
        .sh(
            "b",
            "cat /proc/self/cgroup | grep -v name=; hostname; cat /etc/hostname",
        )
        .await;
    for line in text.lines().filter(|l| l.contains(':')) {
        let named = line.ends_with(":/");
        assert!(named, "its place among the host's cgroups shows: {line}");
    }
    assert!(text.ends_with("inside\ninside\n"), "{text}");
}

/// Mount point -> (type, options of the mount).
fn mounts(text: &str) -> BTreeMap<String, (String, Vec<String>)> {
    let line = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<_> = left.split(' ').collect();
        let kind = right.split(' ').next()?.to_owned();
        Some((
            left[4].to_owned(),
            (kind, left[5].split(',').map(str::to_owned).collect()),
        ))
    };
    text.lines().filter_map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn the_mount_table_holds_what_was_planned_and_nothing_of_the_host() {
    let host = Host::new().await;
    let (_, text) = host.run(&host.spec("a", &["cat", "/proc/self/mountinfo"])).await;
    let mounts = mounts(&text);
    let mut wanted = vec![
        ("/", "overlay", "rw"),
        ("/proc", "proc", "rw"),
        ("/sys", "sysfs", "ro"),
        ("/dev", "tmpfs", "rw"),
        ("/dev/pts", "devpts", "rw"),
        ("/dev/shm", "tmpfs", "rw"),
        ("/dev/mqueue", "mqueue", "rw"),
        ("/proc/sys", "proc", "ro"),
        ("/proc/bus", "proc", "ro"),
        ("/proc/fs", "proc", "ro"),
        ("/proc/irq", "proc", "ro"),
    ];
    if host.is_v2() {
        wanted.push(("/sys/fs/cgroup", "cgroup2", "ro"));
    }
    for (point, kind, access) in &wanted {
        let Some((found, options)) = mounts.get(*point) else {
            panic!("{point} is not mounted:\n{text}")
        };
        assert_eq!(found, kind, "{point}");
        assert!(options.iter().any(|o| o == access), "{point} {options:?}");
        let bare = *point == "/"
            || ["nosuid", "nodev", "noexec"]
                .iter()
                .all(|o| options.iter().any(|f| f == o));
        assert!(bare, "{point} {options:?}");
    }
    let devices = ["null", "zero", "full", "random", "urandom", "tty"].map(|n| format!("/dev/{n}"));
    let masked = SandboxSpec::new(
        "x".parse().expect("an id"),
        RootFs::Host,
        ["x"],
        titus_isolation::LogConfig::new("/x"),
    );
    for point in mounts.keys() {
        let planned = wanted.iter().any(|(p, _, _)| p == point)
            || devices.contains(point)
            || masked
                .masked_paths
                .iter()
                .chain(&masked.readonly_paths)
                .any(|p| p.to_str() == Some(point));
        assert!(planned, "{point} was not planned:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn the_root_can_be_written_and_the_host_does_not_notice() {
    let host = Host::new().await;
    let marker = format!("titus-test-{}", std::process::id());
    let script = format!(
        "set -e; echo x > /{marker}; rm /etc/issue; mkdir /etc/{marker}; echo 1 > /dev/shm/x; \
         test ! -e /etc/issue; ls -ln /{marker} | cut -d' ' -f3,4; grep -c inside /etc/hostname"
    );
    let (code, text) = host.sh("a", &script).await;
    assert_eq!((code, text.as_str()), (Some(0), "0 0\n1\n"));
    assert!(!std::path::Path::new(&format!("/{marker}")).exists());
    assert!(!std::path::Path::new(&format!("/etc/{marker}")).exists());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn names_and_addresses_are_the_specs() {
    let host = Host::new().await;
    let mut spec = host.spec("a", &["cat", "/etc/hosts", "/etc/resolv.conf"]);
    spec.hosts = vec![("10.1.2.3".parse().expect("an address"), "db.test".to_owned())];
    spec.name_servers = vec!["10.0.0.2".parse().expect("an address")];
    let (_, text) = host.run(&spec).await;
    assert!(
        text.contains("10.1.2.3\tdb.test\n") && text.contains("nameserver 10.0.0.2\n"),
        "{text}"
    );
    assert!(text.starts_with("127.0.0.1\tlocalhost\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn the_network_namespace_belongs_to_the_sandbox_before_it_starts() {
    let host = Host::new().await;
    let spec = host.spec(
        "a",
        &[
            "/bin/sh",
            "-c",
            "cat /proc/net/dev | tail -n +3 | cut -d: -f1; ls /sys/class/net",
        ],
    );
    let made = host.runtime_create(&spec).await;
    let outside = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
    let netns = std::fs::read_link(&made.netns).expect("the namespace is there before the start");
    assert_ne!(netns, outside);
    let (_, text) = host.finish(&spec).await;
    let only_loopback = text
        .split_whitespace()
        .all(|n| ["lo", "sit0", "ip6tnl0", "tunl0"].contains(&n));
    assert!(only_loopback && text.contains("lo"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn a_rlimit_holds_and_one_that_cannot_be_raised_is_reported() {
    let host = Host::new().await;
    let mut spec = host.spec("a", &["/bin/sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c"]);
    let limit = |name: &str, soft, hard| Rlimit {
        name: name.to_owned(),
        soft,
        hard,
    };
    spec.rlimits = vec![limit("nofile", 100, 200), limit("core", 0, 0)];
    assert_eq!(host.run(&spec).await.1, "100\n200\n0\n");
    // Above the most any process may have, whatever its rights.
    let mut spec = host.spec("b", &["true"]);
    spec.rlimits = vec![limit("nofile", 1 << 40, 1 << 40)];
    host.runtime_create(&spec).await;
    let started = titus_isolation::ContainerRuntime::start(&*host.runtime, &spec.id)
        .await
        .expect("answers");
    let titus_isolation::Started::Failed(failure) = started else {
        panic!("it started")
    };
    assert_eq!(failure.code, 126);
    assert!(failure.message.contains("rlimit nofile"), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn a_volume_is_shown_read_only() {
    let host = Host::new().await;
    let root = host.folder.join("volumes");
    std::fs::create_dir_all(root.join("data/inner")).expect("made");
    std::fs::write(root.join("data/inner/file"), "content\n").expect("written");
    let mut spec = host.spec(
        "a",
        &[
            "/bin/sh",
            "-c",
            "cat /input/deep/inner/file; cat /one-file; touch /input/deep/new 2>&1 | grep -c 'Read-only'",
        ],
    );
    let volume = |source: &str, target: &str| titus_isolation::Volume {
        root: root.clone(),
        source: source.into(),
        target: target.into(),
    };
    spec.volumes = vec![
        volume("data", "/input/deep"),
        volume("data/inner/file", "/one-file"),
    ];
    assert_eq!(host.run(&spec).await.1, "content\ncontent\n1\n");
}
