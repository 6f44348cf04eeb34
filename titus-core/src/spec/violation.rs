use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that is wrong with a request: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// The field's path in the REST JSON, as `container.resources.cpu` or `container.env.PATH`.
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

/// All that is wrong with a request; never empty when it is returned as an error.
#[derive(Debug, Clone, PartialEq, Eq, Default, thiserror::Error)]
#[error("the job has {} problem(s): {}", .0.len(), listed(.0))]
pub struct Violations(pub Vec<Violation>);

fn listed(all: &[Violation]) -> String {
    all.iter()
        .map(Violation::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}
