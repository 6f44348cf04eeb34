//! The standard filters, in the order in which they are asked and reported.

mod constraints;
mod room;

pub use constraints::{ExclusiveHost, MachineId, MachineType, UniqueHost, Zone, ZoneBalance};
pub use room::{Available, Room};

use super::Filter;

/// The standard filters on constraints. [`Available`] comes before and [`Room`] after them, always.
#[must_use]
pub fn constraints() -> Vec<Box<dyn Filter>> {
    vec![
        Box::new(Zone),
        Box::new(MachineType),
        Box::new(MachineId),
        Box::new(ZoneBalance),
        Box::new(UniqueHost),
        Box::new(ExclusiveHost),
    ]
}
