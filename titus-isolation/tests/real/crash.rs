//! An agent that is killed at any moment loses nothing: the next one adopts.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use titus_isolation::{ContainerRuntime, ExitReason, SandboxRuntime, SandboxState, Signal, Started};

use super::{Host, chain};

/// Runs this test binary as an agent that makes one sandbox on the folder given, and dies by SIGKILL where told.
fn agent_killed_after(host: &Host, what: &str) {
    let own = std::env::current_exe().expect("a path");
    let status = Command::new(own)
        .args([
            "--exact",
            "real::crash::agent_process",
            "--include-ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("TITUS_TEST_AGENT", format!("{what} {}", host.folder.display()))
        .stdout(Stdio::null())
        .status()
        .expect("runs");
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(status.signal(), Some(libc::SIGKILL), "{status}");
}

/// Not a test of its own: the process that `agent_killed_after` starts. Alone it does nothing.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: started by the other tests"]
async fn agent_process() {
    let Ok(told) = std::env::var("TITUS_TEST_AGENT") else {
        return;
    };
    let (what, folder) = told.split_once(' ').expect("two words");
    let host = std::mem::ManuallyDrop::new(Host::at(folder.into()).await);
    let spec = host.spec(
        "kept",
        &["/bin/sh", "-c", "echo ran; sleep 0.5; echo later; exit 6"],
    );
    host.runtime
        .create(&spec)
        .await
        .unwrap_or_else(|e| panic!("{}", chain(&e)));
    if what == "start" {
        let started = host.runtime.start(&spec.id).await.expect("starts");
        assert_eq!(started, Started::Running);
    }
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).expect("killed");
}

async fn reopened(host: &mut Host) {
    // The folder is locked by the runtime of this process until it is gone.
    host.close();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn a_sandbox_at_its_gate_is_adopted_and_started() {
    let mut host = Host::new().await;
    reopened(&mut host).await;
    agent_killed_after(&host, "create");
    let host = Host::at(host.leave()).await;
    let listed = host.runtime.list().await.expect("lists");
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0].state, SandboxState::Created);
    let spec = host.spec("kept", &[]);
    assert_eq!(super::output(&spec), "", "nothing ran before the start");
    assert_eq!(
        host.runtime.start(&spec.id).await.expect("starts"),
        Started::Running
    );
    let exit = host.runtime.wait(&spec.id).await.expect("ends");
    assert_eq!(exit.reason, ExitReason::Code(6));
    assert_eq!(super::output(&spec), "ran\nlater\n");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn a_running_sandbox_is_adopted_with_its_code_and_output() {
    let mut host = Host::new().await;
    reopened(&mut host).await;
    agent_killed_after(&host, "start");
    let host = Host::at(host.leave()).await;
    let spec = host.spec("kept", &[]);
    let exit = host.runtime.wait(&spec.id).await.expect("ends");
    assert_eq!(exit.reason, ExitReason::Code(6));
    assert_eq!(super::output(&spec), "ran\nlater\n");
    host.runtime
        .remove(&spec.id)
        .await
        .unwrap_or_else(|e| panic!("{}", chain(&e)));
    assert_eq!(host.runtime.list().await.expect("lists"), Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn an_init_that_is_killed_is_an_unknown_end() {
    let host = Host::new().await;
    let spec = host.spec("a", &["sleep", "1000"]);
    let made = host.runtime_create(&spec).await;
    host.runtime.start(&spec.id).await.expect("starts");
    let init = i32::try_from(made.init_pid).expect("a pid");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(init),
        nix::sys::signal::Signal::SIGKILL,
    )
    .expect("killed");
    let exit = host.runtime.wait(&spec.id).await.expect("ends");
    assert!(matches!(exit.reason, ExitReason::Unknown(_)), "{exit:?}");
    assert_eq!(exit.code(), None);
    assert!(
        !host
            .runtime
            .signal(&spec.id, Signal::TERM)
            .await
            .expect("answers")
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn a_half_made_sandbox_can_be_removed() {
    let host = Host::new().await;
    let spec = host.spec("half", &["true"]);
    std::fs::create_dir(host.folder.join("sandboxes/half")).expect("made");
    let listed = host.runtime.list().await.expect("lists");
    assert!(
        matches!(&listed[0].state, SandboxState::Exited(exit) if exit.code().is_none()),
        "{listed:?}"
    );
    host.runtime
        .remove(&spec.id)
        .await
        .unwrap_or_else(|e| panic!("{}", chain(&e)));
    assert_eq!(host.run(&spec).await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn a_flood_of_output_costs_its_writer_only() {
    let host = Host::new().await;
    let mut spec = host.spec("a", &["/bin/sh", "-c", "yes & yes >&2"]);
    spec.logs.max_bytes = 100_000;
    spec.logs.files = 3;
    host.runtime_create(&spec).await;
    host.runtime.start(&spec.id).await.expect("starts");
    let begun = Instant::now();
    let rotated = || spec.logs.dir.join("stdout.2").exists() && spec.logs.dir.join("stderr.2").exists();
    while !rotated() && begun.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(rotated(), "the flood was not rotated");
    host.runtime.signal(&spec.id, Signal::KILL).await.expect("told");
    let exit = host.runtime.wait(&spec.id).await.expect("ends");
    assert_eq!(exit.reason, ExitReason::Signal(Signal::KILL));
    let sizes = std::fs::read_dir(&spec.logs.dir)
        .expect("there")
        .flatten()
        .map(|e| e.metadata().expect("there").len());
    let total: u64 = sizes.sum();
    assert!(total <= 2 * 3 * 100_000, "{total} bytes are kept");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn a_full_disk_drops_output_and_counts_it() {
    let host = Host::new().await;
    let logs = host.folder.join("full");
    std::fs::create_dir(&logs).expect("made");
    let flags = nix::mount::MsFlags::empty();
    nix::mount::mount(Some("t"), &logs, Some("tmpfs"), flags, Some("size=64k")).expect("mounted");
    let mut spec = host.spec("a", &["/bin/sh", "-c", "head -c 300000 /dev/zero; exit 3"]);
    spec.logs.dir = logs.clone();
    host.runtime_create(&spec).await;
    host.runtime.start(&spec.id).await.expect("starts");
    let exit = host.runtime.wait(&spec.id).await.expect("ends");
    nix::mount::umount(&logs).expect("unmounted");
    assert_eq!(exit.reason, ExitReason::Code(3));
    assert!(exit.log_bytes_dropped >= 200_000, "{exit:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn a_launcher_that_is_not_one_is_named() {
    let mut host = Host::new().await;
    host.close();
    let mut config = host.config();
    config.init = titus_isolation::InitProgram::Installed("/bin/true".into());
    let runtime = SandboxRuntime::open(config).expect("opens");
    let spec = host.spec("a", &["true"]);
    let error = runtime.create(&spec).await.expect_err("no init");
    let text = chain(&error);
    assert!(
        text.contains("/bin/true") && text.contains("run_if_asked"),
        "{text}"
    );
    assert!(!host.folder.join("sandboxes/a").exists(), "it left its folder");
    assert_eq!(runtime.counters().create_failed, 1);
}
