//! A scheduler of one's own on titus-core and titus-store: each waiting task goes to the host with the most free memory.
//! Run it with `cargo run -p titus-store --example custom_scheduler`.

mod cell;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use titus_core::id::PlanId;
use titus_core::reconcile::Limits;
use titus_core::rng::RngTree;
use titus_core::round::Round;
use titus_core::schedule::{PendingTask, Plan};
use titus_core::shard::ShardId;
use titus_store::backend::MemKv;
use titus_store::clock::{Clock as _, SystemClock};
use titus_store::cluster::{Cluster, LeaseKeeper, MemberId};
use titus_store::controller::{ReconcileController, WarmView};

/// The policy. Everything else is the library's.
fn most_free_memory(round: &mut Round<'_>, pending: &[PendingTask]) -> Plan {
    let (id, unplaced) = (round.plan_id(), Vec::new());
    let mut placements = Vec::new();
    for waiting in pending {
        let hosts = round.view().hosts().map(|host| host.spec.id);
        let roomiest = hosts.max_by_key(|host| round.view().free_on_host(*host).memory_mb);
        // The round refuses a host without room; the task then waits on.
        if let Some(Ok(placement)) = roomiest.map(|host| round.place(waiting.task, host)) {
            placements.push(placement);
        }
    }
    Plan {
        id,
        placements,
        unplaced,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let clock = Arc::new(SystemClock::new());
    let cluster = Cluster::new(Arc::new(MemKv::new()), clock.clone());
    let tree = RngTree::new(7);
    let mut rng = tree.child("ids");
    cell::furnish(&cluster, &mut rng).await?;

    // Own the cell's shards: every commit below is fenced by this lease.
    let member = MemberId::generate(&mut rng);
    let mut keeper = LeaseKeeper::new(cluster.clone(), member, Duration::from_secs(1));
    keeper.tick().await?;
    let lease = keeper.lease().ok_or("somebody else owns the cell")?;

    // Know everything, and let the library's reconciler make the job's tasks.
    let warm = WarmView::load(cluster.clone()).await?;
    let mut reconcile = ReconcileController::new(Limits::default(), tree.child("reconcile"));
    reconcile.look_at_all(&warm);
    reconcile.tick(&warm, lease).await?;
    warm.catch_up(cluster.version().await?).await?;

    // Read what waits, open a round on the view, plan, and commit: the commit checks every host again.
    let now = clock.now();
    let plan = warm.with_mut(|view| {
        let pending: Vec<PendingTask> = view.pending(|shard| lease.owns(shard), now).collect();
        let mut round = view.round(PlanId::generate(now, ShardId::of("example"), &mut rng));
        let plan = most_free_memory(&mut round, &pending);
        round.keep();
        plan
    });
    let committed = cluster.commit(&plan, lease).await?;

    for placed in &committed.placed {
        println!("task {} goes to {}", placed.task, placed.host);
    }
    println!(
        "{} placed, {} refused",
        committed.placed.len(),
        committed.refused.len()
    );
    Ok(())
}
