//! The standard scores: preferences before packing.

use super::policy::{Fitness, Reads, Score};
use super::{Ask, Candidate};
use crate::resources::Resources;

/// The most that packing gives to a full host: 0.35.
pub const PACKING: Fitness = Fitness(350_000);

/// The most that keeping all soft constraints gives: 0.50.
pub const PREFERENCES: Fitness = Fitness(500_000);

/// The share of a job's soft constraints that a host keeps; all of it for a job that has none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Preferences;

impl Score for Preferences {
    fn reads(&self, ask: &Ask<'_>) -> Option<Reads> {
        ask.rules().soft.reads()
    }

    fn most(&self, _: &Ask<'_>) -> Fitness {
        PREFERENCES
    }

    fn score(&self, ask: &Ask<'_>, host: &Candidate<'_>) -> Fitness {
        let (set, kept) = ask.rules().soft.kept(ask, host);
        if set == 0 {
            PREFERENCES
        } else {
            Fitness(PREFERENCES.0 / set * kept)
        }
    }
}

/// How much of a host is taken, of [`PACKING`]: the mean of cpu and memory. It is a sum over what is taken, so that
/// the hosts of one class keep their order whatever a task asks.
#[must_use]
pub fn fill(taken: &Resources, capacity: &Resources) -> Fitness {
    Fitness(half(taken.cpu_milli, capacity.cpu_milli) + half(taken.memory_mb, capacity.memory_mb))
}

fn half(taken: u64, capacity: u64) -> u32 {
    let most = PACKING.0 / 2;
    if taken >= capacity {
        return most;
    }
    let part = u128::from(taken) * u128::from(most) / u128::from(capacity);
    u32::try_from(part).expect("at most the whole")
}
