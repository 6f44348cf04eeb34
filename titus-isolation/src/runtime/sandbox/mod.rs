//! The runtime without a daemon: [`SandboxRuntime`] launches, and everything else is read from files and processes.

mod create;
mod id_ranges;
mod observe;
mod remove;
mod start;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::{ContainerRuntime, Exit, Sandbox, Started, Stats};
use crate::caps::CapabilitySet;
use crate::cgroup;
use crate::error::Error;
use crate::facts::HostFacts;
use crate::helper::{self, InitProgram};
use crate::kernel::{LinuxKernel, apply};
use crate::plan::prepare;
use crate::seccomp::{self, Filters};
use crate::spec::{SandboxId, SandboxSpec, Signal};

/// How a [`SandboxRuntime`] is set up.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SandboxConfig {
    /// Folder of the sandboxes' state, on a file system that overlay can write to. One runtime at a time uses it.
    pub state_dir: PathBuf,
    /// Name of the cgroup that holds all sandboxes.
    pub cgroup_parent: String,
    /// What to execute as a sandbox's launcher.
    pub init: InitProgram,
    /// Further absolute paths that image `host` does not show.
    pub hidden: Vec<PathBuf>,
    /// File in which all runtimes of this machine note the id ranges they use.
    pub id_ranges: PathBuf,
}

impl SandboxConfig {
    /// A runtime that keeps its state in a folder and launches by this program.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.into(),
            cgroup_parent: "titus".to_owned(),
            init: InitProgram::CurrentExe,
            hidden: Vec::new(),
            id_ranges: PathBuf::from("/run/titus/id-ranges"),
        }
    }
}

/// Counts since the runtime was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Sandboxes built.
    pub created: u64,
    /// Sandboxes that could not be built.
    pub create_failed: u64,
    /// Commands executed.
    pub started: u64,
    /// Commands that could not be executed.
    pub start_failed: u64,
    /// Sandboxes removed.
    pub removed: u64,
    /// Removals that met failures.
    pub remove_failed: u64,
}

/// Runs sandboxes by its own launcher and init. Cheap to clone; clones are the same runtime.
///
/// It holds no state of its own: what exists is what the state folder, the cgroups and the processes say, so opening
/// it on a folder is adopting what runs there.
#[derive(Debug, Clone)]
pub struct SandboxRuntime {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: SandboxConfig,
    facts: HostFacts,
    kernel: LinuxKernel,
    filters: Mutex<BTreeMap<u64, Arc<Filters>>>,
    /// Sandboxes that are being made at this moment; they are in no list yet.
    making: Mutex<BTreeSet<SandboxId>>,
    counters: [AtomicU64; 6],
    /// Held for as long as the runtime lives; the kernel lets go of it when the process dies.
    _lock: fs::File,
}

#[derive(Debug, Clone, Copy)]
enum Count {
    Created,
    CreateFailed,
    Started,
    StartFailed,
    Removed,
    RemoveFailed,
}

impl SandboxRuntime {
    /// Opens a runtime on a state folder, making it if need be. Sandboxes already there are adopted.
    ///
    /// Fails when this host lacks something that every sandbox needs, and when another process has the folder open.
    /// It blocks for some milliseconds.
    pub fn open(config: SandboxConfig) -> Result<Self, Error> {
        let kernel = LinuxKernel::new();
        let mut facts = HostFacts::detect(&kernel, &config.state_dir, &config.cgroup_parent);
        facts.hidden.clone_from(&config.hidden);
        apply(&kernel, &prepare(&facts))?;
        let lock = lock(&config)?;
        facts.idmapped_mounts = can_map_ids(&config, facts.kernel);
        let inner = Inner {
            config,
            facts,
            kernel,
            filters: Mutex::default(),
            making: Mutex::default(),
            counters: Default::default(),
            _lock: lock,
        };
        inner.filters(CapabilitySet::default())?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// What has happened since it was opened.
    pub fn counters(&self) -> Counters {
        let count = |what: Count| self.inner.counters[what as usize].load(Ordering::Relaxed);
        Counters {
            created: count(Count::Created),
            create_failed: count(Count::CreateFailed),
            started: count(Count::Started),
            start_failed: count(Count::StartFailed),
            removed: count(Count::Removed),
            remove_failed: count(Count::RemoveFailed),
        }
    }

    /// Builds a sandbox without parts of its hardening. For escape tests alone.
    #[cfg(feature = "conformance")]
    #[doc(hidden)]
    pub async fn create_weakened(
        &self,
        spec: &SandboxSpec,
        weakened: crate::conformance::Weakened,
    ) -> Result<Sandbox, Error> {
        let spec = spec.clone();
        self.blocking(move |inner| {
            inner.create(&spec, &|plan, filters| {
                weakened.apply(plan);
                let open = weakened
                    .filters()
                    .map_err(|e| Error::kernel("compile", "open filters", e))?;
                if let Some(open) = open {
                    *filters = Arc::new(open);
                }
                Ok(())
            })
        })
        .await
    }

    /// Runs something that blocks off the async workers.
    async fn blocking<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = Arc::clone(&self.inner);
        let done = tokio::task::spawn_blocking(move || what(&inner)).await;
        done.map_err(|source| Error::kernel("run", "a blocking task", std::io::Error::other(source)))?
    }
}

