//! When a message arrives: late, twice, or never.

use super::config::Faults;
use crate::rng::Rng;
use crate::time::Millis;

/// The delays after which copies of one message arrive; none when it is lost.
pub(super) fn arrivals(faults: &Faults, rng: &mut Rng) -> Vec<Millis> {
    if rng.chance(faults.lost, 1_000) {
        return Vec::new();
    }
    let copies = if rng.chance(faults.doubled, 1_000) { 2 } else { 1 };
    (0..copies)
        .map(|_| {
            let late = if rng.chance(faults.late, 1_000) { 3_000 } else { 20 };
            Millis(1 + rng.below(late))
        })
        .collect()
}
