//! From a gRPC status to an exit code, a message and what to do.

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::exit::{CliError, Exit};
use crate::terminal::plain;

/// Set by our servers on every error of theirs: without it, the transport has failed.
const ERROR_HEADER: &str = "x-titus-error";

/// A field that the server refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldFault {
    /// Its path in the request.
    pub(crate) field: String,
    /// What is wrong, and what to do.
    pub(crate) text: String,
}

/// The fields that a refusal names.
pub(crate) fn field_faults(status: &Status) -> Vec<FieldFault> {
    let details = status.get_details_bad_request();
    let faults = details.map_or_else(Vec::new, |d| d.field_violations);
    faults
        .into_iter()
        .map(|f| FieldFault {
            field: f.field,
            text: f.description,
        })
        .collect()
}

pub(super) fn explain(what: &str, addr: &str, status: &Status) -> CliError {
    let answered = status.metadata().contains_key(ERROR_HEADER);
    let told = plain(without_name(status.message())).into_owned();
    let (exit, help) = match status.code() {
        Code::Unavailable | Code::Unknown if !answered => return unreachable(what, addr, status),
        Code::Unavailable => (Exit::Unreachable, "it starts or stops: try again in a moment"),
        Code::DeadlineExceeded | Code::Cancelled => (
            Exit::Unreachable,
            "try again; see whether the server is overloaded",
        ),
        Code::NotFound => (Exit::NotFound, "list what there is, as  titus job list"),
        Code::InvalidArgument | Code::AlreadyExists => (Exit::Refused, ""),
        Code::FailedPrecondition => (Exit::Refused, "look at its state, as  titus job status ID"),
        Code::OutOfRange | Code::Aborted => (Exit::Refused, "begin again from the present state"),
        Code::ResourceExhausted => (Exit::Refused, "try again later"),
        Code::Unauthenticated | Code::PermissionDenied => (Exit::NotAllowed, "ask whoever runs the server"),
        Code::Unimplemented => (Exit::Other, "use a server of this program's version"),
        _ => (Exit::Other, "see the server's log"),
    };
    let faults: Vec<CliError> = field_faults(status)
        .into_iter()
        .map(|f| CliError::new(exit, plain(&f.field).into_owned(), plain(&f.text).into_owned()))
        .collect();
    CliError::new(exit, format!("cannot {what}: {told}"), help).with_parts(faults)
}

fn unreachable(what: &str, addr: &str, status: &Status) -> CliError {
    let why = innermost(status);
    CliError::new(
        Exit::Unreachable,
        format!("cannot {what}: no server answers at {addr} ({why})"),
        "start one on this machine with  titus dev  or name another with --addr or TITUS_ADDR",
    )
}

/// The cause behind all causes: "Connection refused" and not "transport error".
fn innermost(status: &Status) -> String {
    let mut cause: &dyn std::error::Error = status;
    let mut text = status.message().to_owned();
    while let Some(next) = cause.source() {
        text = next.to_string();
        cause = next;
    }
    plain(&text).into_owned()
}

/// Without the error's name, which opens every description for programs: `JobNotFound: no job …`.
fn without_name(message: &str) -> &str {
    match message.split_once(": ") {
        Some((name, rest)) if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()) => rest,
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, FieldViolation};

    use super::*;

    fn answered(code: Code, message: &str) -> Status {
        let mut status = Status::new(code, message);
        let value = "x".parse().unwrap();
        status.metadata_mut().insert(ERROR_HEADER, value);
        status
    }

    #[test]
    fn each_refusal_has_its_exit_code() {
        for (code, exit) in [
            (Code::NotFound, Exit::NotFound),
            (Code::InvalidArgument, Exit::Refused),
            (Code::FailedPrecondition, Exit::Refused),
            (Code::ResourceExhausted, Exit::Refused),
            (Code::OutOfRange, Exit::Refused),
            (Code::Unauthenticated, Exit::NotAllowed),
            (Code::PermissionDenied, Exit::NotAllowed),
            (Code::Unavailable, Exit::Unreachable),
            (Code::DeadlineExceeded, Exit::Unreachable),
            (Code::Internal, Exit::Other),
            (Code::Unimplemented, Exit::Other),
        ] {
            let error = explain("do it", "here:1", &answered(code, "JobNotFound: no job"));
            assert_eq!(error.exit, exit, "{code:?}");
            assert_eq!(error.to_string(), "cannot do it: no job");
        }
    }

    #[test]
    fn a_server_that_does_not_answer_is_told_from_one_that_is_not_ready() {
        let silent = explain("list jobs", "here:1", &Status::unavailable("tcp connect error"));
        assert_eq!(silent.exit, Exit::Unreachable);
        assert_eq!(
            silent.to_string(),
            "cannot list jobs: no server answers at here:1 (tcp connect error)"
        );
        assert!(silent.help_text().unwrap().contains("titus dev"));
        let starting = explain(
            "list jobs",
            "here:1",
            &answered(Code::Unavailable, "NotReady: reading"),
        );
        assert_eq!(starting.to_string(), "cannot list jobs: reading");
        assert!(!starting.help_text().unwrap().contains("titus dev"));
    }

    #[test]
    fn every_field_is_told_and_none_can_steer_the_terminal() {
        let details =
            ErrorDetails::with_bad_request(vec![FieldViolation::new("batch.size", "\u{1b}[2J too many")]);
        let status = Status::with_error_details(Code::InvalidArgument, "InvalidJob: \u{7}bad", details);
        assert_eq!(
            field_faults(&status),
            [FieldFault {
                field: "batch.size".into(),
                text: "\u{1b}[2J too many".into()
            }]
        );
        let shown = crate::report::render(&explain("run it", "here:1", &status), false);
        assert!(
            shown.contains("batch.size") && shown.contains("\\u{1b}[2J too many"),
            "{shown}"
        );
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{7}'));
    }

    #[test]
    fn only_a_name_is_cut_off() {
        assert_eq!(without_name("JobNotFound: no job: x"), "no job: x");
        assert_eq!(without_name("no job: x"), "no job: x");
        assert_eq!(without_name(""), "");
    }
}
