//! The standard scores: preferences before balance, balance before packing.

use super::policy::{Fitness, Reads, Score};
use super::{Ask, Candidate};

/// What a host that keeps all of a job's soft constraints gets: 0.50.
pub const PREFERENCES: Fitness = Fitness(10 * (1 << 21));

/// What a host gets on which the resource that the cell is short of can still be used up afterwards: 0.40. It is
/// more than [`PACKING`]: an empty host is better than one that is left with cpu and no memory to use it with.
pub const BALANCE: Fitness = Fitness(8 * (1 << 21));

/// What a host gets that is full afterwards in cpu and memory: 0.35; half of it when half full.
pub const PACKING: Fitness = Fitness(7 * (1 << 21));

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
        let each = PREFERENCES.0.checked_div(set);
        each.map_or(PREFERENCES, |each| Fitness(each * kept))
    }
}
