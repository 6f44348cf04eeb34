//! Whose fault a failure is, and how it reads: errors and exits of the leaf crates in the machine's words.

use std::error::Error as StdError;

use titus_core::agent::Fault;
use titus_core::task::Exit;
use titus_isolation::{Error as RuntimeError, ExitReason};
use titus_net::Error as NetError;

use super::Failure;
use crate::images::ImageError;

/// An error with its sources, in one line.
pub(super) fn told(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

pub(super) fn of_image(error: ImageError) -> Failure {
    let fault = match error {
        ImageError::Unusable(_) => Fault::Request,
        ImageError::Host(_) => Fault::Host,
    };
    (fault, told(&error))
}

pub(super) fn of_runtime(error: RuntimeError) -> Failure {
    let fault = match error {
        RuntimeError::Invalid { .. } | RuntimeError::Image { .. } => Fault::Request,
        RuntimeError::NotFound { .. } => Fault::Gone,
        _ => Fault::Host,
    };
    (fault, told(&error))
}

pub(super) fn of_network(error: NetError) -> Failure {
    let fault = match error {
        NetError::NoAddress { .. } | NetError::Busy { .. } => Fault::Transient,
        NetError::Netns { .. } => Fault::Gone,
        _ => Fault::Host,
    };
    (fault, told(&error))
}

pub(super) fn exit_of(exit: &titus_isolation::Exit) -> Exit {
    match &exit.reason {
        ExitReason::Code(code) => u8::try_from(*code).map_or(Exit::Unknown, Exit::Code),
        ExitReason::Signal(signal) => u8::try_from(signal.number()).map_or(Exit::Unknown, Exit::Signal),
        ExitReason::OutOfMemory => Exit::OutOfMemory,
        ExitReason::NotExecuted(failure) => Exit::ExecFailed(u8::try_from(failure.code).unwrap_or(126)),
        _ => Exit::Unknown,
    }
}

pub(super) fn exit_message(exit: &titus_isolation::Exit) -> String {
    let mut notes = Vec::new();
    match &exit.reason {
        ExitReason::NotExecuted(failure) => notes.push(failure.message.clone()),
        ExitReason::Unknown(known) => notes.push(known.clone()),
        _ => {}
    }
    if exit.oom_kills > 0 {
        notes.push(format!(
            "the kernel killed {} process(es) for want of memory",
            exit.oom_kills
        ));
    }
    if exit.log_bytes_dropped > 0 {
        notes.push(format!(
            "{} bytes of output could not be written",
            exit.log_bytes_dropped
        ));
    }
    notes.join("; ")
}

#[cfg(test)]
mod tests {
    use titus_isolation::Signal;

    use super::*;

    #[test]
    fn ways_to_end_are_kept_apart_and_nothing_unknown_becomes_success() {
        let of = |reason| exit_of(&titus_isolation::Exit::new(reason));
        assert_eq!(of(ExitReason::Code(0)), Exit::Code(0));
        assert_eq!(of(ExitReason::Code(255)), Exit::Code(255));
        assert_eq!(of(ExitReason::Code(256)), Exit::Unknown);
        assert_eq!(of(ExitReason::Signal(Signal::TERM)), Exit::Signal(15));
        assert_eq!(of(ExitReason::OutOfMemory), Exit::OutOfMemory);
        assert_eq!(of(ExitReason::Unknown("reboot".into())), Exit::Unknown);
    }

    #[test]
    fn an_errors_sources_are_told_once_each() {
        let error = RuntimeError::kernel("write", "/x", std::io::Error::other("no space"));
        assert_eq!(
            of_runtime(error),
            (Fault::Host, "cannot write /x: no space".into())
        );
    }
}
