//! Entry point and command: bounded, and without NUL bytes, which end a program's argument.

use crate::spec::findings::Findings;
use crate::spec::limits::{Bound, Limit, Limits};
use crate::spec::request::JobRequest;

pub(super) fn check(request: &mut JobRequest, limits: &Limits, found: &mut Findings) {
    let container = &request.container;
    arguments(
        &container.entry_point,
        limits.get(Limit::EntryPointBytes),
        "container.entryPoint",
        found,
    );
    arguments(
        &container.command,
        limits.get(Limit::CommandBytes),
        "container.command",
        found,
    );
    program(container.entry_point.first(), "container.entryPoint", found);
    if container.entry_point.is_empty() {
        program(container.command.first(), "container.command", found);
    }
}

fn arguments(arguments: &[String], bound: Bound, field: &str, found: &mut Findings) {
    for (i, argument) in arguments.iter().enumerate() {
        if argument.contains('\0') {
            found.refuse(
                format!("{field}[{i}]"),
                "it has a NUL byte",
                "remove the NUL byte: it would end the argument",
            );
        }
    }
    let bytes: usize = arguments.iter().map(String::len).sum();
    if bytes as u64 > bound.max {
        found.refuse(
            field,
            format!("it takes {bytes} bytes, at most {} are allowed", bound.max),
            "put a long script into the image and name it here",
        );
    }
}

fn program(first: Option<&String>, field: &str, found: &mut Findings) {
    if first.is_some_and(String::is_empty) {
        found.refuse(
            format!("{field}[0]"),
            "the program's name is empty",
            "write the program first, as  entryPoint: [/bin/sh, -c]",
        );
    }
}
