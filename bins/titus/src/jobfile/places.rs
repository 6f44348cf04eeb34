//! Where each field of a job file stands.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};
use titus_core::spec::entry_path;

/// The tree of a file's values with their places.
#[derive(Debug, Default)]
pub(crate) struct Places(Option<Node>);

/// Where a field stands, or where it should.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// In bytes.
    pub(crate) span: Range<usize>,
    /// The first part of the field's path that the file does not have.
    pub(crate) missing: Option<String>,
}

impl Places {
    pub(crate) fn of(text: &str) -> Self {
        Self(
            serde_saphyr::from_str::<Spanned<Node>>(text)
                .ok()
                .map(|s| s.value),
        )
    }

    /// Follows a field's path as far as the file goes.
    pub(crate) fn find(&self, field: &str) -> Place {
        let mut node = self.0.as_ref();
        let mut rest = field;
        let mut span = 0..0;
        while !rest.is_empty() {
            let step = node.and_then(|node| node.step(rest));
            let Some((found, place, after)) = step else {
                let missing = rest.trim_start_matches('.');
                let end = missing
                    .find(['.', '['])
                    .filter(|end| *end > 0)
                    .unwrap_or(missing.len());
                return Place {
                    span,
                    missing: Some(missing[..end].to_owned()),
                };
            };
            (node, span, rest) = (Some(found), place, after);
        }
        Place { span, missing: None }
    }
}

impl Places {
    /// The path of the field in whose value an offset lies; empty for none.
    pub(crate) fn at(&self, offset: usize) -> String {
        let mut path = String::new();
        let mut node = self.0.as_ref();
        while let Some((step, child)) = node.and_then(|node| node.child_at(offset)) {
            path = step(&path);
            node = Some(child);
        }
        path
    }
}

type Step<'n> = Box<dyn Fn(&str) -> String + 'n>;

#[derive(Debug)]
enum Node {
    Value,
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

impl Node {
    /// The child that a path goes through, its place, and the rest of the path.
    fn step<'n, 'p>(&'n self, path: &'p str) -> Option<(&'n Self, Range<usize>, &'p str)> {
        match self {
            Self::Value => None,
            Self::List(items) => {
                let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
                let item = items.get(index.parse::<usize>().ok()?)?;
                Some((&item.value, bytes(item.referenced), rest))
            }
            Self::Map(entries) => entries.iter().find_map(|(key, value)| {
                let rest = after_key(path, &key.value)?;
                let place = if matches!(value.value, Self::Value) {
                    value.referenced
                } else {
                    key.referenced
                };
                Some((&value.value, bytes(place), rest))
            }),
        }
    }
}

impl Node {
    /// The last child that begins at or before an offset, and how a path goes on to it.
    fn child_at(&self, offset: usize) -> Option<(Step<'_>, &Self)> {
        match self {
            Self::Value => None,
            Self::List(items) => {
                let begun = |item: &Spanned<Self>| bytes(item.referenced).start <= offset;
                let index = items.iter().rposition(begun)?;
                let step: Step<'_> = Box::new(move |path| format!("{path}[{index}]"));
                Some((step, &items[index].value))
            }
            Self::Map(entries) => {
                let begun =
                    |(key, _): &&(Spanned<String>, Spanned<Self>)| bytes(key.referenced).start <= offset;
                let (key, value) = entries.iter().rev().find(begun)?;
                let step: Step<'_> = Box::new(|path| {
                    let path = entry_path(path, &key.value);
                    path.strip_prefix('.').map(str::to_owned).unwrap_or(path)
                });
                Some((step, &value.value))
            }
        }
    }
}

/// The rest of a path that begins with a key, as `entry_path` writes keys.
fn after_key<'p>(path: &'p str, key: &str) -> Option<&'p str> {
    let written = entry_path("", key);
    let rest = path
        .strip_prefix(&written)
        .or_else(|| path.strip_prefix(written.strip_prefix('.')?))?;
    (rest.is_empty() || rest.starts_with(['.', '['])).then_some(rest)
}

fn bytes(place: Location) -> Range<usize> {
    let span = place.span();
    let whole = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let start = whole(span.byte_offset());
    start..start + whole(span.byte_len())
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Value)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Value)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Value)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Value)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Value)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Node, E> {
        Ok(Node::Value)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Value)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Value)
    }
}
