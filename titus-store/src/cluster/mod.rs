//! Everything about clusters, written once above [`Kv`] and the same on every backend.
//!
//! Each operation is one file. Each is safe to repeat: after an unknown outcome it looks for its own work first.

mod alive;
mod archive;
mod change_job;
mod commit;
mod feed;
#[cfg(test)]
mod golden;
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
use crate::error::Result;
use crate::kv::Kv;

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
}

/// Begins a transaction on a cluster, runs a body that answers with `Ok((tx, value))`, and commits: again and again while
/// that conflicts or its outcome is unknown. The body looks at the store each time, so it finds what an unknown commit
/// of its own has done. Yields a `Result` of the value and the commit's version.
///
/// A macro and not a function over an async closure: the compiler cannot tell yet that the future of one is `Send`.
macro_rules! transact {
    ($cluster:expr, $operation:literal, |$tx:pat_param| $body:block) => {{
        let mut attempts = $crate::cluster::Attempts::new($operation);
        loop {
            let outcome: $crate::error::Result<_> = async {
                let $tx = $cluster.begin().await?;
                $body
            }
            .await;
            let outcome = match outcome {
                Ok((tx, value)) => tx.commit().await.map(|version| (value, version)),
                Err(error) => Err(error),
            };
            match attempts.settle(outcome).await {
                Some(done) => break done,
                None => continue,
            }
        }
    }};
}
use transact;

/// The attempts of one operation.
#[derive(Debug)]
struct Attempts {
    operation: &'static str,
    made: u32,
}

impl Attempts {
    const fn new(operation: &'static str) -> Self {
        Self { operation, made: 0 }
    }

    /// What the operation answers, or `None` when it shall begin again.
    async fn settle<T>(&mut self, outcome: Result<T>) -> Option<Result<T>> {
        let error = match outcome {
            Err(error) if error.is_retryable() => error,
            settled => return Some(settled),
        };
        self.made += 1;
        let Self { operation, made } = *self;
        tracing::debug!(operation, made, %error, "transaction begins again");
        if made >= TRIES {
            tracing::warn!(operation, made, "gave up after conflicts");
            return Some(Err(error));
        }
        if made > 4 {
            back_off(made).await;
        }
        None
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
