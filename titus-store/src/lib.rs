//! Transactional storage for a container control plane.
//!
//! An ordered key-value store with optimistic transactions, the same on every backend.

pub mod backend;
pub mod clock;
pub mod cluster;
pub mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod controller;
pub mod error;
#[cfg(feature = "fault")]
pub mod fault;
pub mod key;
pub mod kv;
pub mod limits;
mod local;
pub mod metrics;

pub use error::{Error, Result};
pub use kv::{Entry, KeyRange, Kv, Read, Txn, Version};
