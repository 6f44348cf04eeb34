//! What a transaction may hold: FoundationDB's limits, on every backend.

use std::time::Duration;

use crate::error::{Error, Result};

/// The longest key, in bytes.
pub const MAX_KEY: usize = 10_000;
/// The longest value, in bytes.
pub const MAX_VALUE: usize = 100_000;
/// The largest transaction, in bytes of keys and values written and of keys and ranges read serializably.
pub const MAX_TRANSACTION: usize = 10_000_000;
/// The oldest that a transaction may become.
pub const MAX_AGE: Duration = Duration::from_secs(5);

/// A transaction's budget. Settings can only tighten what every backend allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    transaction: usize,
}

impl Default for Limits {
    /// One megabyte a transaction, which FoundationDB advises not to exceed.
    fn default() -> Self {
        Self::with_transaction(1_000_000)
    }
}

impl Limits {
    /// Another budget for a transaction, in bytes; at most [`MAX_TRANSACTION`].
    #[must_use]
    pub const fn with_transaction(bytes: usize) -> Self {
        Self {
            transaction: if bytes < MAX_TRANSACTION {
                bytes
            } else {
                MAX_TRANSACTION
            },
        }
    }

    /// The budget of a transaction, in bytes.
    #[must_use]
    pub const fn transaction(&self) -> usize {
        self.transaction
    }

    pub(crate) const fn check_transaction(&self, size: usize) -> Result<()> {
        check("transaction", size, self.transaction)
    }
}

pub(crate) const fn check_key(key: &[u8]) -> Result<()> {
    check("key", key.len(), MAX_KEY)
}

pub(crate) const fn check_value(value: &[u8]) -> Result<()> {
    check("value", value.len(), MAX_VALUE)
}

const fn check(what: &'static str, size: usize, limit: usize) -> Result<()> {
    if size > limit {
        return Err(Error::TooLarge { what, size, limit });
    }
    Ok(())
}
