//! Constraints: names from `data/constraints.csv` in any case, hard and soft apart, and no hard one that is not kept.

use std::collections::BTreeMap;

use crate::spec::WarningKind;
use crate::spec::findings::{Findings, entry, shown};
use crate::spec::limits::Limits;
use crate::spec::request::JobRequest;

const TABLE: &str = include_str!("../../../data/constraints.csv");
const SOFT: &str = "container.softConstraints.constraints";
const HARD: &str = "container.hardConstraints.constraints";

#[derive(Clone, Copy)]
struct Known {
    name: &'static str,
    kept: bool,
    is_bool: bool,
}

fn known() -> impl Iterator<Item = Known> {
    TABLE.lines().skip(1).filter_map(|line| {
        let mut cells = line.splitn(4, ',');
        Some(Known {
            name: cells.next()?,
            kept: cells.next()? == "yes",
            is_bool: cells.next()? == "bool",
        })
    })
}

pub(super) fn check(request: &mut JobRequest, _: &Limits, found: &mut Findings) {
    let container = &mut request.container;
    canonical(&mut container.soft_constraints.constraints, SOFT, found);
    canonical(&mut container.hard_constraints.constraints, HARD, found);
    let soft = &container.soft_constraints.constraints;
    let hard = &container.hard_constraints.constraints;
    for name in soft.keys().filter(|name| hard.contains_key(*name)) {
        found.refuse(
            entry(SOFT, name),
            format!("{} is given as a hard and as a soft constraint", shown(name)),
            "keep one of the two",
        );
    }
    for Known { name, .. } in known().filter(|k| !k.kept) {
        if hard.contains_key(name) {
            found.refuse(
                entry(HARD, name),
                format!("this version cannot keep the hard constraint {name}"),
                "leave it out; nothing enforces it yet",
            );
        }
        if soft.contains_key(name) {
            found.warn(
                WarningKind::NoEffect,
                entry(SOFT, name),
                "this version keeps the preference and does not act on it",
            );
        }
    }
}

/// Gives every name the table's spelling, so that whoever reads them later compares bytes.
fn canonical(constraints: &mut BTreeMap<String, String>, field: &str, found: &mut Findings) {
    let given = std::mem::take(constraints);
    for (name, value) in given {
        let Some(known) = known().find(|k| k.name.eq_ignore_ascii_case(&name)) else {
            let names: Vec<_> = known().map(|k| k.name).collect();
            found.refuse(
                entry(field, &name),
                format!("{} is not a constraint", shown(&name)),
                format!("use one of {}", names.join(", ")),
            );
            continue;
        };
        if known.name != name {
            found.adjusted(
                entry(field, &name),
                format!("it is spelled {} from here on", known.name),
            );
        }
        check_value(known, &value, &entry(field, &name), found);
        if constraints.insert(known.name.to_owned(), value).is_some() {
            found.refuse(
                entry(field, &name),
                format!("{} is given twice", known.name),
                "keep one of them",
            );
        }
    }
}

fn check_value(known: Known, value: &str, field: &str, found: &mut Findings) {
    let is_bool = value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false");
    if known.is_bool && !is_bool {
        found.refuse(
            field,
            format!("{} is neither \"true\" nor \"false\"", shown(value)),
            "write \"true\", or leave it out",
        );
    } else if !known.is_bool && (value.is_empty() || value.chars().any(char::is_control)) {
        found.refuse(
            field,
            format!("{} is not a name", shown(value)),
            "write the name of what is asked for",
        );
    }
}
