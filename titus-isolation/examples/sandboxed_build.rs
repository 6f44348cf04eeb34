//! Runs one command on the host's own root file system, held by limits, and prints its output and how it ended.
//!
//! `cargo run --example sandboxed_build --features sandbox -- /bin/sh -c 'id; cat /proc/self/status'` (as root)

use titus_isolation::{
    ContainerRuntime, Limit, LogConfig, RootFs, SandboxConfig, SandboxId, SandboxRuntime, SandboxSpec,
    Started, init,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    init::run_if_asked();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run())
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("sandboxed-build-{}", std::process::id()));
    let runtime = SandboxRuntime::open(SandboxConfig::new(&folder))?;
    let mut command: Vec<String> = std::env::args().skip(1).collect();
    if command.is_empty() {
        command = [
            "/bin/sh",
            "-c",
            "echo hello from $(hostname) as $(id -un); ls /; exit 7",
        ]
        .map(String::from)
        .into();
    }

    let id = SandboxId::new(format!("build-{}", std::process::id()))?;
    let mut spec = SandboxSpec::new(
        id.clone(),
        RootFs::Host,
        command,
        LogConfig::new(folder.join("logs")),
    );
    spec.resources.milli_cpu = Some(500);
    spec.resources.memory_bytes = Some(256 << 20);
    spec.resources.pids_max = Some(64);
    // Where a controller is missing this prints a notice instead of failing; leave it out to insist.
    spec.unenforced = [Limit::Cpu, Limit::Memory, Limit::Pids].into();
    for missing in runtime.facts().await?.missing {
        eprintln!("notice: {missing}");
    }

    let sandbox = runtime.create(&spec).await?;
    eprintln!(
        "built: init {} waits at its gate, network {}",
        sandbox.init_pid,
        sandbox.netns.display()
    );
    match runtime.start(&id).await? {
        Started::Running => eprintln!("running"),
        Started::Failed(failure) => eprintln!("not executed: {}", failure.message),
    }
    let exit = runtime.wait(&id).await?;
    print!("{}", std::fs::read_to_string(folder.join("logs/stdout"))?);
    eprint!("{}", std::fs::read_to_string(folder.join("logs/stderr"))?);
    println!("ended: {:?}, code {:?}", exit.reason, exit.code());

    runtime.remove(&id).await?;
    drop(runtime);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
