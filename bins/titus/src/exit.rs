//! How a command ends: its exit code, and what is said when that is not 0.

use std::fmt;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

/// Exit codes, for scripts to act on. 0 is for "done".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The reader of the output has seen enough and gone away: that is no failure, and nothing is said.
    Silent = 0,
    /// Something that no other code tells.
    Other = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// What was named does not exist.
    NotFound = 3,
    /// Refused: a bad job, a limit, a state in which it cannot be done.
    Refused = 4,
    /// Accepted, but not running (or not ended well) in time.
    NotStarted = 5,
    /// Who asks is not known or not allowed.
    NotAllowed = 6,
    /// No server answers, or not in time.
    Unreachable = 7,
    /// Interrupted from the keyboard.
    Interrupted = 130,
}

impl Exit {
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }
}

/// An error as it is shown: what happened, where, and what to do.
#[derive(Debug)]
pub(crate) struct CliError {
    pub(crate) exit: Exit,
    message: String,
    help: Option<String>,
    /// Boxed, so that every `Result` of the program stays small.
    place: Option<Box<Place>>,
    parts: Vec<Self>,
}

/// A place in a file.
#[derive(Debug)]
struct Place {
    source: NamedSource<String>,
    label: LabeledSpan,
}

impl CliError {
    pub(crate) fn new(exit: Exit, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            help: Some(help.into()).filter(|help| !help.is_empty()),
            place: None,
            parts: Vec::new(),
        }
    }

    pub(crate) fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message, help)
    }

    /// A failed read or write.
    pub(crate) fn io(what: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::new(Exit::Other, format!("{what}: {error}"), "")
    }

    /// A failed write to standard output.
    pub(crate) fn output(error: &std::io::Error) -> Self {
        let exit = if error.kind() == std::io::ErrorKind::BrokenPipe {
            Exit::Silent
        } else {
            Exit::Other
        };
        Self::new(exit, format!("cannot write the output: {error}"), "")
    }

    pub(crate) fn interrupted() -> Self {
        Self::new(Exit::Interrupted, "interrupted", "")
    }

    /// Points at a part of a file. The span is in bytes of `source`, and cut to it.
    pub(crate) fn at(
        mut self,
        source: NamedSource<String>,
        span: std::ops::Range<usize>,
        label: &str,
    ) -> Self {
        let end = source.inner().len();
        let start = span.start.min(end);
        let length = span.end.clamp(start, end) - start;
        self.place = Some(Box::new(Place {
            source,
            label: LabeledSpan::new(Some(label.to_owned()), start, length),
        }));
        self
    }

    /// What it consists of, to be told before it.
    pub(crate) fn with_parts(mut self, parts: Vec<Self>) -> Self {
        self.parts = parts;
        self
    }

    pub(crate) fn parts(&self) -> &[Self] {
        &self.parts
    }

    #[cfg(test)]
    pub(crate) fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

impl Diagnostic for CliError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.place.as_ref().map(|place| &place.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.place.as_ref()?;
        Some(Box::new(std::iter::once(place.label.clone())))
    }
}
