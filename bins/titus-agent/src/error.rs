//! The agent's errors.

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why an agent cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What runs on the host cannot be seen, so nothing is started or stopped.
    #[error("the agent cannot {operation}; it does not start without knowing what runs on this host")]
    Adopt {
        /// What failed.
        operation: &'static str,
        /// Why.
        #[source]
        source: Source,
    },
    /// The host lacks something.
    #[error("the agent cannot {operation}")]
    Host {
        /// What failed.
        operation: &'static str,
        /// Why.
        #[source]
        source: Source,
    },
}

impl Error {
    pub(crate) fn adopt(operation: &'static str, source: impl Into<Source>) -> Self {
        Self::Adopt {
            operation,
            source: source.into(),
        }
    }

    /// A host that lacks something.
    pub fn host(operation: &'static str, source: impl Into<Source>) -> Self {
        Self::Host {
            operation,
            source: source.into(),
        }
    }
}
