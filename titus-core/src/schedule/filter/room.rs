//! Whether a host takes tasks at all, and whether it has room. The index answers both in the search; these are
//! the same rules in words, for reports.

use crate::host::HostHealth;
use crate::schedule::policy::{Amounts, Filter, Reads, Reject};
use crate::schedule::{Ask, Candidate};

/// Only hosts that are ready, not being emptied, and not taken by a task that wants its host alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Available;

impl Filter for Available {
    fn name(&self) -> &'static str {
        "available"
    }

    fn reads(&self, _: &Ask<'_>) -> Option<Reads> {
        Some(Reads::Host)
    }

    fn check(&self, _: &Ask<'_>, host: &Candidate<'_>) -> Result<(), Reject> {
        match host.record().health {
            HostHealth::Lost => Err(Reject::because("lost")),
            HostHealth::Silent => Err(Reject::because("silent")),
            HostHealth::Ready if host.record().desired.draining => Err(Reject::because("draining")),
            HostHealth::Ready if host.is_taken_alone() => Err(Reject::because("exclusiveHost")),
            HostHealth::Ready => Ok(()),
        }
    }
}

/// Only hosts with enough of each resource left.
#[derive(Debug, Clone, Copy, Default)]
pub struct Room;

impl Filter for Room {
    fn name(&self) -> &'static str {
        "resources"
    }

    fn reads(&self, _: &Ask<'_>) -> Option<Reads> {
        Some(Reads::Host)
    }

    fn check(&self, ask: &Ask<'_>, host: &Candidate<'_>) -> Result<(), Reject> {
        let (asked, free) = (ask.resources(), host.free());
        free.first_shortage(&asked).map_or(Ok(()), |kind| {
            Err(Reject {
                reason: kind.name(),
                amounts: Some(Amounts {
                    asked: asked.get(kind),
                    has: free.get(kind),
                }),
            })
        })
    }
}
