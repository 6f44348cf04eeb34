//! The agent's one conversation with the control plane.

use std::future::Future;
use std::pin::Pin;

use async_trait::async_trait;
use titus_core::wire::{Directive, HostReport};

/// Resolves when the agent wants an answer now, because its state has changed.
pub type Hold<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Where reports go and directives come from.
#[async_trait]
pub trait ControlLink: Send + Sync {
    /// Delivers the report, then answers with the directive as soon as its generation is above the report's, or with
    /// the current one once `hold` resolves. The report is delivered in any case before `hold` is looked at.
    ///
    /// # Errors
    /// [`LinkError`] when nothing is known of the delivery; the agent calls again with its newest report.
    async fn sync(&self, report: HostReport, hold: Hold<'_>) -> Result<Directive, LinkError>;
}

/// A conversation that failed; the agent carries on with what it has and tries again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Nobody answers, or the answer did not come.
    #[error("the control plane does not answer; running containers are not affected, trying again")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The control plane will not talk to this host.
    #[error("the control plane refuses this host: {reason}")]
    Refused {
        /// What it says.
        reason: String,
    },
}
