//! The operations, once: gRPC and REST only carry them.

mod events;
mod find;
mod hosts;
mod insight;
mod observe;
mod status;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use titus_core::id::JobId;
use titus_core::rng::Rng;
use titus_core::spec::Limits;
use titus_core::time::Timestamp;
use titus_store::clock::Clock;
use titus_store::cluster::Cluster;
use titus_store::controller::{Waiting, WarmView};

pub use insight::LogStreamer;
pub use observe::Observed;
pub use write::Reply;

pub(crate) use write::unoffered;

use super::context::{CallContext, REVISION_HEADER};
use super::error::{ApiError, ErrorKind};
use super::live::Live;
use super::logs::LogSource;
use write::store_failed;

/// How long a read waits for the revision that it must see.
const READ_WAIT: Duration = Duration::from_secs(1);

/// What this server is, for people and for probes.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The cell that it belongs to.
    pub cell: String,
    /// The store in use, as `embedded /var/lib/titus`.
    pub store: String,
    /// The container runtime in use.
    pub runtime: String,
    /// The network data path in use.
    pub data_path: String,
    /// The URL below which it answers, without a slash at its end.
    pub base_url: String,
}

/// What the operations work on.
#[derive(Debug, Clone)]
pub struct Parts {
    /// What is stored.
    pub cluster: Cluster,
    /// The warm view.
    pub live: Arc<Live>,
    /// Why jobs wait, from the controller that places them.
    pub waiting: Arc<Mutex<BTreeMap<JobId, Waiting>>>,
    /// Where logs are read.
    pub logs: Arc<dyn LogSource>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How much a job may ask for.
    pub limits: Limits,
    /// Where new ids come from: seeded by the process, so that no two processes make the same.
    pub ids: Rng,
    /// What the server says about itself.
    pub about: About,
}

/// Every operation of every service.
pub struct Api {
    parts: Parts,
    rng: Mutex<Rng>,
    started: Timestamp,
    started_elapsed: Duration,
}

impl Api {
    /// The operations over these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let (started, started_elapsed) = (parts.clock.now(), parts.clock.elapsed());
        Self {
            rng: Mutex::new(parts.ids.clone()),
            parts,
            started,
            started_elapsed,
        }
    }

    /// The warm view.
    #[must_use]
    pub fn live(&self) -> &Arc<Live> {
        &self.parts.live
    }

    /// The view, once it includes what the caller has seen already.
    async fn fresh(&self, context: &CallContext) -> Result<Arc<WarmView>, ApiError> {
        let warm = self.live().warm()?;
        let Some(version) = context.min_revision else {
            return Ok(warm);
        };
        let behind = || {
            let message = format!("reads have not reached {REVISION_HEADER} {version} yet: try again");
            ApiError::new(ErrorKind::NotReady, message)
        };
        if self.parts.cluster.version().await.map_err(|e| store_failed(&e))? < version {
            return Err(behind());
        }
        match tokio::time::timeout(READ_WAIT, warm.catch_up(version)).await {
            Ok(caught_up) => caught_up.map_err(|e| store_failed(&e)).map(|()| warm),
            Err(_) => Err(behind()),
        }
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}
