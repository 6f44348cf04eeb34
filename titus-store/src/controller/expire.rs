//! Gives up hosts that are not heard from, by the lease's rule: nobody's clock is compared with another's.

use std::collections::BTreeMap;
use std::time::Duration;

use titus_core::id::HostId;
use titus_core::reconcile::{ExpiryLimits, Heard, expire};
use titus_core::time::Millis;

use super::warm::WarmView;
use crate::error::Result;

/// Watches signs of life.
#[derive(Debug)]
pub struct ExpireController {
    limits: ExpiryLimits,
    seen: BTreeMap<HostId, (u64, Duration)>,
    held: usize,
}

impl ExpireController {
    /// A controller.
    #[must_use]
    pub const fn new(limits: ExpiryLimits) -> Self {
        Self {
            limits,
            seen: BTreeMap::new(),
            held: 0,
        }
    }

    /// How often to call [`tick`](Self::tick).
    #[must_use]
    pub const fn interval(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// Hosts that are due to be lost and are not, because too many are silent at once.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held
    }

    /// Looks at all hosts and records what has changed.
    ///
    /// # Errors
    /// The store's. The timers of all hosts then start anew, so that a storage hiccup gives up nobody.
    pub async fn tick(&mut self, warm: &WarmView) -> Result<()> {
        let clock = warm.cluster().clock();
        let start = clock.elapsed();
        let beats = match warm.cluster().host_beats().await {
            Ok(beats) => beats,
            Err(error) => {
                self.seen.clear();
                return Err(error);
            }
        };
        if clock.elapsed().saturating_sub(start) > self.interval() {
            self.seen.clear();
        }
        let mut heard = Vec::with_capacity(beats.len());
        for alive in &beats {
            let seen = self.seen.entry(alive.host).or_insert((alive.beat, start));
            if seen.0 != alive.beat {
                *seen = (alive.beat, start);
            }
            let unchanged =
                Millis(u64::try_from(start.saturating_sub(seen.1).as_millis()).unwrap_or(u64::MAX));
            heard.push(Heard {
                host: alive.host,
                health: alive.health,
                unchanged,
            });
        }
        self.seen
            .retain(|host, _| beats.iter().any(|alive| alive.host == *host));
        let found = expire(&heard, &self.limits);
        if found.held.len() != self.held {
            self.held = found.held.len();
            tracing::warn!(
                hosts = self.held,
                "silent hosts are not given up: too many at once"
            );
        }
        for (host, health) in found.changes {
            let beat = self.seen.get(&host).map_or(0, |seen| seen.0);
            warm.cluster().set_host_health(host, health, beat).await?;
        }
        Ok(())
    }
}
