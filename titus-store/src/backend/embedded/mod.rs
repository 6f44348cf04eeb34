//! The durable store of one machine, on fjall: group commit, and nothing is answered or seen before it is on disk.

mod committer;
mod folder;
mod journal;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread::JoinHandle;

use async_trait::async_trait;
use bytes::Bytes;
use fjall::{Keyspace, KeyspaceCreateOptions, Readable};
use tokio::sync::oneshot;

use crate::clock::{Clock, SystemClock, lock};
use crate::error::{Error, Result};
use crate::kv::{Entry, KeyRange, Kv, Txn, Version};
use crate::limits::Limits;
use crate::local::conflict::{Checks, Window};
use crate::local::watch::Watches;
use crate::local::{Engine, Intent, LocalTxn, Snapshot};
use crate::metrics::StoreMetrics;
use committer::{Committer, Request};
use folder::{Folder, failure};

const VERSION_KEY: &[u8] = b"version";

/// The store in a folder. A clone is a handle to the same store; the folder is free again when the last handle and the
/// last transaction are gone.
#[derive(Clone)]
pub struct Embedded(Arc<Store>);

impl Embedded {
    /// Opens the store in `folder`, or makes it there when the folder is empty or missing.
    ///
    /// # Errors
    /// [`Error::Backend`] that says what to do: when another process has it open, when the folder holds something else or
    /// a newer format, when it cannot be written, when its content is damaged.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        Self::builder().open(folder)
    }

    /// Other settings.
    #[must_use]
    pub fn builder() -> EmbeddedBuilder {
        EmbeddedBuilder {
            limits: Limits::default(),
            clock: None,
            cache_bytes: 16 << 20,
            buffer_bytes: 16 << 20,
        }
    }

    /// What it counts about itself.
    #[must_use]
    pub fn metrics(&self) -> &StoreMetrics {
        &self.0.shared.metrics
    }

    /// The bytes that it takes on disk.
    ///
    /// # Errors
    /// [`Error::Backend`] when the storage cannot tell.
    pub fn disk_bytes(&self) -> Result<u64> {
        let shared = &self.0.shared;
        shared
            .db
            .disk_space()
            .map_err(|source| failure("measure", shared.folder.path(), source))
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded")
            .field("folder", &self.0.shared.folder.path())
            .field("version", &lock(&self.0.shared.visible).version)
            .finish_non_exhaustive()
    }
}

/// Settings of an [`Embedded`] store.
#[derive(Debug)]
pub struct EmbeddedBuilder {
    limits: Limits,
    clock: Option<Arc<dyn Clock>>,
    cache_bytes: u64,
    buffer_bytes: u64,
}

impl EmbeddedBuilder {
    /// Another transaction budget.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Another clock, for the age of transactions.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// How many bytes of blocks it keeps in memory; 16 MiB by default.
    #[must_use]
    pub const fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// How many bytes of new values it gathers in memory before they go from the journal into tables; 16 MiB by default.
    #[must_use]
    pub const fn buffer_bytes(mut self, bytes: u64) -> Self {
        self.buffer_bytes = bytes;
        self
    }

    /// Opens the store; see [`Embedded::open`].
    ///
    /// # Errors
    /// See [`Embedded::open`].
    pub fn open(self, folder: impl AsRef<Path>) -> Result<Embedded> {
        let folder = Folder::claim(folder.as_ref())?;
        journal::mend(folder.path(), &folder.data())?;
        let fail = |source| failure("open", folder.path(), source);
        let db = fjall::Database::builder(folder.data())
            .cache_size(self.cache_bytes)
            .worker_threads(2)
            .open()
            .map_err(fail)?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(self.buffer_bytes);
        let data = db.keyspace("data", options).map_err(fail)?;
        let meta = db
            .keyspace("meta", KeyspaceCreateOptions::default)
            .map_err(fail)?;
        let stored = meta.get(VERSION_KEY).map_err(fail)?;
        let version = Version(stored.map_or(Ok(0), |bytes| read_version(&bytes))?);
        folder.mark_complete()?;
        tracing::info!(folder = %folder.path().display(), %version, "store opened");

        let visible = Mutex::new(Visible {
            version,
            snapshot: db.snapshot(),
        });
        let shared = Arc::new(Shared {
            limits: self.limits,
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock::new())),
            metrics: StoreMetrics::default(),
            watches: Watches::default(),
            window: Mutex::new(Window::new(version, Checks::ALL)),
            visible,
            broken: OnceLock::new(),
            data,
            meta,
            db,
            folder,
        });
        Store::start(shared).map(|store| Embedded(Arc::new(store)))
    }
}

fn read_version(bytes: &[u8]) -> Result<u64> {
    let exact = bytes.try_into().map_err(|_| Error::Record {
        record: "store version",
        problem: crate::error::RecordProblem::Length(bytes.len()),
    })?;
    Ok(u64::from_be_bytes(exact))
}

