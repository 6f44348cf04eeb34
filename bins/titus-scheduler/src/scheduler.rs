//! The loops of a scheduler process: follow, renew, reconcile, schedule, expire, archive.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use titus_api::server::Live;
use titus_core::id::JobId;
use titus_core::reconcile::{ExpiryLimits, Limits};
use titus_core::rng::RngTree;
use titus_core::schedule::{Planner, StandardPlanner};
use titus_core::time::Timestamp;
use titus_store::cluster::{Cluster, Feed, Lease, LeaseKeeper, MemberId};
use titus_store::controller::{
    ArchiveController, ExpireController, FollowError, ReconcileController, Retention, ScheduleController,
    Waiting, WarmView,
};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::metrics::{Loop, SchedulerMetrics};

/// Changes are gathered for so long before a loop looks at them.
const GATHER: Duration = Duration::from_millis(2);
/// After a failure of the store a loop tries again after this, doubled up to [`RETRY_MAX`].
const RETRY: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// How a scheduler behaves. Plain data.
#[derive(Debug, Clone)]
pub struct SchedulerConfig {
    /// The length of the lease: 1 s on memory and embedded stores.
    pub lease: Duration,
    /// Bounds of reconciling.
    pub reconcile: Limits,
    /// When silent hosts are given up.
    pub expiry: ExpiryLimits,
    /// How long finished things are kept.
    pub retention: Retention,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(1),
            reconcile: Limits::default(),
            expiry: ExpiryLimits::default(),
            retention: Retention::default(),
        }
    }
}

/// A scheduler process, ready to [`run`](Self::run).
#[derive(Debug)]
pub struct Scheduler {
    cluster: Cluster,
    live: Arc<Live>,
    keeper: LeaseKeeper,
    schedule: ScheduleController,
    reconcile: ReconcileController,
    expire: ExpireController,
    archive: ArchiveController,
    metrics: SchedulerMetrics,
}

/// Why the loops over one view ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Stopped,
    TooOld,
}

/// The lease as the keeper last had it, and until when it may be planned under.
type Held = Option<(Lease, Duration)>;

impl Scheduler {
    /// A scheduler with the standard planner.
    #[must_use]
    pub fn new(cluster: Cluster, config: SchedulerConfig, rng: &RngTree) -> Self {
        Self::with_planner(cluster, config, rng, Box::new(StandardPlanner::new()))
    }

    /// A scheduler with a planner of the caller's own.
    #[must_use]
    pub fn with_planner(
        cluster: Cluster,
        config: SchedulerConfig,
        rng: &RngTree,
        planner: Box<dyn Planner>,
    ) -> Self {
        let member = MemberId::generate(&mut rng.child("member"));
        let live = Arc::new(Live::new());
        let schedule = ScheduleController::new(planner, rng.child("plan"));
        let metrics = SchedulerMetrics::new(Arc::clone(&live), schedule.counters());
        Self {
            live,
            keeper: LeaseKeeper::new(cluster.clone(), member, config.lease),
            schedule,
            reconcile: ReconcileController::new(config.reconcile, rng.child("reconcile")),
            expire: ExpireController::new(config.expiry),
            archive: ArchiveController::new(config.retention),
            metrics,
            cluster,
        }
    }

    /// The warm view, once it is there.
    #[must_use]
    pub const fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Why jobs wait.
    #[must_use]
    pub fn waiting(&self) -> Arc<Mutex<BTreeMap<JobId, Waiting>>> {
        self.schedule.waiting()
    }

    /// What the process measures.
    #[must_use]
    pub const fn metrics(&self) -> &SchedulerMetrics {
        &self.metrics
    }

    /// Runs until `stop` turns true, then gives its shards away.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let Some(warm) = load(&self.cluster, &self.metrics, &stop).await else {
                break;
            };
            self.live.set(Arc::clone(&warm));
            if self.follow_and_act(&warm, &mut stop).await == Ended::Stopped {
                break;
            }
            tracing::warn!("the view fell further behind than the feeds reach; loading it anew");
        }
        if let Err(error) = self.keeper.give_away().await {
            tracing::warn!(%error, "leases were not given away; others take them when they expire");
        }
    }

    async fn follow_and_act(&mut self, warm: &Arc<WarmView>, stop: &mut watch::Receiver<bool>) -> Ended {
        let mut followers = JoinSet::new();
        for feed in Feed::all() {
            followers.spawn(follow(Arc::clone(warm), feed, self.metrics.clone()));
        }
        let held = watch::Sender::new(None);
        let Self {
            keeper,
            schedule,
            reconcile,
            expire,
            archive,
            metrics,
            ..
        } = self;
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => Ended::Stopped,
            _ = followers.join_next() => Ended::TooOld,
            () = keep(keeper, &held, metrics) => Ended::Stopped,
            () = reconcile_loop(reconcile, warm, held.subscribe(), metrics) => Ended::Stopped,
            () = schedule_loop(schedule, warm, held.subscribe(), metrics) => Ended::Stopped,
            () = expire_loop(expire, warm, held.subscribe(), metrics) => Ended::Stopped,
            () = archive_loop(archive, warm, held.subscribe(), metrics) => Ended::Stopped,
        }
    }
}

/// Loads the view, again and again until the store lets it; `None` when the process shall stop.
async fn load(
    cluster: &Cluster,
    metrics: &SchedulerMetrics,
    stop: &watch::Receiver<bool>,
) -> Option<Arc<WarmView>> {
    let mut retry = RETRY;
    while !*stop.borrow() {
        match WarmView::load(cluster.clone()).await {
            Ok(warm) => return Some(Arc::new(warm)),
            Err(error) => {
                metrics.failed(Loop::Load);
                tracing::error!(%error, "the view cannot be loaded; trying again");
            }
        }
        tokio::time::sleep(retry).await;
        retry = (retry * 2).min(RETRY_MAX);
    }
    None
}

