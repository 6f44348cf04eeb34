//! Constraints: names from `data/constraints.csv` in any case, hard and soft apart, and no hard one that is not kept.

use std::collections::BTreeMap;

use crate::spec::WarningKind;
use crate::spec::findings::{Findings, entry, shown};
use crate::spec::limits::Limits;
use crate::spec::request::JobRequest;

const TABLE: &str = include_str!("../../../data/constraints.csv");
const SOFT: &str = "container.softConstraints.constraints";
const HARD: &str = "container.hardConstraints.constraints";

struct Known {
    name: &'static str,
    kept: bool,
}

fn known() -> impl Iterator<Item = Known> {
    TABLE.lines().skip(1).filter_map(|line| {
        let (name, rest) = line.split_once(',')?;
        let kept = rest.starts_with("yes,");
        Some(Known { name, kept })
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
        let spelled = known().map(|k| k.name).find(|k| k.eq_ignore_ascii_case(&name));
        let Some(spelled) = spelled else {
            let names: Vec<_> = known().map(|k| k.name).collect();
            found.refuse(
                entry(field, &name),
                format!("{} is not a constraint", shown(&name)),
                format!("use one of {}", names.join(", ")),
            );
            continue;
        };
        if spelled != name {
            found.adjusted(
                entry(field, &name),
                format!("it is spelled {spelled} from here on"),
            );
        }
        if constraints.insert(spelled.to_owned(), value).is_some() {
            found.refuse(
                entry(field, &name),
                format!("{spelled} is given twice"),
                "keep one of them",
            );
        }
    }
}
