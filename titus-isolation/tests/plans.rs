//! Plans as text, reviewed like code, for cgroup v1 and v2; and what becomes of them on a kernel that is a folder.

use std::path::{Path, PathBuf};

use titus_isolation::fake::FakeKernel;
use titus_isolation::{
    Cgroups, EnvVar, Error, HostFacts, IdRange, Kernel, KernelOp, Limit, LogConfig, RootFs, SandboxId,
    SandboxSpec, Volume, apply, plan, prepare, read_stats, teardown, undo,
};

fn spec() -> SandboxSpec {
    let id = SandboxId::new("web-1").expect("an id");
    let mut spec = SandboxSpec::new(
        id,
        RootFs::Host,
        ["server", "--port", "80"],
        LogConfig::new("/var/log/web-1"),
    );
    spec.env = vec![EnvVar::new("TOKEN", "hunter2")];
    spec.resources.milli_cpu = Some(1_500);
    spec.resources.memory_bytes = Some(256 << 20);
    spec.resources.pids_max = Some(100);
    spec.name_servers = vec!["10.0.0.2".parse().expect("an address")];
    spec.volumes = vec![Volume {
        root: "/srv/input".into(),
        source: "texts/part-1".into(),
        target: "/input".into(),
    }];
    spec
}

/// A kernel that shows what this mount table says.
fn kernel(mountinfo: &str) -> (tempfile::TempDir, FakeKernel) {
    let folder = tempfile::tempdir().expect("a folder");
    let kernel = FakeKernel::under(folder.path());
    let files = [
        ("/proc/self/mountinfo", mountinfo),
        ("/proc/sys/kernel/osrelease", "6.12.1-amd64\n"),
        (
            "/proc/self/status",
            "Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n",
        ),
        ("/proc/sys/user/max_user_namespaces", "65536\n"),
        (
            "/proc/sys/kernel/seccomp/actions_avail",
            "kill_process errno allow\n",
        ),
        (
            "/sys/fs/cgroup/cgroup.controllers",
            "cpuset cpu io memory hugetlb pids\n",
        ),
        ("/sys/fs/cgroup/unified/cgroup.controllers", "hugetlb\n"),
    ];
    for (path, text) in files {
        kernel.provide(path, text).expect("provided");
    }
    (folder, kernel)
}

const V2: &str = "30 27 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
const HYBRID: &str = "\
29 23 0:25 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755\n\
31 29 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
34 29 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
35 29 0:31 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n\
38 29 0:34 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
40 29 0:36 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

fn facts(kernel: &FakeKernel) -> HostFacts {
    HostFacts::detect(kernel, "/var/lib/titus", "titus")
}

#[test]
fn a_plan_for_cgroup_v2() {
    let (_folder, kernel) = kernel(V2);
    let facts = facts(&kernel);
    assert_eq!(facts.missing, Vec::new());
    insta::assert_snapshot!("plan_v2", plan(&spec(), &facts).expect("plans").to_string());
    let text: Vec<_> = prepare(&facts).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!("prepare_v2", text.join("\n"));
}

#[test]
fn a_plan_for_cgroup_v1_beside_v2() {
    let (_folder, kernel) = kernel(HYBRID);
    let mut spec = spec();
    spec.rootfs = RootFs::Layers(vec![
        "/var/lib/titus/layers/top".into(),
        "/var/lib/titus/layers/base".into(),
    ]);
    spec.ids = IdRange::nth(2);
    insta::assert_snapshot!(
        "plan_v1",
        plan(&spec, &facts(&kernel)).expect("plans").to_string()
    );
}

#[test]
fn a_plan_shows_no_value_of_a_variable() {
    let (_folder, kernel) = kernel(V2);
    let plan = plan(&spec(), &facts(&kernel)).expect("plans");
    assert!(!format!("{plan}{plan:?}").contains("hunter2"));
    assert!(plan.to_string().contains("TOKEN"));
}

