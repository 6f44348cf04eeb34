//! Everything about clusters, written once above [`Kv`] and the same on every backend.
//!
//! Each operation is one file. Each is safe to repeat: after an unknown outcome it looks for its own work first.

mod alive;
mod archive;
mod change_job;
mod commit;
mod feed;
mod keys;
mod lease;
mod query;
mod reconcile;
pub mod record;
mod snapshot;
mod specs;
mod submit;
mod sync_host;
mod tx;

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::kv::{Kv, Version};

pub use alive::HostAlive;
pub use change_job::{ChangeRefused, JobChange, KillRequest};
pub use commit::Committed;
pub use feed::FeedPage;
pub use keys::Feed;
pub use lease::{Lease, LeaseKeeper, MemberId};
pub use query::{FoundJob, FoundTask};
pub use record::note::Note;
pub use snapshot::{BadRecord, Snapshot, SnapshotPage};
use specs::SpecCache;
pub use submit::{Submission, SubmitRefused, Submitted};
use tx::Tx;

/// The operations of one cell. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cluster {
    kv: Arc<dyn Kv>,
    clock: Arc<dyn Clock>,
    specs: Arc<SpecCache>,
}

/// How often an operation begins again before it gives up. A conflict is quick, and contention passes.
const TRIES: u32 = 64;

impl Cluster {
    /// The cell in a store.
    #[must_use]
    pub fn new(kv: Arc<dyn Kv>, clock: Arc<dyn Clock>) -> Self {
        Self {
            kv,
            clock,
            specs: Arc::default(),
        }
    }

    /// The store underneath.
    #[must_use]
    pub const fn kv(&self) -> &Arc<dyn Kv> {
        &self.kv
    }

    /// The clock in use.
    #[must_use]
    pub const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    async fn begin(&self) -> Result<Tx> {
        Ok(Tx::new(self.kv.begin().await?))
    }

    /// Runs `body` and commits what it wrote, again and again while that conflicts or its outcome is unknown.
    /// `body` looks at the store each time, so it finds what an unknown commit of its own has done.
    async fn write<T>(
        &self,
        operation: &'static str,
        body: impl AsyncFn(Tx) -> Result<(Tx, T)>,
    ) -> Result<(T, Version)> {
        let mut last = Error::Unknown;
        for attempt in 0..TRIES {
            let outcome = match self.begin().await {
                Ok(tx) => match body(tx).await {
                    Ok((tx, value)) => tx.commit().await.map(|version| (value, version)),
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            match outcome {
                Ok(done) => return Ok(done),
                Err(error) if error.is_retryable() => {
                    tracing::debug!(operation, attempt, %error, "transaction begins again");
                    last = error;
                }
                Err(error) => return Err(error),
            }
            if attempt > 4 {
                back_off(attempt).await;
            }
        }
        tracing::warn!(operation, tries = TRIES, "gave up after conflicts");
        Err(last)
    }
}

/// Gives others room under contention, without a clock: a few turns of the executor.
async fn back_off(attempt: u32) {
    for _ in 0..attempt {
        let mut yielded = false;
        std::future::poll_fn(|context| {
            if yielded {
                return Poll::Ready(());
            }
            yielded = true;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// How long a request key is remembered.
pub const REQUEST_KEY_LIFE: Duration = Duration::from_secs(3_600);
