//! What the rules collect, and how they name fields and show values that came from outside.

use super::violation::{Violation, Warning, WarningKind};

/// More findings than this of one kind help nobody and cost the server.
const MOST: usize = 100;

/// The longest part of a given value that a message repeats, in characters.
const SHOWN: usize = 80;

#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) violations: Vec<Violation>,
    pub(super) warnings: Vec<Warning>,
}

impl Findings {
    pub(super) fn refuse(
        &mut self,
        field: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        if self.violations.len() < MOST {
            self.violations.push(Violation {
                field: field.into(),
                message: message.into(),
                help: help.into(),
            });
        }
    }

    pub(super) fn warn(&mut self, kind: WarningKind, field: impl Into<String>, message: impl Into<String>) {
        if self.warnings.len() < MOST {
            self.warnings.push(Warning {
                kind,
                field: field.into(),
                message: message.into(),
            });
        }
    }

    pub(super) fn adjusted(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.warn(WarningKind::Adjusted, field, message);
    }

    pub(super) fn defaulted(&mut self, field: impl Into<String>, value: impl std::fmt::Display) {
        self.warn(WarningKind::Defaulted, field, format!("not given: {value}"));
    }
}

/// A given text as a message may repeat it: escaped, so that it cannot steer a terminal, and cut.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// The path of a map's entry, as [`Violation::field`] writes it: `map.key`, or `map["a.b"]` where the key is not a plain
/// word; the map's own path where the key is too long to repeat.
#[must_use]
pub fn entry_path(map: &str, key: &str) -> String {
    entry(map, key)
}

pub(super) fn entry(map: &str, key: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if key.len() > SHOWN {
        map.to_owned()
    } else if !key.is_empty() && key.bytes().all(plain) {
        format!("{map}.{key}")
    } else {
        format!("{map}[{key:?}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_texts_are_escaped_and_cut() {
        assert_eq!(shown("a\u{1b}[2Jb"), "\"a\\u{1b}[2Jb\"");
        assert_eq!(shown(&"é".repeat(81)), format!("\"{}\"…", "é".repeat(80)));
        assert_eq!(shown(&"é".repeat(80)), format!("\"{}\"", "é".repeat(80)));
    }

    #[test]
    fn entries_are_named_without_ambiguity() {
        assert_eq!(entry("container.env", "PATH"), "container.env.PATH");
        assert_eq!(entry("attributes", "a.b"), "attributes[\"a.b\"]");
        assert_eq!(entry("attributes", ""), "attributes[\"\"]");
        assert_eq!(entry("attributes", "a\"]"), "attributes[\"a\\\"]\"]");
        assert_eq!(entry("attributes", &"k".repeat(81)), "attributes");
    }

    #[test]
    fn findings_are_bounded() {
        let mut found = Findings::default();
        for i in 0..=MOST {
            found.refuse(format!("f{i}"), "m", "h");
            found.adjusted("f", "m");
        }
        assert_eq!((found.violations.len(), found.warnings.len()), (MOST, MOST));
    }
}
