use std::io;
use std::path::PathBuf;

use crate::spec::SandboxId;

/// What a caller can do about a failure decides the variant.
///
/// A command that cannot be executed, a container that ended badly or was killed are not errors: see
/// [`Started`](crate::Started) and [`Exit`](crate::Exit).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The specification is wrong. It fails on every host: fix it, do not retry.
    #[error("sandbox `{id}`: {field} is not usable: {problem}")]
    Invalid {
        /// The sandbox that was asked for.
        id: String,
        /// Path of the field, as `resources.memory_bytes`.
        field: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// This host lacks something that the specification needs. Another host may have it.
    #[error("this host cannot run it: {what} is missing: {why}; {fix}")]
    Missing {
        /// What is missing, as `memory controller`.
        what: String,
        /// What was looked for, and where.
        why: String,
        /// What an operator can do.
        fix: String,
    },
    /// The image is not there, or is not a sound image.
    #[error("image `{image}`: {problem}")]
    Image {
        /// The name that was asked for.
        image: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// No sandbox has this id.
    #[error("no sandbox has the id `{id}`; `list` names those that exist")]
    NotFound {
        /// The id that was asked for.
        id: SandboxId,
    },
    /// The request does not fit the state that the sandbox is in.
    #[error("cannot {operation} sandbox `{id}`: {problem}")]
    State {
        /// What was asked for, as `start`.
        operation: &'static str,
        /// Which sandbox.
        id: SandboxId,
        /// The state it is in and what to do.
        problem: String,
    },
    /// An operation of the host's kernel or file system failed. It may pass on a second try or on another host.
    #[error("cannot {operation} {}", object.display())]
    Kernel {
        /// What was tried, as `write`.
        operation: &'static str,
        /// The file or object it was tried on.
        object: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The launcher could not build the sandbox. Everything it had made is gone again.
    #[error("cannot build sandbox `{id}`: {step}")]
    Build {
        /// Which sandbox.
        id: SandboxId,
        /// The step that failed, as `mount proc on proc`.
        step: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A tear-down went on after failures; these are all of them. Calling it again is safe.
    #[error("{} steps of removing `{id}` failed: {}", failures.len(), list(failures))]
    Teardown {
        /// Which sandbox, or what else was taken down.
        id: String,
        /// Every failure, in the order met.
        failures: Vec<Self>,
    },
}

impl Error {
    /// An `Error::Kernel` about a path.
    pub fn kernel(operation: &'static str, object: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Kernel {
            operation,
            object: object.into(),
            source,
        }
    }

    pub(crate) fn missing(what: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Missing {
            what: what.into(),
            why: why.into(),
            fix: fix.into(),
        }
    }
}

fn list(failures: &[Error]) -> String {
    failures
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}
