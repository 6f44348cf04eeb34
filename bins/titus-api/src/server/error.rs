//! Refusals and failures: one table for gRPC and HTTP, so that both tell the same.

use std::fmt::Write as _;

use http::StatusCode;
use titus_core::spec::{Violation, Violations};
use tonic::Code;

/// What went wrong, as far as a client acts on it. The names are those that Titus's clients know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No such job.
    JobNotFound,
    /// No such task.
    TaskNotFound,
    /// No such host.
    HostNotFound,
    /// The request does not mean anything: an id, a cursor, a criterion, JSON out of form.
    InvalidArgument,
    /// The job breaks rules; all of them are listed.
    InvalidJob,
    /// The body, or one answer, would be too large.
    TooLarge,
    /// The job is ending or over.
    JobTerminating,
    /// The task is ending or over.
    TaskTerminating,
    /// Only service jobs can do this.
    NotServiceJob,
    /// The capacity asked for is not possible.
    InvalidDesiredCapacity,
    /// Shrinking would lower the minimum, which the request forbids.
    TerminateAndShrinkNotAllowed,
    /// A limit is reached: try later.
    JobCreateLimited,
    /// Another active job has this sequence.
    InvalidSequenceId,
    /// Reads have not caught up with the revision asked for, or the server is starting or stopping.
    NotReady,
    /// Too many calls at once.
    Overloaded,
    /// The call took too long.
    Timeout,
    /// The stream's position is older than what is kept.
    TooOld,
    /// The client reads too slowly for its stream.
    SlowConsumer,
    /// This server does not offer the call.
    NotOffered,
    /// Nothing is at this path.
    NoSuchPath,
    /// Something is at this path, and not for this method.
    NoSuchMethod,
    /// The fault is ours.
    Internal,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: [Self; 22] = [
        Self::JobNotFound,
        Self::TaskNotFound,
        Self::HostNotFound,
        Self::InvalidArgument,
        Self::InvalidJob,
        Self::TooLarge,
        Self::JobTerminating,
        Self::TaskTerminating,
        Self::NotServiceJob,
        Self::InvalidDesiredCapacity,
        Self::TerminateAndShrinkNotAllowed,
        Self::JobCreateLimited,
        Self::InvalidSequenceId,
        Self::NotReady,
        Self::Overloaded,
        Self::Timeout,
        Self::TooOld,
        Self::SlowConsumer,
        Self::NotOffered,
        Self::NoSuchPath,
        Self::NoSuchMethod,
        Self::Internal,
    ];

    const fn row(self) -> (&'static str, Code, u16) {
        match self {
            Self::JobNotFound => ("JobNotFound", Code::NotFound, 404),
            Self::TaskNotFound => ("TaskNotFound", Code::NotFound, 404),
            Self::HostNotFound => ("HostNotFound", Code::NotFound, 404),
            Self::InvalidArgument => ("InvalidArgument", Code::InvalidArgument, 400),
            Self::InvalidJob => ("InvalidJob", Code::InvalidArgument, 400),
            Self::TooLarge => ("TooLarge", Code::OutOfRange, 413),
            Self::JobTerminating => ("JobTerminating", Code::FailedPrecondition, 412),
            Self::TaskTerminating => ("TaskTerminating", Code::FailedPrecondition, 412),
            Self::NotServiceJob => ("NotServiceJob", Code::InvalidArgument, 400),
            Self::InvalidDesiredCapacity => ("InvalidDesiredCapacity", Code::InvalidArgument, 400),
            Self::TerminateAndShrinkNotAllowed => {
                ("TerminateAndShrinkNotAllowed", Code::FailedPrecondition, 412)
            }
            Self::JobCreateLimited => ("JobCreateLimited", Code::ResourceExhausted, 429),
            Self::InvalidSequenceId => ("InvalidSequenceId", Code::InvalidArgument, 400),
            Self::NotReady => ("NotReady", Code::Unavailable, 503),
            Self::Overloaded => ("Overloaded", Code::ResourceExhausted, 429),
            Self::Timeout => ("Timeout", Code::DeadlineExceeded, 504),
            Self::TooOld => ("TooOld", Code::OutOfRange, 410),
            Self::SlowConsumer => ("SlowConsumer", Code::Internal, 500),
            Self::NotOffered => ("NotOffered", Code::Unimplemented, 501),
            Self::NoSuchPath => ("NoSuchPath", Code::Unimplemented, 404),
            Self::NoSuchMethod => ("NoSuchMethod", Code::Unimplemented, 405),
            Self::Internal => ("Internal", Code::Internal, 500),
        }
    }

    /// Its name, which opens every description.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// Its gRPC code.
    #[must_use]
    pub const fn code(self) -> Code {
        self.row().1
    }

    /// Its HTTP status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().2).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// A refusal or a failure, with what to do about it in its message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", kind.name())]
