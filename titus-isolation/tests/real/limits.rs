//! Limits as the kernel has them, and as a program meets them.

use titus_isolation::{ContainerRuntime, Error, ExitReason, Limit, Resources};

use super::{Host, chain};

fn skip_unless(host: &Host, limit: Limit) -> bool {
    let there = host.facts().enforces(limit);
    if !there {
        eprintln!("SKIPPED: this host has no {} controller", limit.name());
    }
    there
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn limits_are_in_the_kernels_files() {
    let host = Host::new().await;
    let mut spec = host.spec("a", &["true"]);
    spec.resources = Resources {
        milli_cpu: Some(250),
        memory_bytes: Some(64 << 20),
        pids_max: Some(40),
        ..Resources::default()
    };
    spec.unenforced = [Limit::Cpu, Limit::Memory, Limit::Pids].into();
    host.runtime_create(&spec).await;
    let files: [(Limit, &str, &str, &str); 6] = if host.is_v2() {
        [
            (Limit::Cpu, "cpu", "cpu.max", "25000 100000"),
            (Limit::Cpu, "cpu", "cpu.weight", "10"),
            (Limit::Memory, "memory", "memory.max", "67108864"),
            (Limit::Pids, "pids", "pids.max", "41"),
            (Limit::Pids, "pids", "pids.current", "1"),
            (Limit::Memory, "memory", "memory.max", "67108864"),
        ]
    } else {
        [
            (Limit::Cpu, "cpu", "cpu.cfs_quota_us", "25000"),
            (Limit::Cpu, "cpu", "cpu.cfs_period_us", "100000"),
            (Limit::Cpu, "cpu", "cpu.shares", "256"),
            (Limit::Memory, "memory", "memory.limit_in_bytes", "67108864"),
            (Limit::Pids, "pids", "pids.max", "41"),
            (Limit::Pids, "pids", "pids.current", "1"),
        ]
    };
    for (limit, controller, file, value) in files {
        if skip_unless(&host, limit) {
            let text = std::fs::read_to_string(host.control_file(controller, "a", file)).expect("readable");
            assert_eq!(text.trim(), value, "{file}");
        }
    }
    host.finish(&spec).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn a_fork_bomb_stops_at_its_limit() {
    let host = Host::new().await;
    if !skip_unless(&host, Limit::Pids) {
        return;
    }
    let bomb = "i=0; while [ $i -lt 60 ]; do sleep 100 & i=$((i+1)); done; echo all";
    assert_eq!(
        host.run(&host.spec("a", &["/bin/sh", "-c", bomb])).await,
        (Some(0), "all\n".to_owned()),
        "without a limit it goes through"
    );
    // Another id: logs belong to the ids of the sandbox that wrote them, which its namesake need not get again.
    let mut spec = host.spec("b", &["/bin/sh", "-c", bomb]);
    spec.resources.pids_max = Some(20);
    let (code, text) = host.run(&spec).await;
    assert_ne!(code, Some(0), "{text}");
    assert!(text.contains("fork"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn memory_is_blamed_only_when_the_command_died_of_it() {
    let host = Host::new().await;
    if !skip_unless(&host, Limit::Memory) {
        return;
    }
    let mut spec = host.spec("a", &["/bin/sh", "-c", "tail /dev/zero; exit 9"]);
    spec.resources.memory_bytes = Some(24 << 20);
    host.runtime_create(&spec).await;
    host.runtime.start(&spec.id).await.expect("starts");
    let exit = host.runtime.wait(&spec.id).await.expect("ends");
    // A child was killed for memory and the command lived on: its own code counts, and the kill is told beside it.
    assert_eq!(
        (&exit.reason, exit.oom_kills > 0),
        (&ExitReason::Code(9), true),
        "{exit:?}"
    );
    let stats = host.runtime.stats(&spec.id).await.expect("still there");
    assert_eq!(stats.oom_kills, exit.oom_kills);
    host.runtime
        .remove(&spec.id)
        .await
        .unwrap_or_else(|e| panic!("{}", chain(&e)));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn cpu_beyond_the_limit_is_held_back() {
    let host = Host::new().await;
    if !skip_unless(&host, Limit::Cpu) {
        return;
    }
    let mut spec = host.spec(
        "a",
        &[
            "/bin/sh",
            "-c",
            "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done",
        ],
    );
    spec.resources.milli_cpu = Some(100);
    host.runtime_create(&spec).await;
    host.runtime.start(&spec.id).await.expect("starts");
    host.runtime.wait(&spec.id).await.expect("ends");
    let stats = host.runtime.stats(&spec.id).await.expect("there");
    assert!(
        !stats.cpu_throttled.is_zero() && !stats.cpu.is_zero(),
        "{stats:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn shared_memory_is_as_large_as_asked() {
    let host = Host::new().await;
    let mut spec = host.spec(
        "a",
        &[
            "/bin/sh",
            "-c",
            "head -c 300000 /dev/zero > /dev/shm/x 2>&1; wc -c < /dev/shm/x",
        ],
    );
    spec.resources.shm_bytes = 128 << 10;
    let (_, text) = host.run(&spec).await;
    assert!(text.contains("131072"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn a_second_runtime_on_the_same_folder_is_told_so() {
    let host = Host::new().await;
    let second = titus_isolation::SandboxRuntime::open(host.config());
    let Err(Error::Kernel {
        operation, object, ..
    }) = second
    else {
        panic!("{second:?}")
    };
    assert!(operation.contains("another process has it open"), "{operation}");
    assert_eq!(object, host.folder);
}
