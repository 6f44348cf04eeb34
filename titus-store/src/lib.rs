//! Transactional storage for a container control plane: an ordered key-value store with optimistic transactions, the same
//! on every backend, and on it the operations and controllers of a cell. What is stored is all that a scheduler knows, so
//! a scheduler can die at any moment and another carries on.
//!
//! ```
//! use titus_store::backend::MemKv;
//! use titus_store::{Error, Kv, Read};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> titus_store::Result<()> {
//! let kv = MemKv::new();
//! let mut first = kv.begin().await?;
//! let mut second = kv.begin().await?;
//! for txn in [&mut first, &mut second] {
//!     assert_eq!(txn.get(b"leader", Read::Serializable).await?, None);
//! }
//! first.set(b"leader", b"a");
//! second.set(b"leader", b"b");
//!
//! // Both read before they wrote, so only one can win; the other is told to begin again.
//! let version = first.commit().await?;
//! assert!(matches!(second.commit().await, Err(Error::Conflict(_))));
//! assert!(kv.version().await? >= version);
//! # Ok(())
//! # }
//! ```
//!
//! | Module | What it holds |
//! |---|---|
//! | [`kv`] | the seam: [`Kv`], [`Txn`], versions and ranges |
//! | [`backend`] | the stores: in memory, and durable on one machine (feature `embedded`) |
//! | [`key`], [`codec`] | FoundationDB's tuples; records behind a version byte |
//! | [`limits`], [`clock`], [`metrics`], [`error`] | what a transaction may hold; time from outside; counters; what callers act on |
//! | [`cluster`] | the operations of a cell, one a file: submit, commit, sync a host, lease, follow a feed |
//! | [`controller`] | idempotent ticks: schedule, reconcile, expire, archive, and the warm view that they share |
//! | `fault`, `conformance` | a wrapper that fails by plan, and the suite that every backend passes (features of their names) |
//!
//! A scheduler of one's own is `examples/custom_scheduler`.

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