impl Inner {
    /// Compiled once for each set of capabilities.
    fn filters(&self, capabilities: CapabilitySet) -> Result<Arc<Filters>, Error> {
        let mut cache = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(filters) = cache.get(&capabilities.bits()) {
            return Ok(Arc::clone(filters));
        }
        let compiled = seccomp::compile(capabilities)
            .map_err(|source| Error::kernel("compile", "the seccomp filters", source))?;
        let filters = Arc::new(compiled);
        cache.insert(capabilities.bits(), Arc::clone(&filters));
        Ok(filters)
    }

    fn making(&self) -> MutexGuard<'_, BTreeSet<SandboxId>> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, what: Count) {
        self.counters[what as usize].fetch_add(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl ContainerRuntime for SandboxRuntime {
    async fn facts(&self) -> Result<HostFacts, Error> {
        Ok(self.inner.facts.clone())
    }

    async fn create(&self, spec: &SandboxSpec) -> Result<Sandbox, Error> {
        let spec = spec.clone();
        self.blocking(move |inner| inner.create(&spec, &|_, _| Ok(())))
            .await
    }

    async fn start(&self, id: &SandboxId) -> Result<Started, Error> {
        let id = id.clone();
        self.blocking(move |inner| inner.start(&id)).await
    }

    async fn signal(&self, id: &SandboxId, signal: Signal) -> Result<bool, Error> {
        self.inner.signal(id, signal)
    }

    async fn wait(&self, id: &SandboxId) -> Result<Exit, Error> {
        self.inner.wait(id).await
    }

    async fn list(&self) -> Result<Vec<Sandbox>, Error> {
        self.blocking(Inner::list).await
    }

    async fn remove(&self, id: &SandboxId) -> Result<(), Error> {
        let id = id.clone();
        self.blocking(move |inner| inner.remove(&id)).await
    }

    async fn stats(&self, id: &SandboxId) -> Result<Stats, Error> {
        let id = id.clone();
        self.blocking(move |inner| {
            cgroup::read_stats(&inner.kernel, &inner.facts, &id).ok_or(Error::NotFound { id })
        })
        .await
    }
}

/// Overlay takes id-mapped layers from 5.19 on; the rest depends on the file system, so it is tried.
fn can_map_ids(config: &SandboxConfig, kernel: (u32, u32)) -> Option<bool> {
    if kernel < (5, 19) {
        return Some(false);
    }
    match helper::probe_id_map(&config.init, &config.state_dir) {
        Ok(tried) => Some(tried.is_ok()),
        Err(error) => {
            tracing::warn!(%error, init = config.init.describe(), "the helper gave no answer");
            None
        }
    }
}

/// How long a lock that is held is waited for.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

fn lock(config: &SandboxConfig) -> Result<fs::File, Error> {
    let path = config.state_dir.join("lock");
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = file.map_err(|source| Error::kernel("open", &path, source))?;
    // A process that is being started holds the files of its parent until it executes its program: a lock that was
    // just let go of may seem held for that moment.
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(fs::TryLockError::WouldBlock) => {
                return Err(Error::kernel(
                    "use, since another process has it open: stop that one or choose another state folder,",
                    &config.state_dir,
                    std::io::ErrorKind::ResourceBusy.into(),
                ));
            }
            Err(fs::TryLockError::Error(source)) => return Err(Error::kernel("lock", &path, source)),
        }
    }
}
