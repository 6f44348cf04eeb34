//! The one error type, split by what the caller does about it.

/// What the fallible functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The source of a backend's failure.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why an operation on the store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing was written: begin again.
    #[error("commit: {0}; begin the transaction again")]
    Conflict(Conflict),
    /// The commit may have happened or not: begin again, and look first for your request key or your own work.
    #[error("commit: the outcome is unknown; look for your own work before doing it again")]
    Unknown,
    /// Over a limit: split the work.
    #[error("commit: {what} of {size} bytes is over the limit of {limit}; split the work")]
    TooLarge {
        /// What is too large: `key`, `value` or `transaction`.
        what: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The storage itself fails: do what `advice` says.
    #[error("{operation} {object}: the storage failed; {advice}")]
    Backend {
        /// What was being done, as `open`.
        operation: &'static str,
        /// To what: a folder, an address.
        object: String,
        /// What to do next.
        advice: &'static str,
        /// What the storage said.
        source: BoxError,
    },
    /// A stored record cannot be read: set it aside and report it.
    #[error("read {record}: {problem}; it was written by another version of this program or is damaged")]
    Record {
        /// The kind of record.
        record: &'static str,
        /// What is wrong with it.
        problem: RecordProblem,
    },
}

/// Why a transaction must begin again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// Another commit changed what this transaction read.
    #[error("another commit changed what this transaction read")]
    Changed,
    /// The transaction is older than a transaction may be.
    #[error("the transaction is too old")]
    TooOld,
}

/// What is wrong with a stored record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordProblem {
    /// Its version byte is not one that this program knows.
    #[error("its version {0} is unknown")]
    Version(u8),
    /// It has another length than its version says.
    #[error("its length of {0} bytes is wrong")]
    Length(usize),
    /// A field holds a value that cannot be.
    #[error("its field {0} is invalid")]
    Field(&'static str),
}

impl Error {
    /// True when beginning the transaction again may help: a conflict, or an unknown outcome where the transaction
    /// looks for its own work first.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Conflict(_) | Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_operation_object_and_next_step_but_not_the_source() {
        let error = Error::Backend {
            operation: "open",
            object: "/data".into(),
            advice: "free some space",
            source: "secret detail".into(),
        };
        assert_eq!(
            error.to_string(),
            "open /data: the storage failed; free some space"
        );
        let error = Error::Record {
            record: "task",
            problem: RecordProblem::Version(9),
        };
        assert!(
            error
                .to_string()
                .starts_with("read task: its version 9 is unknown;")
        );
        assert!(!error.is_retryable());
        assert!(Error::Conflict(Conflict::TooOld).is_retryable());
    }
}
