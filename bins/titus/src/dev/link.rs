//! The agents' conversation with a scheduler in the same process.

use std::time::Duration;

use async_trait::async_trait;
use titus_agent::link::{ControlLink, Hold, LinkError};
use titus_core::wire::{Directive, HostReport};
use titus_store::cluster::Cluster;

/// Directives are gathered for so long before they go out.
const GATHER: Duration = Duration::from_millis(5);

/// Talks with the store itself.
#[derive(Debug)]
pub(super) struct DirectLink(Cluster);

impl DirectLink {
    pub(super) const fn new(cluster: Cluster) -> Self {
        Self(cluster)
    }
}

#[async_trait]
impl ControlLink for DirectLink {
    async fn sync(&self, report: HostReport, mut hold: Hold<'_>) -> Result<Directive, LinkError> {
        let host = report.host();
        self.0.beat(&[host]).await.map_err(failed)?;
        let mut directive = self.0.sync_host(&report).await.map_err(failed)?;
        while directive.generation <= report.generation {
            let version = self.0.version().await.map_err(failed)?;
            // What changed between the two reads is seen by the next one.
            let current = self.0.directive(host).await.map_err(failed)?;
            if current.generation > report.generation {
                directive = current;
                break;
            }
            tokio::select! {
                changed = self.0.host_changed(host, version) => changed.map_err(failed)?,
                () = &mut hold => return Ok(current),
            }
            tokio::time::sleep(GATHER).await;
            directive = self.0.directive(host).await.map_err(failed)?;
        }
        Ok(directive)
    }
}

fn failed(error: titus_store::Error) -> LinkError {
    LinkError::Unavailable(Box::new(error))
}
