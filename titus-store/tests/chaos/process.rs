//! A scheduler process: a lease, a warm view and the controllers. It may die at any moment, and its store may fail.

use std::sync::Arc;
use std::time::Duration;

use titus_core::reconcile::{ExpiryLimits, Limits};
use titus_core::rng::RngTree;
use titus_core::schedule::StandardPlanner;
use titus_core::time::Millis;
use titus_store::Result;
use titus_store::cluster::{Cluster, LeaseKeeper, MemberId};
use titus_store::controller::{
    ArchiveController, ExpireController, ReconcileController, Retention, ScheduleController, WarmView,
};

pub(crate) struct Process {
    pub(crate) cluster: Cluster,
    warm: Arc<WarmView>,
    keeper: LeaseKeeper,
    schedule: ScheduleController,
    reconcile: ReconcileController,
    expire: ExpireController,
    archive: ArchiveController,
}

impl Process {
    pub(crate) async fn start(cluster: Cluster, seed: u64) -> Result<Self> {
        let tree = RngTree::new(seed).branch("process");
        let member = MemberId::generate(&mut tree.child("member"));
        let retention = Retention {
            finished: Millis::from_secs(10),
            ..Retention::default()
        };
        let limits = Limits {
            stuck: 10,
            ..Limits::default()
        };
        Ok(Self {
            warm: Arc::new(WarmView::load(cluster.clone()).await?),
            keeper: LeaseKeeper::new(cluster.clone(), member, Duration::from_secs(1)),
            schedule: ScheduleController::new(Box::new(StandardPlanner::new()), tree.child("plan")),
            reconcile: ReconcileController::new(limits, tree.child("reconcile")),
            expire: ExpireController::new(ExpiryLimits::default()),
            archive: ArchiveController::new(retention),
            cluster,
        })
    }

    /// One of the things that a process does, by number. An error is what the next call is for.
    pub(crate) async fn step(&mut self, which: u64) -> Result<()> {
        match which {
            0..=1 => {
                let changed = self.keeper.tick().await?;
                if changed {
                    self.reconcile.look_at_all(&self.warm);
                }
            }
            2..=4 => self.warm.catch_up(self.cluster.version().await?).await?,
            5..=9 => {
                let Some(lease) = self.keeper.lease().cloned() else {
                    return Ok(());
                };
                match which {
                    5 => _ = self.reconcile.tick(&self.warm, &lease).await?,
                    6 => _ = self.schedule.tick(&self.warm, &lease).await?,
                    7 => self.archive.tick(&self.warm, &lease).await?,
                    8 => self.expire.tick(&self.warm).await?,
                    _ => {}
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Everything once, in order.
    pub(crate) async fn turn(&mut self) -> Result<()> {
        for which in [0, 2, 5, 2, 6, 2, 8] {
            self.step(which).await?;
        }
        Ok(())
    }
}
