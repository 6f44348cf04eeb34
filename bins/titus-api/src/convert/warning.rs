//! Warnings of the core as messages.

use titus_core::spec::{Warning, WarningKind};

use crate::v1;

/// A warning as clients see it.
#[must_use]
pub fn warning_to_proto(warning: &Warning) -> v1::Warning {
    let kind = match warning.kind {
        WarningKind::Defaulted => v1::WarningKind::Defaulted,
        WarningKind::Adjusted => v1::WarningKind::Adjusted,
        WarningKind::NoEffect => v1::WarningKind::NoEffect,
    };
    v1::Warning {
        field: warning.field.clone(),
        message: warning.message.clone(),
        kind: kind.into(),
    }
}