/// The handle side: it ends the committer when the last handle goes.
struct Store {
    shared: Arc<Shared>,
    requests: Option<mpsc::Sender<Request>>,
    committer: Option<JoinHandle<()>>,
}

/// What handles and the committer share. The folder comes last: its lock is let go after the database is closed.
struct Shared {
    limits: Limits,
    clock: Arc<dyn Clock>,
    metrics: StoreMetrics,
    watches: Watches,
    window: Mutex<Window>,
    visible: Mutex<Visible>,
    /// What broke the store: set once, after which nothing commits.
    broken: OnceLock<Arc<fjall::Error>>,
    data: Keyspace,
    meta: Keyspace,
    db: fjall::Database,
    folder: Folder,
}

/// The state that readers see: exactly that of the version.
#[derive(Clone)]
struct Visible {
    version: Version,
    snapshot: fjall::Snapshot,
}

impl Store {
    fn start(shared: Arc<Shared>) -> Result<Self> {
        let (requests, waiting) = mpsc::channel();
        let committer = Committer::new(shared.clone());
        let thread = std::thread::Builder::new()
            .name("titus-store".into())
            .spawn(move || committer.run(&waiting))
            .map_err(|source| failure("start the committer of", shared.folder.path(), source.into()))?;
        Ok(Self {
            shared,
            requests: Some(requests),
            committer: Some(thread),
        })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.committer.take()
            && thread.join().is_err()
        {
            tracing::error!(folder = %self.shared.folder.path().display(), "the committer panicked");
        }
    }
}

impl Shared {
    /// The error of a store that no longer commits.
    fn broken(&self) -> Error {
        let advice = "its last write failed, so nothing more is written: make room or repair the disk, then reopen the store";
        let path: PathBuf = self.folder.path().into();
        let source = match self.broken.get() {
            Some(cause) => Box::new(Cause(cause.clone())) as crate::error::BoxError,
            None => "the committer has ended".into(),
        };
        Error::Backend {
            operation: "commit to",
            object: path.display().to_string(),
            advice,
            source,
        }
    }
}

/// A failure that many callers are told of.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Cause(Arc<fjall::Error>);

#[async_trait]
impl Engine for Store {
    type Snapshot = EmbeddedSnapshot;

    fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    fn clock(&self) -> &dyn Clock {
        &*self.shared.clock
    }

    fn metrics(&self) -> &StoreMetrics {
        &self.shared.metrics
    }

    async fn commit(&self, intent: Intent) -> Result<Version> {
        let (reply, answer) = oneshot::channel();
        let request = Request { intent, reply };
        let queue = self.requests.as_ref();
        let queued = queue.is_some_and(|queue| queue.send(request).is_ok());
        if !queued {
            return Err(self.shared.broken());
        }
        // The committer answers every request; if it dies before, nobody knows how far it came.
        answer.await.unwrap_or(Err(Error::Unknown))
    }
}

struct EmbeddedSnapshot {
    shared: Arc<Shared>,
    snapshot: fjall::Snapshot,
}

impl EmbeddedSnapshot {
    fn failed(&self, source: fjall::Error) -> Error {
        failure("read", self.shared.folder.path(), source)
    }
}

impl Snapshot for EmbeddedSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let found = self.snapshot.get(&self.shared.data, key);
        Ok(found.map_err(|e| self.failed(e))?.map(Bytes::from))
    }

    fn scan(&self, range: &KeyRange, each: &mut dyn FnMut(Entry) -> bool) -> Result<()> {
        for guard in self
            .snapshot
            .range(&self.shared.data, &range.start[..]..&range.end[..])
        {
            let (key, value) = guard.into_inner().map_err(|e| self.failed(e))?;
            let (key, value) = (key.into(), value.into());
            if !each(Entry { key, value }) {
                break;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Kv for Embedded {
    async fn begin(&self) -> Result<Box<dyn Txn>> {
        let shared = self.0.shared.clone();
        let begun = shared.clock.elapsed();
        let Visible { version, snapshot } = lock(&shared.visible).clone();
        let snapshot = EmbeddedSnapshot { shared, snapshot };
        Ok(Box::new(LocalTxn::new(self.0.clone(), snapshot, version, begun)))
    }

    async fn changed(&self, prefix: &[u8], since: Version) -> Result<()> {
        let shared = &self.0.shared;
        let woken = shared.watches.register(prefix);
        let visible = lock(&shared.visible).version;
        let already = lock(&shared.window).changed(&KeyRange::prefix(prefix), since, visible);
        if already {
            return Ok(());
        }
        woken.await.map_err(|_| shared.broken())
    }

    async fn version(&self) -> Result<Version> {
        Ok(lock(&self.0.shared.visible).version)
    }
}
