//! The warm view of a process: a snapshot, then the feeds' tails for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use titus_core::change::Change;
use titus_core::id::JobId;
use titus_core::task::TaskState;
use titus_core::view::ClusterView;
use tokio::sync::{broadcast, watch};

use crate::cluster::{BadRecord, Cluster, Feed, FeedPage};
use crate::error::Result;
use crate::kv::Version;

/// Changes that an observer may be behind before it loses its place.
const OBSERVERS_BEHIND: usize = 16_384;
/// Changes applied under one lock.
const CHUNK: usize = 256;
const MOST_BAD: usize = 100;

/// One change, as observers get it.
#[derive(Debug, Clone)]
pub struct ViewChange {
    /// The version from which on it is seen.
    pub version: Version,
    /// The change.
    pub change: Change,
    /// For a task: the state that the view held before, if it knew the task.
    pub before: Option<TaskState>,
}

/// Why a feed cannot be followed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowError {
    /// Its entries were dropped before they were read: begin again with a new view.
    TooOld,
}

/// Everything that is live, kept up to date. One for each process, shared by all that read.
#[derive(Debug)]
pub struct WarmView {
    cluster: Cluster,
    view: Mutex<ClusterView>,
    applied: Mutex<BTreeMap<Feed, Version>>,
    dirty: Mutex<BTreeSet<JobId>>,
    bad: Mutex<Vec<BadRecord>>,
    /// Rises when a host may have got more room, or has come or gone.
    room: watch::Sender<u64>,
    advanced: watch::Sender<u64>,
    observers: broadcast::Sender<ViewChange>,
}

impl WarmView {
    /// Reads all that is live, then all that changed meanwhile. The view is warm when this answers.
    ///
    /// # Errors
    /// The store's.
    pub async fn load(cluster: Cluster) -> Result<Self> {
        let warm = Self {
            cluster: cluster.clone(),
            view: Mutex::new(ClusterView::new()),
            applied: Mutex::default(),
            dirty: Mutex::default(),
            bad: Mutex::default(),
            room: watch::Sender::new(0),
            advanced: watch::Sender::new(0),
            observers: broadcast::Sender::new(OBSERVERS_BEHIND),
        };
        let mut snapshot = cluster.snapshot().await?;
        let start = snapshot.start();
        while let Some(page) = snapshot.next_page().await? {
            warm.note_bad(page.bad);
            let changes: Vec<_> = page.changes.into_iter().map(|change| (start, change)).collect();
            warm.apply(&changes);
        }
        lock(&warm.applied).extend(Feed::all().map(|feed| (feed, start)));
        warm.catch_up(cluster.version().await?).await?;
        let counts = warm.with(|view| (view.job_count(), view.tasks().count(), view.hosts().count()));
        tracing::info!(
            jobs = counts.0,
            tasks = counts.1,
            hosts = counts.2,
            "view is warm"
        );
        Ok(warm)
    }

    /// The cell that it shows.
    #[must_use]
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Looks at the view. Keep it short: everybody waits meanwhile.
    pub fn with<T>(&self, look: impl FnOnce(&ClusterView) -> T) -> T {
        look(&lock(&self.view))
    }

    /// Plans on the view. Keep it short: everybody waits meanwhile.
    pub fn with_mut<T>(&self, work: impl FnOnce(&mut ClusterView) -> T) -> T {
        work(&mut lock(&self.view))
    }

    /// Applies what a feed has that the view has not; true when that was anything.
    ///
    /// # Errors
    /// The store's; `Ok(Err(TooOld))` when the view must be loaded anew.
    pub async fn advance(&self, feed: Feed) -> Result<Result<bool, FollowError>> {
        let mut any = false;
        loop {
            let after = self.applied(feed);
            match self.cluster.follow(feed, after).await? {
                FeedPage::TooOld => return Ok(Err(FollowError::TooOld)),
                FeedPage::Changes {
                    changes,
                    bad,
                    complete,
                    more,
                } => {
                    self.note_bad(bad);
                    self.apply(&changes);
                    let mut applied = lock(&self.applied);
                    let place = applied.entry(feed).or_default();
                    *place = (*place).max(complete);
                    any |= !changes.is_empty();
                    if !more {
                        return Ok(Ok(any));
                    }
                }
            }
        }
    }

    /// Waits until a feed has something new.
    ///
    /// # Errors
    /// The store's.
    pub async fn changed(&self, feed: Feed) -> Result<()> {
        self.cluster.feed_changed(feed, self.applied(feed)).await
    }

    /// Makes sure that everything up to `version` is applied: whoever wrote at it reads its own write afterwards.
    ///
    /// # Errors
    /// The store's; a feed that is too old is left to its follower.
    pub async fn catch_up(&self, version: Version) -> Result<()> {
        for feed in Feed::all() {
            if self.applied(feed) < version
                && let Err(FollowError::TooOld) = self.advance(feed).await?
            {
                tracing::warn!(?feed, "the view is behind what the feed keeps");
            }
        }
        Ok(())
    }

    /// Up to where a feed was applied.
    #[must_use]
    pub fn applied(&self, feed: Feed) -> Version {
        lock(&self.applied).get(&feed).copied().unwrap_or_default()
    }

    /// Every change from now on, in order. A receiver that falls too far behind is told so and must look anew.
    #[must_use]
    pub fn observe(&self) -> broadcast::Receiver<ViewChange> {
        self.observers.subscribe()
    }

    /// Changes whenever the view does.
    #[must_use]
    pub fn advanced(&self) -> watch::Receiver<u64> {
        self.advanced.subscribe()
    }

    /// Changes whenever some host may have got more room.
    #[must_use]
    pub fn room(&self) -> watch::Receiver<u64> {
        self.room.subscribe()
    }

    /// Records that could not be read, the first hundred.
    #[must_use]
    pub fn bad_records(&self) -> Vec<BadRecord> {
        lock(&self.bad).clone()
    }

    /// Jobs that have changed, or whose tasks have, since the last call.
    pub(super) fn take_dirty(&self) -> BTreeSet<JobId> {
        std::mem::take(&mut *lock(&self.dirty))
    }

    fn apply(&self, changes: &[(Version, Change)]) {
        let mut more_room = false;
        for part in changes.chunks(CHUNK) {
            let mut view = lock(&self.view);
            let mut dirty = lock(&self.dirty);
            for (version, change) in part {
                let before = match change {
                    Change::Task(task) => view.task(task.id).map(|held| held.state),
                    _ => None,
                };
                more_room |= gives_room(change, before);
                view.apply(change);
                match change {
                    Change::Job(job) => _ = dirty.insert(job.id),
                    Change::Task(task) => _ = dirty.insert(task.job),
                    _ => {}
                }
                // Nobody observes most of the time.
                let _no_observer = self.observers.send(ViewChange {
                    version: *version,
                    change: change.clone(),
                    before,
                });
            }
        }
        if !changes.is_empty() {
            self.advanced.send_modify(|n| *n += 1);
        }
        if more_room {
            self.room.send_modify(|n| *n += 1);
        }
    }

    fn note_bad(&self, bad: Vec<BadRecord>) {
        let mut all = lock(&self.bad);
        let room = MOST_BAD.saturating_sub(all.len());
        all.extend(bad.into_iter().take(room));
    }
}

fn gives_room(change: &Change, before: Option<TaskState>) -> bool {
    match change {
        Change::Host(_) | Change::HostGone(_) => true,
        Change::Task(task) => before.is_some_and(TaskState::holds_host) && !task.state.holds_host(),
        _ => false,
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
