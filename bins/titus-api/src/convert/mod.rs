//! Between messages and the types of titus-core. Whatever comes from outside is checked on the way in; the way out
//! cannot fail.

mod agent;

pub use agent::{directive_from_wire, directive_to_wire, report_from_wire, report_to_wire};

use titus_core::spec::Violation;

/// Says that a message's field is missing or does not parse.
pub(crate) fn malformed(field: &str, message: impl Into<String>, help: &str) -> Violation {
    Violation {
        field: field.to_owned(),
        message: message.into(),
        help: help.to_owned(),
    }
}

pub(crate) fn required<T>(value: Option<T>, field: &str) -> Result<T, Violation> {
    value.ok_or_else(|| malformed(field, "is missing", "set it"))
}