pub struct ApiError {
    /// What a client acts on.
    pub kind: ErrorKind,
    /// For people; at most 700 bytes.
    pub message: String,
    /// Every field that is wrong, for a request that is.
    pub violations: Vec<Violation>,
}

/// The longest message, in bytes: with everything else that describes an error it stays within 8 KiB of headers,
/// also where each byte is escaped to three.
pub(super) const MAX_TEXT: usize = 700;

impl ApiError {
    /// An error with a message, which is cut to 700 bytes.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: cut(message.into(), MAX_TEXT),
            violations: Vec::new(),
        }
    }

    /// A request that does not mean anything.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// No such job.
    #[must_use]
    pub fn no_job(id: &str) -> Self {
        Self::new(ErrorKind::JobNotFound, format!("no job has the id {id:?}"))
    }

    /// No such task.
    #[must_use]
    pub fn no_task(id: &str) -> Self {
        Self::new(ErrorKind::TaskNotFound, format!("no task has the id {id:?}"))
    }
}

impl From<Violations> for ApiError {
    fn from(Violations(violations): Violations) -> Self {
        let mut message = format!("the job has {} problem(s)", violations.len());
        for (i, violation) in violations.iter().enumerate() {
            let lead = if i == 0 { ":" } else { ";" };
            if write!(message, "{lead} {violation}").is_err() || message.len() > MAX_TEXT {
                break;
            }
        }
        Self {
            kind: ErrorKind::InvalidJob,
            message: cut(message, MAX_TEXT),
            violations,
        }
    }
}

/// Cuts a text to `max` bytes at a character's edge, with three dots for the rest.
pub(crate) fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        let room = max.saturating_sub('…'.len_utf8());
        let end = (0..=room).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table_is_as_reviewed() {
        let rows: Vec<String> = ErrorKind::ALL
            .iter()
            .map(|k| format!("{} {:?} {}", k.name(), k.code(), k.status().as_u16()))
            .collect();
        assert_eq!(
            rows.join("\n"),
            "JobNotFound NotFound 404\n\
             TaskNotFound NotFound 404\n\
             HostNotFound NotFound 404\n\
             InvalidArgument InvalidArgument 400\n\
             InvalidJob InvalidArgument 400\n\
             TooLarge OutOfRange 413\n\
             JobTerminating FailedPrecondition 412\n\
             TaskTerminating FailedPrecondition 412\n\
             NotServiceJob InvalidArgument 400\n\
             InvalidDesiredCapacity InvalidArgument 400\n\
             TerminateAndShrinkNotAllowed FailedPrecondition 412\n\
             JobCreateLimited ResourceExhausted 429\n\
             InvalidSequenceId InvalidArgument 400\n\
             NotReady Unavailable 503\n\
             Overloaded ResourceExhausted 429\n\
             Timeout DeadlineExceeded 504\n\
             TooOld OutOfRange 410\n\
             SlowConsumer Internal 500\n\
             NotOffered Unimplemented 501\n\
             NoSuchPath Unimplemented 404\n\
             NoSuchMethod Unimplemented 405\n\
             Internal Internal 500"
        );
    }

    #[test]
    fn a_message_is_bounded_and_all_violations_are_kept() {
        let one = |i| Violation {
            field: format!("container.env.K{i}"),
            message: "é".repeat(300),
            help: "shorten it".into(),
        };
        let error = ApiError::from(Violations((0..50).map(one).collect()));
        assert!(error.message.len() <= MAX_TEXT && error.message.ends_with('…'));
        assert!(
            error
                .message
                .starts_with("the job has 50 problem(s): container.env.K0: é")
        );
        assert_eq!(error.violations.len(), 50);
        assert!(ApiError::invalid("x".repeat(10_000)).message.len() <= MAX_TEXT);
        assert_eq!(cut("ab".into(), 2), "ab");
        assert_eq!(cut("éé€".into(), 5), "é…");
    }
}