/// Applies a feed for ever; returns when its entries were dropped before they were read.
async fn follow(warm: Arc<WarmView>, feed: Feed, metrics: SchedulerMetrics) {
    let mut retry = RETRY;
    loop {
        let outcome = match warm.changed(feed).await {
            Ok(()) => warm.advance(feed).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(Ok(_)) => retry = RETRY,
            Ok(Err(FollowError::TooOld)) => return,
            Err(error) => {
                metrics.failed(Loop::Follow);
                tracing::warn!(?feed, %error, "feed cannot be followed; trying again");
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(RETRY_MAX);
            }
        }
    }
}

async fn keep(keeper: &mut LeaseKeeper, held: &watch::Sender<Held>, metrics: &SchedulerMetrics) {
    loop {
        match keeper.tick().await {
            Ok(changed) if changed => metrics.lease_changed(),
            Ok(_) => {}
            Err(error) => {
                metrics.failed(Loop::Lease);
                tracing::warn!(%error, "lease not renewed");
            }
        }
        let now = keeper.lease().cloned().zip(keeper.valid_until());
        metrics.shards(now.as_ref().map_or(0, |(lease, _)| lease.shards().count()));
        held.send_if_modified(|last| {
            let owned = |held: &Held| held.as_ref().map(|(lease, _)| lease.clone());
            let changed = owned(last) != owned(&now);
            *last = now;
            changed
        });
        tokio::time::sleep(keeper.interval()).await;
    }
}

/// The lease, when it may still be planned under.
fn current(held: &watch::Receiver<Held>, warm: &WarmView) -> Option<Lease> {
    let held = held.borrow();
    let (lease, until) = held.as_ref()?;
    (warm.cluster().clock().elapsed() < *until).then(|| lease.clone())
}

/// Waits for a change of the view or the lease, or until `wake`; then gathers a little.
async fn wait(
    warm: &WarmView,
    advanced: &mut watch::Receiver<u64>,
    held: &mut watch::Receiver<Held>,
    wake: Option<Timestamp>,
) {
    let now = warm.cluster().clock().now();
    let timer = async {
        match wake {
            Some(at) => tokio::time::sleep(at.since(now).as_duration()).await,
            None => pending().await,
        }
    };
    tokio::select! {
        _ = advanced.changed() => {}
        _ = held.changed() => {}
        () = timer => return,
    }
    tokio::time::sleep(GATHER).await;
}

async fn reconcile_loop(
    controller: &mut ReconcileController,
    warm: &WarmView,
    mut held: watch::Receiver<Held>,
    metrics: &SchedulerMetrics,
) {
    let mut advanced = warm.advanced();
    let mut owner: Option<Lease> = None;
    let mut retry = RETRY;
    loop {
        let lease = current(&held, warm);
        if lease.is_some() && lease != owner {
            controller.look_at_all(warm);
        }
        let mut wake = None;
        if let Some(lease) = &lease {
            let start = tokio::time::Instant::now();
            match controller.tick(warm, lease).await {
                Ok(next) => {
                    wake = next;
                    retry = RETRY;
                }
                Err(error) => {
                    report(metrics, Loop::Reconcile, &error);
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(RETRY_MAX);
                    continue;
                }
            }
            metrics.ticked(Loop::Reconcile, start.elapsed());
            metrics.reconciled(controller.actions());
        }
        owner = lease;
        wait(warm, &mut advanced, &mut held, wake).await;
    }
}

async fn schedule_loop(
    controller: &mut ScheduleController,
    warm: &WarmView,
    mut held: watch::Receiver<Held>,
    metrics: &SchedulerMetrics,
) {
    let mut advanced = warm.advanced();
    let mut retry = RETRY;
    loop {
        let mut wake = None;
        if let Some(lease) = current(&held, warm) {
            let start = tokio::time::Instant::now();
            match controller.tick(warm, &lease).await {
                Ok(next) => {
                    wake = next;
                    retry = RETRY;
                }
                Err(error) => {
                    report(metrics, Loop::Schedule, &error);
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(RETRY_MAX);
                    continue;
                }
            }
            metrics.ticked(Loop::Schedule, start.elapsed());
        }
        wait(warm, &mut advanced, &mut held, wake).await;
    }
}

async fn expire_loop(
    controller: &mut ExpireController,
    warm: &WarmView,
    held: watch::Receiver<Held>,
    metrics: &SchedulerMetrics,
) {
    loop {
        if current(&held, warm).is_some()
            && let Err(error) = controller.tick(warm).await
        {
            report(metrics, Loop::Expire, &error);
        }
        metrics.hosts_held(controller.held());
        tokio::time::sleep(controller.interval()).await;
    }
}

async fn archive_loop(
    controller: &mut ArchiveController,
    warm: &WarmView,
    held: watch::Receiver<Held>,
    metrics: &SchedulerMetrics,
) {
    loop {
        if let Some(lease) = current(&held, warm)
            && let Err(error) = controller.tick(warm, &lease).await
        {
            report(metrics, Loop::Archive, &error);
        }
        metrics.archived(controller.archived());
        tokio::time::sleep(controller.interval()).await;
    }
}

fn report(metrics: &SchedulerMetrics, at: Loop, error: &titus_store::Error) {
    metrics.failed(at);
    tracing::warn!(%error, at = at.name(), "controller failed; trying again");
}
