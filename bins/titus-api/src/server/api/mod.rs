//! The operations, once: gRPC and REST only carry them.

mod find;
mod hosts;
mod insight;
mod observe;
mod status;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use titus_core::spec::Limits;
use titus_core::time::Timestamp;
use titus_store::clock::Clock;

pub use insight::LogStreamer;
pub use observe::Observed;

use super::context::{CallContext, REVISION_HEADER};
use super::error::{ApiError, ErrorKind};
use super::live::Live;
use super::logs::LogSource;

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
    /// The warm view.
    pub live: Arc<Live>,
    /// Where logs are read.
    pub logs: Arc<dyn LogSource>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How much a job may ask for.
    pub limits: Limits,
    /// What the server says about itself.
    pub about: About,
}

/// Every operation of every service.
pub struct Api {
    parts: Parts,
    started: Timestamp,
    started_elapsed: Duration,
}

impl Api {
    /// The operations over these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let (started, started_elapsed) = (parts.clock.now(), parts.clock.elapsed());
        Self {
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

    /// Holds a read until the view is warm and includes what the caller has seen already.
    async fn fresh(&self, context: &CallContext) -> Result<(), ApiError> {
        if !self.live().reached().warm {
            return Err(ApiError::new(
                ErrorKind::NotReady,
                "the server is reading the cluster's state: try again",
            ));
        }
        let Some(version) = context.min_revision else {
            return Ok(());
        };
        if self.live().wait_for(version, READ_WAIT).await {
            return Ok(());
        }
        let message = format!("reads have not reached {REVISION_HEADER} {version} yet: try again");
        Err(ApiError::new(ErrorKind::NotReady, message))
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}
