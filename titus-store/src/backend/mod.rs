//! The backends: all behave alike, and differ in what survives.

#[cfg(feature = "embedded")]
mod embedded;
mod mem;

#[cfg(feature = "embedded")]
pub use embedded::{Embedded, EmbeddedBuilder};
pub use mem::{MemKv, MemKvBuilder};
