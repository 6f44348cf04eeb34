//! What the backends that run inside this process share: the transaction, the conflict check and the wake-up calls.

pub(crate) mod conflict;
mod txn;
pub(crate) mod watch;
mod writes;

pub(crate) use txn::{Engine, LocalTxn, Snapshot};
pub(crate) use writes::Writes;

use bytes::Bytes;

use crate::kv::Version;
use conflict::ReadSet;

/// A transaction that asks to be committed.
#[derive(Debug)]
pub(crate) struct Intent {
    pub(crate) read_version: Version,
    pub(crate) reads: ReadSet,
    pub(crate) writes: Writes,
}

/// One key's fate in a commit: its new value, or none.
pub(crate) type Mutation = (Bytes, Option<Bytes>);
