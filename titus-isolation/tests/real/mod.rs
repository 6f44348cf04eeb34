//! A runtime of its own for one test: own folder, own cgroup, gone at the end, also after a panic.

mod crash;
mod escape;
mod image;
mod inside;
mod layout;
mod limits;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use titus_isolation::{
    Cgroups, ContainerRuntime, EnvVar, HostFacts, InitProgram, Kernel, KernelOp, LinuxKernel, LogConfig,
    RootFs, Sandbox, SandboxConfig, SandboxId, SandboxRuntime, SandboxSpec, Started, teardown,
};

/// A machine's worth of state that belongs to one test.
pub(crate) struct Host {
    pub(crate) runtime: Handle,
    pub(crate) folder: PathBuf,
    parent: String,
    facts: HostFacts,
    keep: bool,
}

/// The runtime, until it is closed.
pub(crate) struct Handle(Option<SandboxRuntime>);

impl std::ops::Deref for Handle {
    type Target = SandboxRuntime;
    fn deref(&self) -> &SandboxRuntime {
        self.0.as_ref().expect("not closed")
    }
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Host {
    pub(crate) async fn new() -> Self {
        let name = format!(
            "titus-test-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = base().join(&name);
        std::fs::create_dir_all(&folder).expect("a folder");
        Self::at(folder).await
    }

    /// On a folder that may hold sandboxes of an agent that is gone.
    pub(crate) async fn at(folder: PathBuf) -> Self {
        let parent = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let runtime =
            SandboxRuntime::open(config(&folder, &parent)).unwrap_or_else(|e| panic!("{}", chain(&e)));
        let facts = runtime.facts().await.expect("facts");
        Self {
            runtime: Handle(Some(runtime)),
            folder,
            parent,
            facts,
            keep: false,
        }
    }

    /// Lets go of the folder, as an agent that has ended.
    pub(crate) fn close(&mut self) {
        self.runtime = Handle(None);
    }

    /// Ends without tidying up; the folder goes to the next.
    pub(crate) fn leave(mut self) -> PathBuf {
        self.keep = true;
        self.folder.clone()
    }

    pub(crate) async fn runtime_create(&self, spec: &SandboxSpec) -> Sandbox {
        self.runtime
            .create(spec)
            .await
            .unwrap_or_else(|e| panic!("create: {}", chain(&e)))
    }

    pub(crate) fn config(&self) -> SandboxConfig {
        config(&self.folder, &self.parent)
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    pub(crate) fn spec(&self, id: &str, args: &[&str]) -> SandboxSpec {
        let id = SandboxId::new(id).expect("an id");
        let logs = LogConfig::new(self.logs().join(id.as_str()));
        let mut spec = SandboxSpec::new(id, RootFs::Host, args.iter().copied(), logs);
        spec.hostname = "inside".to_owned();
        spec.env = env();
        spec
    }

    /// Runs a shell script inside and answers its code and what it wrote to both streams.
    pub(crate) async fn sh(&self, id: &str, script: &str) -> (Option<i32>, String) {
        self.run(&self.spec(id, &["/bin/sh", "-c", script])).await
    }

    pub(crate) async fn run(&self, spec: &SandboxSpec) -> (Option<i32>, String) {
        self.runtime
            .create(spec)
            .await
            .unwrap_or_else(|e| panic!("create: {}", chain(&e)));
        self.finish(spec).await
    }

    /// From a sandbox at its gate to its removal.
    pub(crate) async fn finish(&self, spec: &SandboxSpec) -> (Option<i32>, String) {
        let started = self.runtime.start(&spec.id).await.expect("starts");
        assert!(matches!(started, Started::Running), "{started:?}");
        let exit = self.runtime.wait(&spec.id).await.expect("ends");
        let output = output(spec);
        self.runtime
            .remove(&spec.id)
            .await
            .unwrap_or_else(|e| panic!("remove: {}", chain(&e)));
        (exit.code(), output)
    }

    /// Where one of the sandbox's control files is.
    pub(crate) fn control_file(&self, controller: &str, id: &str, file: &str) -> PathBuf {
        let mount = match &self.facts.cgroups {
            Cgroups::V1(mounts) => mounts[controller].clone(),
            Cgroups::V2 { mount, .. } => mount.clone(),
            Cgroups::None => panic!("no cgroups"),
        };
        mount.join(&self.parent).join(id).join(file)
    }

    pub(crate) fn is_v2(&self) -> bool {
        matches!(self.facts.cgroups, Cgroups::V2 { .. })
    }

    pub(crate) fn facts(&self) -> &HostFacts {
        &self.facts
    }

    fn group_folders(&self) -> Vec<PathBuf> {
        match &self.facts.cgroups {
            Cgroups::V1(mounts) => mounts.values().map(|m| m.join(&self.parent)).collect(),
            Cgroups::V2 { mount, .. } => vec![mount.join(&self.parent)],
            Cgroups::None => Vec::new(),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        let kernel = LinuxKernel::new();
        let left = std::fs::read_dir(self.folder.join("sandboxes"))
            .into_iter()
            .flatten()
            .flatten();
        for id in left.filter_map(|e| SandboxId::new(e.file_name().to_str()?).ok()) {
            for op in teardown(&self.facts, &id) {
                let _keep_going = kernel.apply(&op);
            }
        }
        for path in self.group_folders() {
            let _keep_going = kernel.apply(&KernelOp::RemoveCgroup { path });
        }
        let _keep_going = kernel.apply(&KernelOp::RemoveTree {
            path: self.folder.clone(),
        });
    }
}

/// On a real file system: an overlay cannot write to every kind.
fn base() -> PathBuf {
    std::env::var_os("TITUS_TEST_DIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from)
}

fn config(folder: &Path, name: &str) -> SandboxConfig {
    let mut config = SandboxConfig::new(folder);
    config.cgroup_parent = name.to_owned();
    config.init = InitProgram::Installed(init());
    config
}

pub(crate) fn init() -> PathBuf {
    std::env::var_os("TITUS_INIT")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_titus-init")), PathBuf::from)
}

/// What programs need in a guest kernel that runs without some of the processor's registers.
pub(crate) fn env() -> Vec<EnvVar> {
    std::env::var("GLIBC_TUNABLES")
        .map(|value| EnvVar::new("GLIBC_TUNABLES", value))
        .into_iter()
        .collect()
}

pub(crate) fn output(spec: &SandboxSpec) -> String {
    let read = |name: &str| std::fs::read(spec.logs.dir.join(name)).unwrap_or_default();
    String::from_utf8_lossy(&[read("stdout"), read("stderr")].concat()).into_owned()
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let source = error
        .source()
        .map(|s| format!(": {}", chain(s)))
        .unwrap_or_default();
    format!("{error}{source}")
}
