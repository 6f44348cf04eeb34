use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that is wrong with a request: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// The field's path in the REST JSON, as `container.resources.cpu`, `container.volumes[0].hostPath`,
    /// `container.env.PATH` or, where a key is not a plain word, `attributes["a.b"]`.
    pub field: String,
    /// What is wrong, with the value and the bound.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// All that is wrong with a request (the first 100 of it); never empty when it is returned as an error.
#[derive(Debug, Clone, PartialEq, Eq, Default, thiserror::Error)]
#[error("the job has {} problem(s): {}", .0.len(), listed(.0))]
pub struct Violations(pub Vec<Violation>);

fn listed(all: &[Violation]) -> String {
    all.iter()
        .map(Violation::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Something that a request did not say, or said otherwise, and that was changed while it was accepted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Warning {
    /// How it was changed.
    pub kind: WarningKind,
    /// The field's path, as in [`Violation::field`].
    pub field: String,
    /// What was changed, from what to what.
    pub message: String,
}

/// How a request was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WarningKind {
    /// Nothing was said, and a default filled in.
    Defaulted,
    /// Something was said and changed: trimmed, raised, lowered, rounded or removed.
    Adjusted,
    /// Something was said that has no effect.
    NoEffect,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}
