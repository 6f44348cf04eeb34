//! Between messages and the types of titus-core. Whatever comes from outside is checked on the way in; the way out
//! cannot fail.

mod agent;
mod host;
mod job;
mod request;
mod task;
mod warning;

pub use agent::{directive_from_wire, directive_to_wire, report_from_wire, report_to_wire};
pub use host::{host_to_proto, resources};
pub use job::{job_to_proto, millis};
pub use request::{HOST_VOLUME, Received, descriptor_from_request, request_from_descriptor};
pub use task::{TaskFacts, launch_stages, task_state, task_to_proto};
pub use warning::warning_to_proto;

#[cfg(feature = "server")]
pub(crate) use request::capacity_request;

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
