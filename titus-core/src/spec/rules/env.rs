//! The environment: bounded, and with names that a program can read. Values never show in a message.

use crate::spec::findings::{Findings, entry, shown};
use crate::spec::limits::{Limit, Limits};
use crate::spec::request::JobRequest;

const FIELD: &str = "container.env";

pub(super) fn check(request: &mut JobRequest, limits: &Limits, found: &mut Findings) {
    let env = &request.container.env;
    for (name, value) in env {
        if name.is_empty() {
            found.refuse(
                entry(FIELD, name),
                "a variable has no name",
                "name it or leave it out",
            );
        } else if name.contains('=') || name.chars().any(char::is_control) {
            found.refuse(
                entry(FIELD, name),
                format!("{} is not a variable's name", shown(name)),
                "remove `=` and control characters from the name",
            );
        }
        if value.expose().contains('\0') {
            found.refuse(
                entry(FIELD, name),
                format!("the value of {} has a NUL byte", shown(name)),
                "remove the NUL byte: it would end the value",
            );
        }
    }
    let max = limits.get(Limit::EnvBytes).max;
    let bytes: usize = env.iter().map(|(k, v)| k.len() + v.expose().len() + 2).sum();
    if bytes as u64 > max {
        found.refuse(
            FIELD,
            format!("the environment takes {bytes} bytes, at most {max} are allowed"),
            "pass large values by a file of the image",
        );
    }
}
