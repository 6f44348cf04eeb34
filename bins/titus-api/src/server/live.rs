//! The warm view as the server reads it: shared, with a wake-up for each change and a fixed memory for all watchers.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use titus_core::change::Change;
use titus_core::job::JobRecord;
use titus_core::view::ClusterView;
use titus_store::Version;
use tokio::sync::{broadcast, watch};

/// How many batches a watcher may lag before its stream ends with an error.
const BATCHES: usize = 1_024;

/// The most changes in one batch: with [`BATCHES`] it bounds the memory that all watchers share.
const BATCH: usize = 64;

/// A view that one follower writes and everyone reads.
pub struct Live {
    view: Arc<RwLock<ClusterView>>,
    reached: watch::Sender<Reached>,
    changes: broadcast::Sender<Arc<Batch>>,
}

/// How far the view has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reached {
    /// Every change up to this version is in the view.
    pub version: Version,
    /// Counts the batches that were published.
    pub sequence: u64,
    /// True once everything that was there at the start has been read.
    pub warm: bool,
}

/// Changes in the order in which they were applied.
#[derive(Debug)]
pub struct Batch {
    /// Rises by one from batch to batch.
    pub sequence: u64,
    /// The changes, each task with its job.
    pub changes: Vec<Seen>,
}

/// One change, with the job of a task as it was then.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What changed.
    pub change: Change,
    /// The job of a changed task, where it is known.
    pub job: Option<Arc<JobRecord>>,
}

impl Live {
    /// Shares a view; whoever plans may hold the same one.
    #[must_use]
    pub fn new(view: Arc<RwLock<ClusterView>>) -> Self {
        Self {
            view,
            reached: watch::Sender::new(Reached::default()),
            changes: broadcast::Sender::new(BATCHES),
        }
    }

    /// Reads the view. Hold it for a moment only: whoever writes waits.
    pub fn read(&self) -> RwLockReadGuard<'_, ClusterView> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, ClusterView> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies changes and wakes whoever waits for them; `version` is where the feeds have been read up to.
    pub fn publish(&self, version: Version, changes: Vec<Change>) {
        let mut view = self.write();
        let mut rest = changes.into_iter().peekable();
        let mut sequence = self.reached.borrow().sequence;
        while rest.peek().is_some() {
            let taken: Vec<Seen> = rest
                .by_ref()
                .take(BATCH)
                .map(|change| seen(&mut view, change))
                .collect();
            sequence += 1;
            let batch = Batch {
                sequence,
                changes: taken,
            };
            // Without a watcher there is nobody to tell.
            let _ = self.changes.send(Arc::new(batch));
        }
        self.reached.send_modify(|reached| {
            reached.version = reached.version.max(version);
            reached.sequence = sequence;
        });
    }

    /// Says that everything that was there at the start has been read.
    pub fn set_warm(&self) {
        self.reached.send_modify(|reached| reached.warm = true);
    }

    /// How far the view has come.
    #[must_use]
    pub fn reached(&self) -> Reached {
        *self.reached.borrow()
    }

    /// Waits until the view includes `version`; false when it takes longer than `bound`.
    pub async fn wait_for(&self, version: Version, bound: Duration) -> bool {
        let mut reached = self.reached.subscribe();
        let there = reached.wait_for(|reached| reached.version >= version);
        matches!(tokio::time::timeout(bound, there).await, Ok(Ok(_)))
    }

    /// Every batch from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Arc<Batch>> {
        self.changes.subscribe()
    }

    /// How many streams watch.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.changes.receiver_count()
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("reached", &self.reached())
            .field("watchers", &self.watchers())
            .finish_non_exhaustive()
    }
}

fn seen(view: &mut ClusterView, change: Change) -> Seen {
    view.apply(&change);
    let job = match &change {
        Change::Task(task) => view.job(task.job).map(Arc::clone),
        _ => None,
    };
    Seen { change, job }
}
