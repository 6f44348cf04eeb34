//! What several rules do with texts.

use crate::spec::findings::{Findings, shown};

/// Cuts white space from both ends, and says so.
pub(super) fn trim(text: &mut String, field: &str, found: &mut Findings) {
    let trimmed = text.trim();
    if trimmed.len() != text.len() {
        found.adjusted(
            field,
            format!("{} was trimmed to {}", shown(text), shown(trimmed)),
        );
        *text = trimmed.to_owned();
    }
}

/// Refuses control characters, which could steer a terminal or a log, and texts over `max` bytes.
pub(super) fn plain(text: &str, max: u64, field: &str, found: &mut Findings) {
    if text.chars().any(char::is_control) {
        found.refuse(
            field,
            format!("{} has a control character", shown(text)),
            "write printable characters only",
        );
    }
    if text.len() as u64 > max {
        found.refuse(
            field,
            format!("it has {} bytes, at most {max} are allowed", text.len()),
            "shorten it",
        );
    }
}
