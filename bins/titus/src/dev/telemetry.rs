use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use super::args::{DevArgs, LogFormat};
use crate::exit::CliError;

/// Starts the log on standard error.
pub(super) fn start(args: &DevArgs) -> Result<(), CliError> {
    let filter = EnvFilter::try_new(&args.log).map_err(|error| {
        CliError::usage(
            format!("--log {}: {error}", args.log),
            "use a level, as `info`, or target=level pairs",
        )
    })?;
    let terminal = io::stderr().is_terminal();
    let format = args.log_format.unwrap_or(if terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    });
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let started = match format {
        LogFormat::Text => builder.with_ansi(terminal).try_init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .try_init(),
    };
    started.map_err(|error| CliError::usage(format!("the log cannot be started: {error}"), ""))
}
