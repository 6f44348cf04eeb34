//! Transactional storage for a container control plane.
//!
//! An ordered key-value store with optimistic transactions, the same on every backend.

pub mod clock;
pub mod codec;
pub mod error;
pub mod key;
pub mod kv;

pub use error::{Error, Result};
pub use kv::{Entry, KeyRange, Kv, Read, Txn, Version};
