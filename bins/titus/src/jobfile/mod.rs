//! Job files: YAML or JSON in, a request out, and every fault with its place in the file.

mod faults;
mod places;

use std::io::Read as _;
use std::path::Path;

use miette::NamedSource;
use titus_core::spec::{JobRequest, JobSpec, Violation};

use crate::api::FieldFault;
use crate::exit::{CliError, Exit};
use places::Places;

/// Larger than any job that a server takes.
const MAX_BYTES: u64 = 1 << 20;

/// A job file that could be read as a request, which may be wrong in other ways.
#[derive(Debug)]
pub(crate) struct JobFile {
    name: String,
    text: String,
    places: Places,
    pub(crate) request: JobRequest,
}

impl JobFile {
    /// Reads a file; `-` is standard input.
    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        let (name, text) = if path == Path::new("-") {
            ("standard input".to_owned(), bounded(std::io::stdin().lock()))
        } else {
            let opened = std::fs::File::open(path).and_then(bounded);
            (path.display().to_string(), opened)
        };
        let text = text.map_err(|e| {
            CliError::usage(
                format!("cannot read the job file {name}: {e}"),
                "name a job file; have one written with  titus job init FILE",
            )
        })?;
        Self::parse(name, text)
    }

    pub(crate) fn parse(name: String, text: String) -> Result<Self, CliError> {
        match serde_saphyr::from_str::<JobRequest>(&text) {
            Ok(request) => Ok(Self {
                places: Places::of(&text),
                name,
                text,
                request,
            }),
            Err(error) => Err(faults::unreadable(&error, NamedSource::new(name, text))),
        }
    }

    /// The file's name, for messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Refuses what no server would take, and what the API's messages could not even carry.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        let (_, violations) = JobSpec::from_stored(self.request.clone());
        if violations.0.is_empty() {
            Ok(())
        } else {
            Err(self.refused(&violations.0))
        }
    }

    /// All that is wrong, each with its place.
    pub(crate) fn refused(&self, violations: &[Violation]) -> CliError {
        let parts: Vec<CliError> = violations
            .iter()
            .map(|v| self.fault(&v.field, &v.message, &v.help))
            .collect();
        self.refusal(parts)
    }

    /// The same for what a server refuses.
    pub(crate) fn refused_by_server(&self, faults: &[FieldFault]) -> CliError {
        let parts: Vec<CliError> = faults
            .iter()
            .map(|f| {
                let (message, help) = f.text.split_once("; ").unwrap_or((&f.text, ""));
                self.fault(&f.field, message, help)
            })
            .collect();
        self.refusal(parts)
    }

    fn refusal(&self, parts: Vec<CliError>) -> CliError {
        let problems = crate::output::units::count(parts.len() as u64, "problem");
        CliError::new(Exit::Refused, format!("{} has {problems}", self.name), "").with_parts(parts)
    }

    fn fault(&self, field: &str, message: &str, help: &str) -> CliError {
        let place = self.places.find(field);
        let label = place.missing.map_or_else(
            || "here".to_owned(),
            |missing| format!("{missing} is missing here"),
        );
        let shown = crate::terminal::plain(message).into_owned();
        let message = if field.is_empty() {
            shown
        } else {
            format!("{field}: {shown}")
        };
        let source = NamedSource::new(&self.name, self.text.clone());
        CliError::new(Exit::Refused, message, crate::terminal::plain(help).into_owned())
            .at(source, place.span, &label)
    }
}

fn bounded(reader: impl std::io::Read) -> std::io::Result<String> {
    let mut text = String::new();
    reader.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(std::io::Error::other("it has more than 1 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
