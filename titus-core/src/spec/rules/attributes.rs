//! Labels: bounded, and without the ones that only servers may set.

use std::collections::BTreeMap;

use crate::spec::findings::{Findings, entry, shown};
use crate::spec::limits::{Limit, Limits};
use crate::spec::request::JobRequest;

/// What servers write about a job; a client's own would forge their findings.
const GENERATED: [&str; 3] = [
    "titus.sanitization.",
    "titus.runtimePrediction.",
    "titus.noncompliant",
];

pub(super) fn check(request: &mut JobRequest, limits: &Limits, found: &mut Findings) {
    strip_generated(&mut request.attributes, found);
    let max = limits.get(Limit::AttributeBytes).max;
    bounded(&request.attributes, "attributes", max, found);
    bounded(&request.container.attributes, "container.attributes", max, found);
    let profile = &request.container.security_profile;
    bounded(
        &profile.attributes,
        "container.securityProfile.attributes",
        max,
        found,
    );
}

fn strip_generated(attributes: &mut BTreeMap<String, String>, found: &mut Findings) {
    attributes.retain(|key, _| {
        let generated = GENERATED.iter().any(|prefix| key.starts_with(prefix));
        if generated {
            found.adjusted(
                entry("attributes", key),
                "it was removed: only servers set attributes of this name",
            );
        }
        !generated
    });
}

fn bounded(attributes: &BTreeMap<String, String>, field: &str, max: u64, found: &mut Findings) {
    for (key, value) in attributes {
        if key.is_empty() {
            found.refuse(
                entry(field, key),
                "an attribute has no name",
                "name it or leave it out",
            );
        }
        if key.chars().any(char::is_control) || value.contains('\0') {
            found.refuse(
                entry(field, key),
                format!("{} has a control character in its name or value", shown(key)),
                "write printable characters only",
            );
        }
    }
    let bytes: usize = attributes.iter().map(|(k, v)| k.len() + v.len() + 2).sum();
    if bytes as u64 > max {
        found.refuse(
            field,
            format!("all attributes take {bytes} bytes, at most {max} are allowed"),
            "keep large values elsewhere and name the place here",
        );
    }
}
