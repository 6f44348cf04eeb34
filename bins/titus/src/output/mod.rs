//! Data on standard output, in the format that was asked for.

pub(crate) mod table;
pub(crate) mod time;
pub(crate) mod units;

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::exit::CliError;
pub(crate) use table::{Facts, Table};

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Columns for people
    Table,
    /// More columns for people
    Wide,
    /// The API's JSON; streams have one object a line
    Json,
    /// The same as YAML
    Yaml,
    /// Ids alone, one a line
    Name,
}

/// Writes to standard output. A reader that goes away ends the command in silence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    pub(crate) format: Format,
}

impl Printer {
    pub(crate) const fn new(format: Format) -> Self {
        Self { format }
    }

    /// Prints one object or listing: its message for programs, its view for people, its ids for scripts.
    pub(crate) fn show<T: Serialize>(
        self,
        message: &T,
        view: impl FnOnce(bool) -> String,
        ids: impl FnOnce() -> Vec<String>,
    ) -> Result<(), CliError> {
        self.text(&render(self.format, message, view, ids)?)
    }

    /// Prints one object of a stream.
    pub(crate) fn item<T: Serialize>(
        self,
        message: &T,
        view: impl FnOnce(bool) -> String,
        id: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        let text = match self.format {
            Format::Json => format!("{}\n", line(message)?),
            Format::Yaml => format!("---\n{}", yaml(message)?),
            Format::Table => view(false),
            Format::Wide => view(true),
            Format::Name => format!("{}\n", id()),
        };
        self.text(&text)
    }

    pub(crate) fn text(self, text: &str) -> Result<(), CliError> {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)
            .and_then(|()| out.flush())
            .map_err(|e| CliError::output(&e))
    }
}

fn render<T: Serialize>(
    format: Format,
    message: &T,
    view: impl FnOnce(bool) -> String,
    ids: impl FnOnce() -> Vec<String>,
) -> Result<String, CliError> {
    match format {
        Format::Table => Ok(view(false)),
        Format::Wide => Ok(view(true)),
        Format::Json => Ok(format!("{}\n", json(message)?)),
        Format::Yaml => yaml(message),
        Format::Name => Ok(ids().into_iter().map(|id| id + "\n").collect()),
    }
}

fn unprintable(error: impl std::fmt::Display) -> CliError {
    CliError::new(
        crate::exit::Exit::Other,
        format!("the server's answer cannot be printed: {error}"),
        "try another format, as  -o table",
    )
}

fn json<T: Serialize>(message: &T) -> Result<String, CliError> {
    serde_json::to_string_pretty(message).map_err(unprintable)
}

fn line<T: Serialize>(message: &T) -> Result<String, CliError> {
    serde_json::to_string(message).map_err(unprintable)
}

fn yaml<T: Serialize>(message: &T) -> Result<String, CliError> {
    let value = serde_json::to_value(message).map_err(unprintable)?;
    serde_saphyr::to_string(&value).map_err(unprintable)
}

#[cfg(test)]
mod tests;