#[test]
fn what_a_host_lacks_is_explained_and_refused() {
    let (_folder, kernel) = kernel("");
    let none = facts(&kernel);
    assert_eq!(none.cgroups, Cgroups::None);
    assert!(matches!(plan(&spec(), &none), Err(Error::Missing { what, .. }) if what == "cpu controller"));
    // Only v2 is mounted, and it has none of the controllers: a limit is refused, or run without where that is accepted.
    kernel
        .provide(
            "/proc/self/mountinfo",
            "40 29 0:36 / /sys/fs/cgroup/unified rw - cgroup2 c rw\n",
        )
        .expect("provided");
    let bare = facts(&kernel);
    let what: Vec<_> = bare.missing.iter().map(|m| m.what.as_str()).collect();
    assert_eq!(what, ["cpu controller", "memory controller", "pids controller"]);
    assert!(
        bare.missing
            .iter()
            .all(|m| m.why.contains("offers [hugetlb]") && !m.fix.is_empty())
    );
    let mut spec = spec();
    assert!(plan(&spec, &bare).is_err());
    spec.unenforced = [Limit::Cpu, Limit::Memory, Limit::Pids].into();
    let text = plan(&spec, &bare).expect("accepted").to_string();
    assert!(
        !text.contains("memory.max") && !text.contains("cpu.max") && !text.contains("pids.max"),
        "{text}"
    );
    // A disk limit is refused everywhere.
    spec.resources.disk_bytes = Some(1 << 30);
    assert!(matches!(plan(&spec, &bare), Err(Error::Missing { what, .. }) if what == "disk quota"));
}

#[test]
fn a_host_without_root_seccomp_or_user_namespaces_runs_nothing() {
    for (path, text, what) in [
        (
            "/proc/self/status",
            "Uid:\t1000\t1000\t0\t0\nCapEff:\t0\n",
            "root",
        ),
        (
            "/proc/self/status",
            "Uid:\t0\t0\t0\t0\nCapEff:\t00000000a80425fb\n",
            "root",
        ),
        ("/proc/sys/kernel/seccomp/actions_avail", "", "seccomp filters"),
        ("/proc/sys/user/max_user_namespaces", "0\n", "user namespaces"),
        (
            "/proc/sys/kernel/osrelease",
            "5.10.0-33-amd64\n",
            "kernel 5.12 or later",
        ),
    ] {
        let (_folder, kernel) = kernel(V2);
        kernel.provide(path, text).expect("provided");
        let refused = plan(&spec(), &facts(&kernel));
        assert!(
            matches!(&refused, Err(Error::Missing { what: w, .. }) if w == what),
            "{what}: {refused:?}"
        );
    }
}

#[test]
fn a_plan_is_carried_out_and_taken_back() {
    for (mountinfo, memory) in [
        (V2, "/sys/fs/cgroup/titus/web-1/memory.max"),
        (HYBRID, "/sys/fs/cgroup/memory/titus/web-1/memory.limit_in_bytes"),
    ] {
        let (folder, kernel) = kernel(mountinfo);
        let facts = facts(&kernel);
        apply(&kernel, &prepare(&facts)).expect("prepared");
        apply(&kernel, &prepare(&facts)).expect("repeatable");
        let before = tree(folder.path());
        let plan = plan(&spec(), &facts).expect("plans");
        apply(&kernel, &plan.host).expect("carried out");
        assert_eq!(
            kernel.read(Path::new(memory)).expect("there"),
            (256 << 20).to_string()
        );
        assert!(folder.path().join("var/lib/titus/sandboxes/web-1/upper").is_dir());
        assert_eq!(undo(&kernel, &plan.host).len(), 0);
        let logs = |p: &PathBuf| !p.starts_with(folder.path().join("var/log"));
        assert_eq!(
            tree(folder.path()).into_iter().filter(logs).collect::<Vec<_>>(),
            before
        );
    }
}

#[test]
fn a_failed_step_takes_back_those_before_it() {
    let (folder, kernel) = kernel(V2);
    let facts = facts(&kernel);
    apply(&kernel, &prepare(&facts)).expect("prepared");
    let plan = plan(&spec(), &facts).expect("plans");
    kernel.refuse("/sys/fs/cgroup/titus/web-1/memory.max");
    let error = apply(&kernel, &plan.host).expect_err("refused");
    assert!(
        matches!(&error, Error::Kernel { object, .. } if object.ends_with("memory.max")),
        "{error}"
    );
    assert!(!folder.path().join("var/lib/titus/sandboxes/web-1").exists());
    assert!(!folder.path().join("sys/fs/cgroup/titus/web-1").exists());
}

#[test]
fn a_teardown_goes_on_after_a_failure() {
    let (folder, kernel) = kernel(V2);
    let facts = facts(&kernel);
    apply(&kernel, &prepare(&facts)).expect("prepared");
    apply(&kernel, &plan(&spec(), &facts).expect("plans").host).expect("carried out");
    kernel.refuse("/sys/fs/cgroup/titus/web-1");
    let ops = teardown(&facts, &spec().id);
    let failures: Vec<_> = ops.iter().filter_map(|op| kernel.apply(op).err()).collect();
    assert_eq!(failures.len(), 1);
    assert!(!folder.path().join("var/lib/titus/sandboxes/web-1").exists());
    assert!(
        ops.iter()
            .all(|op| matches!(op, KernelOp::RemoveCgroup { .. } | KernelOp::RemoveTree { .. }))
    );
}

