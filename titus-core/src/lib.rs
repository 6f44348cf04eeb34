//! The pure core of a container control plane.

#![forbid(unsafe_code)]

pub mod agent;
pub mod change;
pub mod host;
pub mod id;
pub mod invariant;
pub mod job;
pub mod reconcile;
pub mod resources;
pub mod rng;
pub mod round;
pub mod schedule;
pub mod shard;
#[cfg(feature = "sim")]
pub mod sim;
pub mod spec;
pub mod task;
pub mod time;
pub mod view;
pub mod wire;
