//! What is said of a file that cannot be read as a job at all.

use std::ops::Range;

use miette::NamedSource;
use serde_saphyr::{Error, Location, MessageFormatter as _, UserMessageFormatter};

use super::places::Places;
use crate::exit::{CliError, Exit};
use crate::terminal::plain;

pub(super) fn unreadable(error: &Error, source: NamedSource<String>) -> CliError {
    let error = error.without_snippet();
    let (message, help) = told(error);
    let place = error.location().map(|place| span(place, source.inner()));
    let places = Places::of(source.inner());
    let field = place
        .as_ref()
        .map_or_else(String::new, |place| places.at(place.start));
    let message = if field.is_empty() {
        message
    } else {
        format!("{}: {message}", plain(&field))
    };
    CliError::new(Exit::Refused, message, help).at(source, place.unwrap_or(0..0), "here")
}

/// The bytes of a place; from its line and column where the parser knows no more.
fn span(place: Location, text: &str) -> Range<usize> {
    let whole = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let span = place.span();
    if let (Some(start), Some(length)) = (span.byte_offset(), span.byte_len()) {
        return whole(start)..whole(start).saturating_add(whole(length));
    }
    let lines_before = whole(place.line()).saturating_sub(1);
    let begin: usize = text.split_inclusive('\n').take(lines_before).map(str::len).sum();
    let columns_before = whole(place.column()).saturating_sub(1);
    let line = text.get(begin..).unwrap_or_default();
    let start = begin
        + line
            .chars()
            .take(columns_before)
            .map(char::len_utf8)
            .sum::<usize>();
    start..start
}

fn told(error: &Error) -> (String, String) {
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            let near = nearest(field, expected)
                .map(|name| format!("did you mean {name}? "))
                .unwrap_or_default();
            (
                "there is no field of this name".to_owned(),
                format!("{near}What may stand here: {}", expected.join(", ")),
            )
        }
        Error::InvalidScalar { ty, .. } => (
            "the value is of the wrong kind".to_owned(),
            format!("write {}", kind(ty)),
        ),
        Error::Unexpected { expected, .. } => (
            "the value is of the wrong kind".to_owned(),
            format!("write {}", shape(expected)),
        ),
        other => (
            plain(&UserMessageFormatter.format_message(other)).into_owned(),
            "see  titus job init  for a file that has all parts".to_owned(),
        ),
    }
}

/// Rust's name of a type in words.
fn kind(ty: &str) -> &str {
    match ty {
        "u8" | "u16" | "u32" | "u64" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "bool" | "boolean" => "true or false",
        other => other,
    }
}

/// The parser's name of an event in words.
fn shape(expected: &str) -> &str {
    match expected {
        "sequence start" => "a list, as [one, two]",
        "mapping start" => "fields, as { name: value }",
        "scalar" | "string scalar" => "a text or a number",
        other => other,
    }
}

/// The name that differs least, where it differs little.
fn nearest<'n>(given: &str, names: &[&'n str]) -> Option<&'n str> {
    let given: String = given.chars().take(100).flat_map(char::to_lowercase).collect();
    let distance = |name: &str| strsim::levenshtein(&given, &name.to_lowercase());
    let scored = names.iter().map(|name| (distance(name), *name));
    scored
        .min()
        .filter(|(d, name)| *d <= name.len() / 3)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_guessed_and_a_wild_name_is_not() {
        let names = ["applicationName", "batch", "owner"];
        assert_eq!(nearest("applicationNam", &names), Some("applicationName"));
        assert_eq!(nearest("ApplicationName", &names), Some("applicationName"));
        assert_eq!(nearest("bath", &names), Some("batch"));
        assert_eq!(nearest("tasks", &names), None);
        assert_eq!(nearest("x", &[]), None);
    }
}