#[test]
fn usage_is_read_from_either_version() {
    let id = spec().id;
    let (_folder, v2) = kernel(V2);
    let group = "/sys/fs/cgroup/titus/web-1";
    assert_eq!(read_stats(&v2, &facts(&v2), &id), None);
    for (file, text) in [
        ("cgroup.procs", "7\n"),
        ("cpu.stat", "usage_usec 1500\nuser_usec 1\nthrottled_usec 700\n"),
        ("memory.current", "4096\n"),
        ("memory.peak", "8192\n"),
        ("memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 0\n"),
        ("pids.current", "3\n"),
    ] {
        v2.provide(format!("{group}/{file}"), text).expect("provided");
    }
    let (_folder, v1) = kernel(HYBRID);
    for (file, text) in [
        ("cpu,cpuacct/titus/web-1/cgroup.procs", "7\n"),
        ("cpu,cpuacct/titus/web-1/cpuacct.usage", "1500000\n"),
        (
            "cpu,cpuacct/titus/web-1/cpu.stat",
            "nr_periods 1\nnr_throttled 1\nthrottled_time 700000\n",
        ),
        ("memory/titus/web-1/memory.usage_in_bytes", "4096\n"),
        ("memory/titus/web-1/memory.max_usage_in_bytes", "8192\n"),
        (
            "memory/titus/web-1/memory.oom_control",
            "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        ),
        ("pids/titus/web-1/pids.current", "3\n"),
    ] {
        v1.provide(format!("/sys/fs/cgroup/{file}"), text)
            .expect("provided");
    }
    let read = [&v2, &v1].map(|k| read_stats(k, &facts(k), &id).expect("there"));
    assert_eq!(read[0], read[1]);
    let stats = read[0];
    assert_eq!(
        (stats.cpu.as_micros(), stats.cpu_throttled.as_micros()),
        (1_500, 700)
    );
    assert_eq!(
        (
            stats.memory_bytes,
            stats.memory_peak_bytes,
            stats.pids,
            stats.oom_kills
        ),
        (4_096, 8_192, 3, 2)
    );
}

#[test]
fn specs_that_no_host_could_run_name_the_field() {
    let facts = HostFacts::complete("/var/lib/titus");
    type Change = fn(&mut SandboxSpec);
    let cases: [(&str, Change); 16] = [
        ("args", |s| s.args.clear()),
        ("args", |s| s.args[1] = "a\0b".to_owned()),
        ("env[0]", |s| s.env[0] = EnvVar::new("", "x")),
        ("env", |s| s.env[0] = EnvVar::new("A", "x".repeat(2 << 20))),
        ("hostname", |s| s.hostname = "a b".to_owned()),
        ("hosts", |s| {
            s.hosts = vec![("10.0.0.1".parse().expect("an address"), "a\nb".to_owned())]
        }),
        ("user", |s| s.user.user = "a:b".to_owned()),
        ("cwd", |s| s.cwd = "/a/../b".into()),
        ("volumes[0].target", |s| s.volumes[0].target = "/proc/x".into()),
        ("volumes[0].source", |s| s.volumes[0].source = "../x".into()),
        ("volumes[0].root", |s| s.volumes[0].root = "srv".into()),
        ("masked_paths and readonly_paths", |s| {
            s.masked_paths = vec!["/etc/x".into()]
        }),
        ("resources.memory_bytes", |s| s.resources.memory_bytes = Some(1)),
        ("resources.pids_max", |s| s.resources.pids_max = Some(0)),
        ("logs.files", |s| s.logs.files = 0),
        ("rootfs.layers", |s| {
            s.rootfs = RootFs::Layers(vec!["/a/x".into(), "/b/y".into()])
        }),
    ];
    for (wanted, change) in cases {
        let mut spec = spec();
        change(&mut spec);
        let refused = plan(&spec, &facts);
        assert!(
            matches!(&refused, Err(Error::Invalid { field, .. }) if field == wanted),
            "{wanted}: {refused:?}"
        );
    }
    assert!(plan(&spec(), &facts).is_ok());
}

/// What exists, without the contents of kernel files.
fn tree(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).expect("readable").flatten() {
        found.push(entry.path());
        if entry.path().is_dir() {
            found.extend(tree(&entry.path()));
        }
    }
    found.sort();
    found
}
